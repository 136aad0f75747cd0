//! The machine, looked at once: device, precision, folders, network, and how much of the lesson fits.
//!
//! A notebook opens with `let lab = Lab::open()?;`. Whoever wants something else says so there:
//! `Lab::open()?.offline().device(Device::Cpu).full()`. What the environment says is shown with the rest.
//!
//! ```
//! use evcxr_transfer::Lab;
//! let lab = Lab::open()?.samples();
//! let data = lab.cats_and_dogs()?;
//! assert_eq!(data.train.len(), 60);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tch::Device;

use crate::error::{Error, Result};
use crate::lab::choice::{self, Choice, WeightsChoice};
use crate::lab::data_folder::project_data;
use crate::lab::durations::Durations;
use crate::lab::mirror::Mirror;
use crate::lab::named_weights::NamedWeights;
use crate::lab::official;
use crate::lab::pretrained::Pretrained;
use crate::lab::weights_source::WeightsSource;
use crate::machine::precision::Precision;
use crate::machine::world::World;
use crate::machine::{device, environment};
use crate::show::display::displayed;
use crate::show::progress::Progress;
use crate::show::saved::from_here;
use crate::show::table::Table;

/// What this machine can do, and what the lesson does with it.
#[derive(Debug, Clone)]
pub struct Lab {
    pub(crate) device: Choice<Device>,
    pub(crate) precision: Choice<Precision>,
    pub(crate) folder: Choice<PathBuf>,
    pub(crate) online: Choice<bool>,
    pub(crate) full: Choice<bool>,
    pub(crate) weights: WeightsChoice,
    pub(crate) environment_weights: Option<NamedWeights>,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) keras_cache: Option<PathBuf>,
    pub(crate) torch_cache: Option<PathBuf>,
    /// How long the lesson takes, once that is measured.
    pub(crate) durations: Option<Durations>,
    pub(crate) samples_only: bool,
    /// The folder that keeps the runs of the lesson.
    pub(crate) backup: Option<PathBuf>,
    pub(crate) progress: Progress,
    pub(crate) world: World,
}

impl Lab {
    /// Looks at the machine: CUDA or the CPU, bf16 where the hardware has it, the data folder,
    /// whether the network is there (tried for two seconds, only if something is missing), and a
    /// full run on a GPU or a quick one on a CPU.
    ///
    /// # Errors
    /// [`Error::File`] if the data folder cannot be made.
    pub fn open() -> Result<Self> {
        let folder = match environment::data_folder() {
            Some(folder) => Choice::new(folder, "EVCXR_TRANSFER_DATA says so"),
            None if project_data().is_dir() => {
                Choice::new(project_data(), "the project's own folder")
            }
            None => Choice::new(PathBuf::from("data"), "in the current folder"),
        };
        std::fs::create_dir_all(&folder.value)
            .map_err(Error::file(&folder.value, "create the folder"))?;
        let device = choice::device();
        let weights_named = |path| NamedWeights::new(path, "EVCXR_TRANSFER_WEIGHTS says so");
        let mut lab = Self {
            precision: choice::precision_for(device.value),
            full: choice::run_for(device.value),
            device,
            folder,
            online: Choice::new(false, "EVCXR_TRANSFER_OFFLINE is set"),
            weights: WeightsChoice::Any,
            environment_weights: environment::weights().map(weights_named),
            mirror: environment::mirror().map(Mirror::new),
            keras_cache: environment::keras_cache(),
            torch_cache: environment::torch_cache(),
            durations: None,
            samples_only: false,
            backup: None,
            progress: Progress::default(),
            world: World::alone(),
        };
        if !environment::is_offline() {
            lab.online = lab.look_for_network();
        }
        Ok(lab)
    }

    /// Whether the download site or the mirror answers; not asked where nothing has to be downloaded.
    fn look_for_network(&self) -> Choice<bool> {
        let pictures = official::pictures();
        let has_pictures = self.has_unpacked_pictures() || !self.lying(&pictures).is_empty();
        // Asked offline: what is at hand then needs no network.
        let weights = self.weights_for(Pretrained::LESSON).value;
        if has_pictures && !matches!(weights, WeightsSource::Seeded(_)) {
            return Choice::new(true, "not looked at: pictures and weights are at hand");
        }
        let remote = self.mirrored(pictures);
        let site = match &self.mirror {
            Some(Mirror::Address(_)) => "the mirror",
            _ => "the download site",
        };
        match remote.reachable(Duration::from_secs(2)) {
            Ok(()) => Choice::new(true, format!("{site} answers")),
            Err(reason) => Choice::new(false, reason),
        }
    }

    /// Computes on this device; precision and length of the run follow it unless they are asked for.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Choice::asked_for(device);
        if !self.precision.is_asked_for {
            self.precision = choice::precision_for(device);
        }
        self.unmeasured()
    }

    /// Forgets what was measured, and what was chosen by it.
    fn unmeasured(mut self) -> Self {
        self.durations = None;
        if !self.full.is_asked_for {
            self.full = choice::run_for(self.device.value);
        }
        self
    }

    /// Computes in this precision.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Choice::asked_for(precision);
        self.unmeasured()
    }

    /// Keeps downloads in this folder, and looks for them there.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Choice::asked_for(folder.into());
        self
    }

    /// Never uses the network. What is in the data folder is taken from there; what is not is
    /// replaced by drawn pictures and seeded weights, and every result says so.
    pub fn offline(mut self) -> Self {
        self.online = Choice::asked_for(false);
        self
    }

    /// Takes the drawn sample pictures, 60 + 30, and seeded weights even where the real ones are at hand.
    pub fn samples(mut self) -> Self {
        self.samples_only = true;
        self.offline()
    }

    /// Takes weights from this file, or from the files in this folder (not in folders in it), of any kind that
    /// [`Weights::load`](crate::Weights::load) reads. Their layers tell which network each is for; a network that
    /// none is for gets its weights as without this.
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        let named = NamedWeights::new(path.into(), "asked for in this cell");
        self.weights = WeightsChoice::Named(named);
        self
    }

    /// Takes random weights that follow from `seed`; see [`Weights::seeded`](crate::Weights::seeded).
    pub fn seeded_weights(mut self, seed: u64) -> Self {
        self.weights = WeightsChoice::Seeded(seed);
        self
    }

    /// How downloads, feature extraction and training show their progress.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Keeps each run of the lesson in a file of this folder, which is made where it is missing, so that the lesson may take
    /// several sittings: run it again, and each call goes on where it was, or has its result at once ([`Fit::backup`](crate::Fit::backup)).
    pub fn backup(mut self, folder: impl Into<PathBuf>) -> Self {
        self.backup = Some(folder.into());
        self
    }

    /// Works as one of the processes of `world`: on a GPU of its own where there are several and none is asked for, and
    /// silently unless it is the first. The options of [`Lab::fit`] share each batch among them ([`Fit::world`](crate::Fit::world)).
    pub fn world(mut self, world: &World) -> Self {
        if let (Device::Cuda(_), false) = (self.device.value, self.device.is_asked_for)
            && !world.is_alone()
        {
            let devices = tch::Cuda::device_count().max(1) as usize;
            let own = Device::Cuda(world.local_rank() % devices);
            self.device = Choice::new(own, "a GPU for each process");
        }
        if world.rank() > 0 {
            self.progress = self.progress.silent();
        }
        self.world = world.clone();
        self
    }

    /// Each choice with its reason.
    pub fn table(&self) -> Table {
        let weights = self.weights_for(Pretrained::LESSON);
        let pictures = self.pictures_source();
        let is_stand_in = matches!(weights.value, WeightsSource::Seeded(_))
            || pictures.value.starts_with("drawn");
        let network = match self.online.value {
            true => "online",
            false => "offline",
        };
        let run = match self.full.value {
            true => "full: all pictures, 30 epochs",
            false => "quick: at most 400 + 200 pictures, 10 epochs",
        };
        let folder = from_here(&self.folder.value).display().to_string();
        let mut rows = vec![
            (
                "device".to_owned(),
                self.device.named(device::name(self.device.value)),
            ),
            (
                "precision".into(),
                self.precision.named(self.precision.value.to_string()),
            ),
            ("data folder".into(), self.folder.named(folder)),
            ("network".into(), self.online.named(network.into())),
        ];
        if let Some(mirror) = &self.mirror {
            let mirror = Choice::new(mirror.to_string(), mirror.reason());
            rows.push(("mirror".into(), mirror));
        }
        rows.push(("weights".into(), weights.named(weights.value.to_string())));
        for network in Pretrained::all() {
            let other = self.weights_for(network);
            let is_at_hand = matches!(
                other.value,
                WeightsSource::File(_) | WeightsSource::AtHand(_)
            );
            if is_at_hand && other.value != weights.value {
                rows.push((
                    format!("of {network}"),
                    other.named(other.value.to_string()),
                ));
            }
        }
        rows.push(("pictures".into(), pictures));
        rows.push(("run".into(), self.full.named(run.into())));
        if let Some(folder) = &self.backup {
            let folder = from_here(folder).display().to_string();
            rows.push(("backup".into(), Choice::asked_for(folder)));
        }
        if !self.world.is_alone() {
            let processes = format!(
                "{} processes, this is number {}",
                self.world.size(),
                self.world.rank()
            );
            rows.push(("world".into(), Choice::new(processes, "started together")));
        }
        let mut table = Table::new("Lab", &["", "choice", "why"]);
        for (what, choice) in rows {
            table.push([what, choice.value, choice.reason]);
        }
        if is_stand_in {
            table = table.note(
                "Results made with drawn pictures or seeded weights show how the lesson works, \
                 not how well VGG16 does.",
            );
        }
        table
    }

    /// The lesson's pictures, or what stands in for them.
    fn pictures_source(&self) -> Choice<String> {
        const CATS_AND_DOGS: &str = "cats and dogs";
        let file = official::pictures();
        let name = &file.file_name;
        let (pictures, reason) = if self.samples_only {
            return Choice::asked_for(self.drawn_in_words());
        } else if self.has_unpacked_pictures() {
            (CATS_AND_DOGS.to_owned(), "in the data folder".into())
        } else if let Some((_, place)) = self.lying(&file).first() {
            (CATS_AND_DOGS.to_owned(), format!("{name} is in {place}"))
        } else if self.online.value {
            (
                CATS_AND_DOGS.to_owned(),
                format!("{name} will be downloaded once"),
            )
        } else {
            let reason = format!("offline, and {name} is not in the data folder");
            (self.drawn_in_words(), reason)
        };
        Choice::new(pictures, reason)
    }
}

displayed!(
    Lab,
    "Shows each choice with its reason under a notebook cell.",
    |lab| lab.table().bundle()
);

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

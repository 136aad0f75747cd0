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
use std::path::{Path, PathBuf};
use std::time::Duration;

use tch::Device;

use crate::error::{Error, Result};
use crate::files::remote::Remote;
use crate::lab::choice::{self, Choice, WeightsChoice};
use crate::lab::data_folder::{self, has_pictures, project_data};
use crate::lab::official;
use crate::machine::precision::Precision;
use crate::machine::{device, environment};
use crate::network::architecture::Architecture;
use crate::show::progress::Progress;
use crate::show::saved::from_here;
use crate::show::table::Table;
use crate::training::fit::Fit;

/// What this machine can do, and what the lesson does with it.
#[derive(Debug, Clone)]
pub struct Lab {
    pub(crate) device: Choice<Device>,
    pub(crate) precision: Choice<Precision>,
    pub(crate) folder: Choice<PathBuf>,
    pub(crate) online: Choice<bool>,
    pub(crate) full: Choice<bool>,
    pub(crate) weights: WeightsChoice,
    pub(crate) samples_only: bool,
    pub(crate) progress: Progress,
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
        let online = if environment::is_offline() {
            Choice::new(false, "EVCXR_TRANSFER_OFFLINE is set")
        } else if has_all(&folder.value) {
            Choice::new(
                true,
                "not looked at: pictures and weights are in the data folder",
            )
        } else {
            match official::pictures().reachable(Duration::from_secs(2)) {
                Ok(()) => Choice::new(true, "the download site answers"),
                Err(reason) => Choice::new(false, reason),
            }
        };
        Ok(Self {
            precision: choice::precision_for(device.value),
            full: choice::run_for(device.value),
            device,
            folder,
            online,
            weights: WeightsChoice::Official,
            samples_only: false,
            progress: Progress::lines(),
        })
    }

    /// Computes on this device; precision and length of the run follow it unless they are asked for.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Choice::asked_for(device);
        if !self.precision.is_asked_for {
            self.precision = choice::precision_for(device);
        }
        if !self.full.is_asked_for {
            self.full = choice::run_for(device);
        }
        self
    }

    /// Computes in this precision.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Choice::asked_for(precision);
        self
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

    /// The whole lesson: all pictures, 30 epochs.
    pub fn full(mut self) -> Self {
        self.full = Choice::asked_for(true);
        self
    }

    /// A quick run: 400 + 200 pictures, 10 epochs.
    pub fn quick(mut self) -> Self {
        self.full = Choice::asked_for(false);
        self
    }

    /// Takes the base's weights from this file instead of the official download.
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = WeightsChoice::File(path.into());
        self
    }

    /// Takes random weights that follow from `seed`; see [`Weights::seeded`].
    pub fn seeded_weights(mut self, seed: u64) -> Self {
        self.weights = WeightsChoice::Seeded(seed);
        self
    }

    /// How downloads, feature extraction and training show their progress.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// The lesson's training options; fewer epochs for a quick run.
    pub fn fit(&self) -> Fit {
        let fit = Fit::default().progress(self.progress.clone());
        if self.full.value { fit } else { fit.epochs(10) }
    }

    /// Whether an official file is to be had, from the data folder or the network.
    pub(crate) fn can_have(&self, file: &Remote) -> bool {
        !self.samples_only && (self.online.value || data_folder::has(&self.folder.value, file))
    }

    /// An official file: from the network if need be, otherwise from the data folder.
    pub(crate) fn fetch(&self, remote: &Remote) -> Result<PathBuf> {
        if !self.online.value {
            let path = self.folder.value.join(&remote.file_name);
            return match remote.misfit(&path)? {
                None => Ok(path),
                Some(problem) => Err(Error::Weights {
                    path,
                    problem: format!("the file {problem}"),
                    remedy: "It is cut or changed: copy it again, or remove it to go on without"
                        .into(),
                }),
            };
        }
        remote.fetch(&self.folder.value, &self.progress)
    }

    /// Each choice with its reason.
    pub fn table(&self) -> Table {
        let weights = match &self.weights {
            WeightsChoice::File(path) => Choice::asked_for(path.display().to_string()),
            WeightsChoice::Seeded(seed) => {
                Choice::asked_for(format!("seeded random (seed {seed})"))
            }
            _ if self.samples_only => Choice::asked_for("seeded random".to_owned()),
            WeightsChoice::Official => {
                let file = official::weights(Architecture::Vgg16, false);
                self.source(&file, "ImageNet", "seeded random")
            }
        };
        let pictures = if self.samples_only {
            Choice::asked_for(self.drawn_in_words())
        } else if data_folder::is_unpacked(&self.folder.value) {
            Choice::new("cats and dogs".to_owned(), "in the data folder")
        } else {
            self.source(
                &official::pictures(),
                "cats and dogs",
                &self.drawn_in_words(),
            )
        };
        let is_stand_in =
            weights.value.starts_with("seeded") || pictures.value.starts_with("drawn");
        let network = match self.online.value {
            true => "online",
            false => "offline",
        };
        let run = match self.full.value {
            true => "full: all pictures, 30 epochs",
            false => "quick: at most 400 + 200 pictures, 10 epochs",
        };
        let folder = from_here(&self.folder.value).display().to_string();
        let rows = [
            ("device", self.device.named(device::name(self.device.value))),
            (
                "precision",
                self.precision.named(self.precision.value.to_string()),
            ),
            ("data folder", self.folder.named(folder)),
            ("network", self.online.named(network.into())),
            ("weights", weights),
            ("pictures", pictures),
            ("run", self.full.named(run.into())),
        ];
        let mut table = Table::new("Lab", &["", "choice", "why"]);
        for (what, choice) in rows {
            table.push([what.to_owned(), choice.value, choice.reason]);
        }
        if is_stand_in {
            table = table.note(
                "Results made with drawn pictures or seeded weights show how the lesson works, \
                 not how well VGG16 does.",
            );
        }
        table
    }

    /// What is taken, the real thing of an official file or what stands in for it.
    fn source(&self, file: &Remote, real: &str, stand_in: &str) -> Choice<String> {
        let name = &file.file_name;
        if data_folder::has(&self.folder.value, file) {
            Choice::new(real.into(), format!("{name} is in the data folder"))
        } else if self.online.value {
            Choice::new(real.into(), format!("{name} will be downloaded once"))
        } else {
            let reason = format!("offline, and {name} is not in the data folder");
            Choice::new(stand_in.into(), reason)
        }
    }

    /// Shows each choice with its reason under a notebook cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

/// Whether a data folder has all that the lesson begins with.
fn has_all(folder: &Path) -> bool {
    has_pictures(folder) && data_folder::has(folder, &official::weights(Architecture::Vgg16, false))
}

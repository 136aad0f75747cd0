//! The machine, looked at once: device, precision, folders, network, and how much of the lesson fits.
//!
//! A notebook opens with `let lab = Lab::open()?;`. Whoever wants something else says so there:
//! `Lab::open()?.offline().device(Device::Cpu).full()`. Two environment variables count:
//! `EVCXR_TRANSFER_DATA` (the data folder) and `EVCXR_TRANSFER_OFFLINE` (any value).
//!
//! ```
//! use evcxr_transfer::Lab;
//! let lab = Lab::open()?.samples();
//! let data = lab.cats_and_dogs()?;
//! assert_eq!(data.train.len(), 60);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tch::Device;

use crate::error::{Error, Result};
use crate::files::archive::unpack;
use crate::files::remote::Remote;
use crate::machine::cuda::{Cuda, cuda};
use crate::machine::precision::Precision;
use crate::machine::{device, environment};
use crate::model::classifier::Classifier;
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::weights::file::Weights;
use crate::pictures::dataset::Data;
use crate::show::progress::Progress;
use crate::show::saved::from_here;
use crate::show::table::Table;
use crate::training::fit::Fit;

/// Where Keras keeps its weight files; their sums are in keras/src/applications/vgg16.py, vgg19.py.
const WEIGHTS_URL: &str = "https://storage.googleapis.com/tensorflow/keras-applications";
/// The lesson's pictures: 2,000 + 1,000 of the Kaggle competition "Dogs vs. Cats".
const PICTURES_URL: &str =
    "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip";
/// The names of ImageNet's classes; address and sum are in keras/src/applications/imagenet_utils.py.
const CLASS_NAMES_URL: &str =
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json";
const CLASS_NAMES_MD5: &str = "c2c37ea517e94d9795004a39431a14cb";
const PICTURES_BYTES: u64 = 68_606_236;
const PICTURES_FOLDER: &str = "cats_and_dogs_filtered";
/// The seed of the random weights that stand in for ImageNet's.
const STAND_IN_SEED: u64 = 0;

/// A choice with its reason, as the cell shows it.
#[derive(Debug, Clone)]
struct Choice<T> {
    value: T,
    reason: String,
    /// Whether a setter made it, so that no later choice of the machine's replaces it.
    is_asked_for: bool,
}

impl<T> Choice<T> {
    fn new(value: T, reason: impl Into<String>) -> Self {
        Self {
            value,
            reason: reason.into(),
            is_asked_for: false,
        }
    }

    /// The reason of every choice that a setter made.
    fn asked_for(value: T) -> Self {
        Self {
            is_asked_for: true,
            ..Self::new(value, "asked for in this cell")
        }
    }
}

/// Where a base's weights come from.
#[derive(Debug, Clone)]
enum WeightsChoice {
    /// Keras' file from the network; seeded ones if it cannot be had.
    Official,
    File(PathBuf),
    Seeded(u64),
}

/// What this machine can do, and what the lesson does with it.
#[derive(Debug, Clone)]
pub struct Lab {
    device: Choice<Device>,
    precision: Choice<Precision>,
    folder: Choice<PathBuf>,
    online: Choice<bool>,
    full: Choice<bool>,
    weights: WeightsChoice,
    samples_only: bool,
    progress: Progress,
}

impl Lab {
    /// Looks at the machine: CUDA or the CPU, bf16 where the hardware has it, the data folder,
    /// whether the network is there (tried for two seconds, only if something is missing), and a
    /// full run on a GPU or a quick one on a CPU.
    ///
    /// # Errors
    /// [`Error::File`] if the data folder cannot be made.
    pub fn open() -> Result<Self> {
        let (folder, reason) = match environment::data_folder() {
            Some(folder) => (folder, "EVCXR_TRANSFER_DATA says so".to_owned()),
            None if project_data().is_dir() => (project_data(), "the project's own folder".into()),
            None => (PathBuf::from("data"), "in the current folder".into()),
        };
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder, "create the folder"))?;
        let device = match cuda() {
            Cuda::Ready(name) => Choice::new(Device::Cuda(0), name),
            other => Choice::new(Device::Cpu, other.to_string()),
        };
        let online = if environment::is_offline() {
            Choice::new(false, "EVCXR_TRANSFER_OFFLINE is set")
        } else if weights_of(Architecture::Vgg16, false).is_in(&folder) && has_pictures(&folder) {
            Choice::new(
                true,
                "not looked at: pictures and weights are in the data folder",
            )
        } else {
            match Remote::new(PICTURES_URL).reachable(Duration::from_secs(2)) {
                Ok(()) => Choice::new(true, "the download site answers"),
                Err(reason) => Choice::new(false, reason),
            }
        };
        Ok(Self {
            precision: precision_for(device.value),
            full: run_for(device.value),
            device,
            folder: Choice::new(folder, reason),
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
            self.precision = precision_for(device);
        }
        if !self.full.is_asked_for {
            self.full = run_for(device);
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

    /// Takes the drawn pictures and seeded weights even where the real ones are at hand.
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

    /// VGG16 without its top for pictures of `size` x `size` pixels, with ImageNet weights.
    ///
    /// # Errors
    /// [`Error::Argument`] if `size` is below 32, [`Error::Download`] if the weights cannot be
    /// fetched, [`Error::Weights`] if they do not fit, [`Error::Device`] if the device is not there.
    pub fn vgg16(&self, size: usize) -> Result<Base> {
        let weights = self.load_weights(Architecture::Vgg16, false)?;
        let base = Base::vgg16(size, &weights, self.device.value, self.precision.value)?;
        Ok(base.progress(self.progress.clone()))
    }

    /// VGG19 without its top; otherwise as [`Lab::vgg16`].
    ///
    /// # Errors
    /// As [`Lab::vgg16`].
    pub fn vgg19(&self, size: usize) -> Result<Base> {
        let weights = self.load_weights(Architecture::Vgg19, false)?;
        let base = Base::vgg19(size, &weights, self.device.value, self.precision.value)?;
        Ok(base.progress(self.progress.clone()))
    }

    /// VGG16 or VGG19 with its top, which names 1,000 ImageNet classes; 224 x 224 pixels. The names are
    /// fetched with the weights; without them [`Base::classify`] tells numbers.
    ///
    /// # Errors
    /// As [`Lab::vgg16`].
    pub fn with_top(&self, architecture: Architecture) -> Result<Base> {
        let weights = self.load_weights(architecture, true)?;
        let base = Base::with_top(
            architecture,
            &weights,
            self.device.value,
            self.precision.value,
        )?;
        let names = self.class_names().unwrap_or_else(|error| {
            self.progress.line(&format!(
                "Note: classes have numbers instead of names: {error}"
            ));
            Vec::new()
        });
        Ok(base.named(names).progress(self.progress.clone()))
    }

    /// The names of ImageNet's classes, in the order of the top's outputs; none where they cannot be had.
    fn class_names(&self) -> Result<Vec<String>> {
        let remote = Remote::new(CLASS_NAMES_URL).md5(CLASS_NAMES_MD5);
        if self.samples_only || !(self.online.value || remote.is_in(&self.folder.value)) {
            return Ok(Vec::new());
        }
        let path = self.fetch(&remote)?;
        let text = std::fs::read(&path).map_err(Error::file(&path, "read"))?;
        names_in(&text).map_err(|error| Error::Weights {
            path,
            problem: format!("these are not ImageNet's class names ({error})"),
            remedy: "Remove the file and call again".into(),
        })
    }

    /// The small network that the lesson compares with, to be trained from scratch on pictures of
    /// `size` x `size` pixels; see [`Classifier::small_conv_net`].
    ///
    /// # Errors
    /// As [`Classifier::small_conv_net`].
    pub fn small_conv_net(&self, size: usize, classes: &[impl AsRef<str>]) -> Result<Classifier> {
        let (device, precision) = (self.device.value, self.precision.value);
        let model = Classifier::small_conv_net(size, classes, 0, device, precision)?;
        Ok(model.progress(self.progress.clone()))
    }

    /// A classifier from the file that [`Classifier::save`] or a checkpoint wrote, on the lab's device
    /// and in its precision; a checkpoint stays in its own, so that the run can go on.
    ///
    /// # Errors
    /// As [`Classifier::load`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Classifier> {
        let mut model = Classifier::load(path, self.device.value)?;
        if !model.is_unfinished() {
            model.set_precision(self.precision.value)?;
        }
        Ok(model.progress(self.progress.clone()))
    }

    /// The lesson's cats and dogs, 2,000 + 1,000 pictures: downloaded once, checked and unpacked
    /// into the data folder. A quick run takes 400 + 200 of them.
    ///
    /// # Errors
    /// [`Error::Download`] if they cannot be fetched, [`Error::Dataset`] or [`Error::File`] if what
    /// is in the data folder cannot be used.
    pub fn cats_and_dogs(&self) -> Result<Data> {
        let folder = &self.folder.value;
        let zip = Remote::new(PICTURES_URL).bytes(PICTURES_BYTES);
        if self.samples_only || !(self.online.value || has_pictures(folder)) {
            let mut data = Data::open(sample_folder(folder))?;
            for part in [&mut data.train, &mut data.validation] {
                *part = part.clone().with_note("drawn sample pictures");
            }
            return Ok(data);
        }
        let unpacked = folder.join(PICTURES_FOLDER);
        if !is_unpacked(&unpacked) {
            let archive = self.fetch(&zip)?;
            let missing = unpack(&archive, &unpacked, &self.progress)?.len();
            if missing > 0 {
                return Err(Error::Dataset {
                    path: unpacked,
                    problem: format!("it lacks {missing} of the archive's files"),
                    remedy: "Remove that folder and call again".into(),
                });
            }
        }
        let data = Data::open(&unpacked)?;
        if self.full.value {
            return Ok(data);
        }
        let mut data = data.take(400, 200);
        data.train = data.train.with_note("quick run, 400 + 200 pictures");
        Ok(data)
    }

    /// The lesson's training options; fewer epochs for a quick run.
    pub fn fit(&self) -> Fit {
        let fit = Fit::default().progress(self.progress.clone());
        if self.full.value { fit } else { fit.epochs(10) }
    }

    fn load_weights(&self, architecture: Architecture, with_top: bool) -> Result<Weights> {
        architecture.check_pretrained()?;
        // Before a download of half a gigabyte, and before anything is put on the device.
        device::check(self.device.value)?;
        match &self.weights {
            WeightsChoice::Official => {}
            WeightsChoice::File(path) => return Weights::load(path),
            WeightsChoice::Seeded(seed) => return Ok(Weights::seeded(*seed)),
        }
        let remote = weights_of(architecture, with_top);
        let folder = &self.folder.value;
        if self.samples_only || !(self.online.value || remote.is_in(folder)) {
            return Ok(Weights::seeded(STAND_IN_SEED));
        }
        Weights::load(self.fetch(&remote)?)
    }

    fn fetch(&self, remote: &Remote) -> Result<PathBuf> {
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
        let folder = &self.folder.value;
        let weights = match &self.weights {
            WeightsChoice::File(path) => (
                path.display().to_string(),
                "asked for in this cell".to_owned(),
            ),
            WeightsChoice::Seeded(seed) => (
                format!("seeded random (seed {seed})"),
                "asked for in this cell".into(),
            ),
            _ if self.samples_only => ("seeded random".into(), "asked for in this cell".into()),
            WeightsChoice::Official => self.source(
                &weights_of(Architecture::Vgg16, false),
                "ImageNet",
                "seeded random",
            ),
        };
        let pictures = if self.samples_only {
            (
                "drawn samples".to_owned(),
                "asked for in this cell".to_owned(),
            )
        } else if is_unpacked(&folder.join(PICTURES_FOLDER)) {
            ("cats and dogs".to_owned(), "in the data folder".to_owned())
        } else {
            self.source(&Remote::new(PICTURES_URL), "cats and dogs", "drawn samples")
        };
        let network = if self.online.value {
            "online"
        } else {
            "offline"
        };
        let run = if self.full.value {
            "full: all pictures, 30 epochs"
        } else {
            "quick: at most 400 + 200 pictures, 10 epochs"
        };
        let rows = [
            (
                "device",
                device::name(self.device.value),
                self.device.reason.clone(),
            ),
            (
                "precision",
                self.precision.value.to_string(),
                self.precision.reason.clone(),
            ),
            (
                "data folder",
                from_here(folder).display().to_string(),
                self.folder.reason.clone(),
            ),
            ("network", network.to_owned(), self.online.reason.clone()),
            ("weights", weights.0.clone(), weights.1),
            ("pictures", pictures.0.clone(), pictures.1),
            ("run", run.to_owned(), self.full.reason.clone()),
        ];
        let mut table = Table::new("Lab", &["", "choice", "why"]);
        for (what, choice, why) in rows {
            table.push([what.to_owned(), choice, why]);
        }
        let is_stand_in = weights.0.starts_with("seeded") || pictures.0 == "drawn samples";
        if is_stand_in {
            table = table.note(
                "Results made with drawn pictures or seeded weights show how the lesson works, \
                 not how well VGG16 does.",
            );
        }
        table
    }

    fn source(&self, remote: &Remote, real: &str, stand_in: &str) -> (String, String) {
        if remote.is_in(&self.folder.value) {
            (
                real.into(),
                format!("{} is in the data folder", remote.file_name),
            )
        } else if self.online.value {
            (
                real.into(),
                format!("{} will be downloaded once", remote.file_name),
            )
        } else {
            (
                stand_in.into(),
                format!(
                    "offline, and {} is not in the data folder",
                    remote.file_name
                ),
            )
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

/// The names in Keras' file, `{"0": ["n01440764", "tench"], ...}`, in the order of their numbers.
fn names_in(text: &[u8]) -> serde_json::Result<Vec<String>> {
    let all: HashMap<usize, (String, String)> = serde_json::from_slice(text)?;
    let names = (0..all.len()).map_while(|number| all.get(&number));
    Ok(names.map(|(_, name)| name.replace('_', " ")).collect())
}

/// The official weight file of an architecture.
fn weights_of(architecture: Architecture, with_top: bool) -> Remote {
    let md5 = match (architecture, with_top) {
        (Architecture::Vgg16, false) => "6d6bbae143d832006294945121d1f1fc",
        (Architecture::Vgg16, true) => "64373286793e3c8b2b4e3219cbf3544b",
        (Architecture::Vgg19, false) => "253f8cb515780f3b799900260a226db6",
        (Architecture::Vgg19, true) => "cbe5617147190e668d6c5d5026f83318",
        // `load_weights` refuses it before: nobody has trained it for others.
        (Architecture::SmallConvNet, _) => "",
    };
    let top = if with_top { "" } else { "_notop" };
    Remote::new(format!(
        "{WEIGHTS_URL}/{architecture}/{architecture}_weights_tf_dim_ordering_tf_kernels{top}.h5"
    ))
    .md5(md5)
}

/// The `data` folder of the project that this crate was built from.
fn project_data() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    // Notebooks are given the crate through a folder of links: people know the place itself.
    folder.canonicalize().unwrap_or(folder)
}

/// The drawn pictures: in the data folder, or in the project's own.
fn sample_folder(folder: &Path) -> PathBuf {
    let here = folder.join("samples");
    if here.is_dir() {
        here
    } else {
        project_data().join("samples")
    }
}

fn is_unpacked(folder: &Path) -> bool {
    ["train", "validation"]
        .iter()
        .all(|part| folder.join(part).is_dir())
}

fn has_pictures(folder: &Path) -> bool {
    is_unpacked(&folder.join(PICTURES_FOLDER)) || Remote::new(PICTURES_URL).is_in(folder)
}

fn precision_for(device: Device) -> Choice<Precision> {
    match device {
        Device::Cpu => match device::cpu_has_bf16() {
            Some(reason) => Choice::new(
                Precision::BFloat16,
                format!("the processor has it ({reason})"),
            ),
            None => Choice::new(Precision::F32, "the processor has no bf16 instructions"),
        },
        _ => {
            let (has_bf16, reason) = device::gpu_has_bf16();
            let precision = if has_bf16 {
                Precision::BFloat16
            } else {
                Precision::F32
            };
            Choice::new(precision, reason)
        }
    }
}

fn run_for(device: Device) -> Choice<bool> {
    match device {
        Device::Cpu => Choice::new(
            false,
            "on a CPU the whole lesson, with parts 2 and 3, takes hours",
        ),
        _ => Choice::new(true, "on a GPU it takes minutes"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn class_names_come_in_the_order_of_their_numbers() {
        // As Keras' file has them: in the order of its keys as text.
        let text = br#"{"0": ["n01440764", "tench"], "10": ["n01530575", "brambling"],
            "1": ["n01443537", "goldfish"], "2": ["n01484850", "great_white_shark"]}"#;
        // What comes after a gap has no place.
        assert_eq!(
            names_in(text).unwrap(),
            ["tench", "goldfish", "great white shark"]
        );
        assert!(names_in(b"<html>").is_err());
    }
}

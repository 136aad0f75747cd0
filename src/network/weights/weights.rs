//! Weight files of every kind, and seeded weights: what each has for each layer.
//!
//! What a file is follows from its content, never from its name. Whatever number format it holds,
//! f32 leaves here. Kernels leave in libtorch's order, [out, in, 3, 3] and [out, in], with a dense
//! layer's inputs flattened as Keras flattens them, (H, W, C).
//!
//! ```
//! use evcxr_transfer::{Architecture, Scaling, Weights};
//! let weights = Weights::seeded(7);
//! assert_eq!(weights.to_string(), "seeded random numbers (seed 7)");
//! assert_eq!(weights.own_scaling(Architecture::Vgg16), Scaling::Unit);
//! ```

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::machine::patience::patiently;
use crate::network::architecture::Architecture;
use crate::network::origin::Origin;
use crate::network::weights::hdf5::Hdf5;
use crate::network::weights::kind::WeightsKind;
use crate::network::weights::stored_layer::{Reading, StoredLayer, unusable};
use crate::network::weights::{keras_h5, keras3_h5, ot, safetensors};
use crate::pictures::scaling::Scaling;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;
use crate::show::table::grouped;

/// Weights for a network.
pub struct Weights {
    pub(super) kind: WeightsKind,
    pub(super) path: PathBuf,
    pub(super) seed: u64,
    /// In the file's order.
    pub(super) layers: Vec<StoredLayer>,
    /// What a saved classifier says of its base.
    recorded: Option<Origin>,
    /// What the caller says of the pixels that they were trained on.
    told: Option<Scaling>,
    /// What the dense layers are drawn from where the file has none of them.
    pub(super) top_seed: Option<u64>,
}

impl Weights {
    /// Reads a weight file: Keras' .h5 (the official files, `save_weights("x.h5")`, `save("x.h5")`) and
    /// .weights.h5, .safetensors with Keras' or torchvision's names, tch's .ot; or the base of a
    /// classifier that was saved here, which wants its pixels as the classifier did.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read; [`Error::Weights`] if it is damaged, cut short, holds
    /// a head or features, has values that are no finite numbers, or is of a kind that has to be converted first, with the command that does it;
    /// [`Error::Stopped`] if the cell is stopped while the disk does not answer.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), Reading::Whole)
    }

    /// The same without the numbers, for [`Weights::check_fits`]: reads names and shapes only, which takes
    /// milliseconds. (A .ot is read whole: its shapes are in a pickle.)
    ///
    /// # Errors
    /// As [`Weights::load`]; a file that is cut short may pass.
    pub(crate) fn look(path: &Path) -> Result<Self> {
        Self::read(path, Reading::Shapes)
    }

    fn read(path: &Path, reading: Reading) -> Result<Self> {
        let file = path.to_owned();
        let weights = patiently(&format!("reading {}", path.display()), move || {
            // Readers of binary formats have panicked on damaged files before; a cell must survive one.
            let read = std::panic::catch_unwind(|| read(&file, reading));
            read.unwrap_or_else(|_| {
                Err(unusable(
                    &file,
                    "the file is damaged: its reader gave up",
                    "Download it again",
                ))
            })
        })?;
        if weights.layers.is_empty() {
            return Err(unusable(
                path,
                "there is no layer with a kernel and a bias in it",
                "Load weights of VGG16 or another network that `Architecture` lists",
            ));
        }
        if reading == Reading::Whole {
            for layer in &weights.layers {
                for (role, tensor) in layer.weights.iter() {
                    let name = format_args!("{} {role}", layer.name);
                    tensors::check_finite(tensor, path, name)?;
                }
            }
        }
        Ok(weights)
    }

    /// Random weights that follow from `seed` alone, for tests and for work without a network.
    ///
    /// Kernels are uniform within sqrt(6 / fan_in), which keeps the scale of what flows through any
    /// number of ReLU layers (He et al. 2015, "Delving Deep into Rectifiers"); biases within 0.05.
    /// `tests/references/seeded.py` makes the same numbers with NumPy.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::of(WeightsKind::Seeded, Path::new(""), Vec::new())
        }
    }

    pub(super) fn of(kind: WeightsKind, path: &Path, layers: Vec<StoredLayer>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            seed: 0,
            layers,
            recorded: None,
            told: None,
            top_seed: None,
        }
    }

    /// The same convolutions under a top of seeded random numbers, for work without the official one: what
    /// lies below the top is the true network's, what the top says means nothing.
    pub(crate) fn with_seeded_top(mut self, seed: u64) -> Self {
        self.top_seed = Some(seed);
        self
    }

    /// The same weights, which were trained on pixels of this scaling: what no file says, such as timm's `mean`
    /// and `std`. A base with them begins with it, and a model saved with that base keeps it.
    ///
    /// ```
    /// use evcxr_transfer::{Architecture, Normalization, Weights};
    /// let half = Normalization::new([0.5; 3], [0.5; 3])?;
    /// let weights = Weights::seeded(0).trained_on(half);
    /// assert_eq!(weights.own_scaling(Architecture::Vgg16), half.into());
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias("preprocess_input", "mean", "std"))]
    pub fn trained_on(mut self, scaling: impl Into<Scaling>) -> Self {
        self.told = Some(scaling.into());
        self
    }

    /// The scaling of pixels that the weights were trained with, as those of this network.
    pub fn own_scaling(&self, architecture: Architecture) -> Scaling {
        let recorded = self.recorded.as_ref().map(|origin| origin.own_scaling);
        let own = || self.kind.own_scaling(architecture);
        self.told.or(recorded).unwrap_or_else(own)
    }

    /// Where a base with these weights comes from.
    pub(crate) fn origin(&self, architecture: Architecture, with_top: bool) -> Origin {
        let weights = self.to_string();
        let own_scaling = self.own_scaling(architecture);
        if let Some(recorded) = &self.recorded {
            return Origin {
                weights,
                scaling: self.told.unwrap_or(recorded.scaling),
                own_scaling,
                ..recorded.clone()
            };
        }
        Origin {
            // The lesson trains on features of pixels scaled by 1/255, which is not what Keras'
            // weights were made with; where the top is to name classes, only that will do, and who
            // says how they were trained means it.
            scaling: match with_top || self.told.is_some() {
                true => own_scaling,
                false => architecture.usual_scaling(own_scaling),
            },
            own_scaling,
            weights,
            // What a reader of results should know.
            notes: match (self.kind, self.top_seed) {
                (WeightsKind::Seeded, _) => vec!["seeded random weights".into()],
                (_, Some(_)) if with_top => vec!["seeded random top".into()],
                _ => Vec::new(),
            },
        }
    }

    /// Whether they were a classifier's, and may have learned what that was trained on.
    pub(crate) fn is_of_classifier(&self) -> bool {
        self.kind == WeightsKind::Classifier
    }
}

displayed!(
    Weights,
    "Shows the line under a notebook cell.",
    |weights| Bundle::text(&weights.to_string())
);

/// Looks at the content and hands the file to the reader of its kind.
fn read(path: &Path, reading: Reading) -> Result<Weights> {
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut start))
        .map_err(Error::file(path, "read"))?;
    let of = |kind, layers| Ok(Weights::of(kind, path, layers));
    match start.as_slice() {
        [] => Err(unusable(path, "the file is empty", "Download it again")),
        [0x89, b'H', b'D', b'F', ..] => {
            let file = Hdf5::open(path, reading)?;
            match keras_h5::read(&file)? {
                Some(layers) => of(WeightsKind::KerasH5, layers),
                None => of(WeightsKind::Keras3H5, keras3_h5::read(&file)?),
            }
        }
        [b'P', b'K', 3, 4, ..] => of(WeightsKind::TorchOt, ot::read(path)?),
        [0x80, 2..=5, ..] => Err(ot::needs_conversion(path)),
        [_, _, _, _, _, _, _, _, b'{', ..] => {
            let found = safetensors::read(path, reading)?;
            Ok(Weights {
                recorded: found.origin,
                ..Weights::of(found.kind, path, found.layers)
            })
        }
        text if text.starts_with(b"version https://git-lfs") => Err(unusable(
            path,
            "this is the placeholder that Git LFS leaves for a large file",
            "Fetch the file itself with `git lfs pull`",
        )),
        text if text.trim_ascii_start().starts_with(b"<") => Err(unusable(
            path,
            "this is a web page, saved in place of the file",
            "Download it again",
        )),
        _ => Err(unusable(
            path,
            "this is not a weight file of a known kind",
            "Load Keras' .h5, .safetensors or .ot; `cargo lab convert FILE` turns .pth into .safetensors",
        )),
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == WeightsKind::Seeded {
            return write!(f, "seeded random numbers (seed {})", self.seed);
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let parameters = self
            .layers
            .iter()
            .map(|layer| layer.weights.num_parameters());
        write!(
            f,
            "{name} ({}, {} layers, {} parameters)",
            self.kind,
            self.layers.len(),
            grouped(parameters.sum())
        )
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({self})")
    }
}

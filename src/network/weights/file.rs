//! Weight files of every kind, and seeded weights: for each layer its kernel and bias.
//!
//! What a file is follows from its content, never from its name. Whatever number format it holds,
//! f32 leaves here. Kernels leave in libtorch's order, [out, in, 3, 3] and [out, in], with a dense
//! layer's inputs flattened as Keras flattens them, (H, W, C).
//!
//! ```
//! use evcxr_transfer::{Scaling, Weights};
//! let weights = Weights::seeded(7);
//! assert_eq!(weights.to_string(), "seeded random numbers (seed 7)");
//! assert_eq!(weights.own_scaling(), Scaling::Unit);
//! ```

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::files::tensors::Store;
use crate::machine::random::Random;
use crate::network::weights::keras;
use crate::network::weights::torch;
use crate::pictures::photo::Scaling;
use crate::show::notebook;
use crate::show::table::grouped;

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightsKind {
    /// Keras' .h5 with `layer_names`: the official files, `save_weights("x.h5")`, `save("x.h5")`.
    KerasH5,
    /// Keras 3's `save_weights("x.weights.h5")`.
    Keras3H5,
    /// safetensors with Keras' layer names.
    KerasSafetensors,
    /// safetensors with torchvision's names (`features.0.weight`).
    TorchSafetensors,
    /// tch's .ot, with torchvision's names.
    TorchOt,
    /// Random numbers that follow from a seed.
    Seeded,
}

impl fmt::Display for WeightsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KerasH5 => "Keras .h5",
            Self::Keras3H5 => "Keras 3 .weights.h5",
            Self::KerasSafetensors => "safetensors with Keras' names",
            Self::TorchSafetensors => "safetensors with torchvision's names",
            Self::TorchOt => "tch .ot with torchvision's names",
            Self::Seeded => "seeded random numbers",
        })
    }
}

/// The kernel and bias of one layer.
pub struct LayerWeights {
    /// `[out, in, 3, 3]` for a convolution, `[out, in]` for a dense layer.
    pub kernel: Tensor,
    /// `[out]`.
    pub bias: Tensor,
}

impl LayerWeights {
    /// Fresh weights for a layer whose kernel is `kernel_shape` in Keras' order, (3, 3, in, out) or
    /// (in, out), as Keras draws them: the kernel uniform within sqrt(6 / (fan_in + fan_out))
    /// (Glorot and Bengio 2010), the bias zero. f32 on the CPU.
    pub(crate) fn glorot(
        kernel_shape: &[usize],
        random: &mut Random,
    ) -> std::result::Result<Self, TchError> {
        let &[ref window @ .., inputs, outputs] = kernel_shape else {
            return Err(TchError::Shape("a layer without a kernel".into()));
        };
        let window_values = window.iter().product::<usize>();
        let limit = (6.0 / (window_values * (inputs + outputs)) as f32).sqrt();
        let total = window_values * inputs * outputs;
        let values = (0..total).map(|_| (2.0 * random.uniform() - 1.0) * limit);
        let mut size = vec![outputs as i64, inputs as i64];
        size.extend(window.iter().map(|&n| n as i64));
        Ok(Self {
            kernel: Tensor::f_from_slice(&values.collect::<Vec<_>>())?.f_view(&*size)?,
            bias: Tensor::f_zeros([outputs as i64], (Kind::Float, tch::Device::Cpu))?,
        })
    }

    /// Takes a layer out of a file of our own, `NAME.weight` and `NAME.bias`; `kernel_shape` is
    /// libtorch's, `[out, in, ..]`, and `what` names what the file should hold.
    pub(crate) fn take(
        store: &mut Store,
        name: &str,
        kernel_shape: &[usize],
        path: &Path,
        what: &str,
    ) -> Result<Self> {
        let mut take = |part: &str, expected: &[usize]| {
            let tensor = store
                .tensors
                .remove(&format!("{name}.{part}"))
                .ok_or_else(|| tensors::not_saved_here(path, what))?;
            let found = tensors::shape(&tensor);
            // libtorch would spread a bias of one value over a whole layer without a word.
            if found != expected {
                return Err(Error::LayerShape {
                    path: path.to_owned(),
                    layer: format!("{name} {part}"),
                    expected: expected.to_vec(),
                    found,
                });
            }
            Ok(tensor)
        };
        Ok(Self {
            kernel: take("weight", kernel_shape)?,
            bias: take("bias", &kernel_shape[..1])?,
        })
    }

    /// The same tensors once more, in the same memory.
    pub(crate) fn shared(&self) -> Self {
        Self {
            kernel: self.kernel.shallow_clone(),
            bias: self.bias.shallow_clone(),
        }
    }

    /// The same values on a device.
    pub(crate) fn on(&self, device: tch::Device) -> std::result::Result<Self, TchError> {
        Ok(Self {
            kernel: self.kernel.f_to_device(device)?,
            bias: self.bias.f_to_device(device)?,
        })
    }

    /// The number of values in both.
    pub(crate) fn num_parameters(&self) -> usize {
        self.kernel.numel() + self.bias.numel()
    }

    /// The same values in memory of their own.
    pub(crate) fn copied(&self) -> std::result::Result<Self, TchError> {
        Ok(Self {
            kernel: self.kernel.f_detach_copy()?,
            bias: self.bias.f_detach_copy()?,
        })
    }
}

impl LayerWeights {
    /// Shows the shapes under a notebook cell.
    pub fn evcxr_display(&self) {
        notebook::Bundle::text(&format!("{self:?}")).show();
    }
}

impl fmt::Debug for LayerWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel {:?}, bias {:?}",
            self.kernel.size(),
            self.bias.size()
        )
    }
}

/// A layer as a file holds it: f32 on the CPU, in the file's own order of axes.
pub(crate) struct StoredLayer {
    pub(crate) name: String,
    pub(crate) kernel: Tensor,
    pub(crate) bias: Tensor,
}

/// Weights for a VGG network.
pub struct Weights {
    kind: WeightsKind,
    path: PathBuf,
    seed: u64,
    /// Convolutions in the network's order, then dense layers.
    layers: Vec<StoredLayer>,
}

impl Weights {
    /// Reads a weight file: Keras' official .h5 files and whatever else [`WeightsKind`] lists.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read; [`Error::Weights`] if it is damaged, cut short or
    /// of a kind that has to be converted first, with the command that does it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Readers of binary formats have panicked on damaged files before; a cell must survive one.
        let read = std::panic::catch_unwind(|| read(path));
        let (kind, mut layers) = read.unwrap_or_else(|_| {
            Err(unusable(
                path,
                "the file is damaged: its reader gave up",
                "Download it again",
            ))
        })?;
        if layers.is_empty() {
            return Err(unusable(
                path,
                "there is no layer with a kernel and a bias in it",
                "Load weights of VGG16 or VGG19",
            ));
        }
        // Dense layers come last in the network, wherever the file has them.
        layers.sort_by_key(|layer| layer.kernel.dim() != 4);
        Ok(Self {
            kind,
            path: path.to_owned(),
            seed: 0,
            layers,
        })
    }

    /// Random weights that follow from `seed` alone, for tests and for work without a network.
    ///
    /// Kernels are uniform within sqrt(6 / fan_in), which keeps the scale of what flows through any
    /// number of ReLU layers (He et al. 2015, "Delving Deep into Rectifiers"); biases within 0.05.
    /// `tests/references/seeded.py` makes the same numbers with NumPy.
    pub fn seeded(seed: u64) -> Self {
        Self {
            kind: WeightsKind::Seeded,
            path: PathBuf::new(),
            seed,
            layers: Vec::new(),
        }
    }

    /// Where the weights come from.
    pub fn kind(&self) -> WeightsKind {
        self.kind
    }

    /// The scaling of pixels that the weights were trained with.
    pub fn own_scaling(&self) -> Scaling {
        match self.kind {
            WeightsKind::Seeded => Scaling::Unit,
            WeightsKind::TorchSafetensors | WeightsKind::TorchOt => Scaling::Torch,
            _ => Scaling::Caffe,
        }
    }

    /// What a reader of results should know about these weights.
    pub(crate) fn notes(&self) -> Vec<String> {
        match self.kind {
            WeightsKind::Seeded => vec!["seeded random weights".into()],
            _ => Vec::new(),
        }
    }

    /// Refuses weights with convolutions that `names` does not have: VGG19's would otherwise fill
    /// VGG16 without a word, since it has all of its names.
    pub(crate) fn check_names(&self, names: &[&str]) -> Result<()> {
        let is_vgg = |name: &str| name.starts_with("block") && name.contains("_conv");
        let extra = |layer: &&StoredLayer| is_vgg(&layer.name) && !names.contains(&&*layer.name);
        match self.layers.iter().find(extra) {
            None => Ok(()),
            Some(layer) => Err(unusable(
                &self.path,
                format!("it has a layer {}, which this network has not", layer.name),
                "These are weights of another architecture; load the file that belongs to this one",
            )),
        }
    }

    /// The weights of the layer `name`, number `index` among the layers with weights, whose kernel
    /// is `kernel_shape` in Keras' order: (3, 3, in, out) or (in, out).
    ///
    /// A file whose names are not the network's is taken in order.
    pub(crate) fn layer(
        &self,
        index: usize,
        name: &str,
        kernel_shape: &[usize],
    ) -> Result<LayerWeights> {
        let failed = || Error::compute(format!("reading the weights of {name}"));
        if self.kind == WeightsKind::Seeded {
            return seeded_layer(self.seed, index, kernel_shape).map_err(failed());
        }
        let has_names = self
            .layers
            .iter()
            .any(|layer| layer.name.starts_with("block1_conv1"));
        let stored = if has_names {
            self.layers.iter().find(|layer| layer.name == name)
        } else {
            self.layers.get(index)
        };
        let stored = stored.ok_or_else(|| {
            let remedy = match kernel_shape.len() {
                2 => "The file was saved without its top; load the one with the top",
                _ => "Load the file that belongs to this architecture",
            };
            unusable(
                &self.path,
                format!("there is no layer {name} in it"),
                remedy,
            )
        })?;
        let is_torch = matches!(
            self.kind,
            WeightsKind::TorchSafetensors | WeightsKind::TorchOt
        );
        let keras_shape = |tensor: &Tensor| {
            let shape = tensors::shape(tensor);
            match (is_torch, shape.as_slice()) {
                (true, &[outputs, inputs, height, width]) => vec![height, width, inputs, outputs],
                (true, &[outputs, inputs]) => vec![inputs, outputs],
                _ => shape,
            }
        };
        // Checked before libtorch sees them: it would spread a bias of one value over the layer.
        let outputs = kernel_shape.last().copied().unwrap_or_default();
        for (part, tensor, expected) in [
            ("kernel", &stored.kernel, kernel_shape),
            ("bias", &stored.bias, &[outputs]),
        ] {
            let found = keras_shape(tensor);
            if found != expected {
                return Err(Error::LayerShape {
                    path: self.path.clone(),
                    layer: format!("{name} {part}"),
                    expected: expected.to_vec(),
                    found,
                });
            }
        }
        let kernel = match (is_torch, kernel_shape.len()) {
            (false, _) => torch_order(&stored.kernel),
            // torchvision flattens (C, H, W) before its first dense layer: 512 channels of 7 x 7.
            (true, 2) if name == "fc1" => stored
                .kernel
                .f_view([outputs as i64, 512, 7, 7])
                .and_then(|kernel| {
                    kernel
                        .f_permute([0, 2, 3, 1])?
                        .f_reshape([outputs as i64, -1])
                }),
            (true, _) => Ok(stored.kernel.shallow_clone()),
        };
        Ok(LayerWeights {
            kernel: kernel.map_err(failed())?,
            bias: stored.bias.shallow_clone(),
        })
    }
}

impl Weights {
    /// Shows the line under a notebook cell.
    pub fn evcxr_display(&self) {
        notebook::Bundle::text(&self.to_string()).show();
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
            .map(|layer| layer.kernel.numel() + layer.bias.numel());
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

/// A kernel in Keras' order of axes, brought into libtorch's.
fn torch_order(kernel: &Tensor) -> std::result::Result<Tensor, TchError> {
    match kernel.dim() {
        4 => kernel.f_permute([3, 2, 0, 1])?.f_contiguous(),
        _ => kernel.f_permute([1, 0])?.f_contiguous(),
    }
}

/// Tensor number t (kernel 2 x index, bias 2 x index + 1) has a generator of its own, seeded with
/// output number t of the seed's; element i, in Keras' order, comes from its output number i.
fn seeded_layer(
    seed: u64,
    index: usize,
    kernel_shape: &[usize],
) -> std::result::Result<LayerWeights, TchError> {
    let (outputs, inputs) = match kernel_shape.split_last() {
        Some((&outputs, inputs)) => (outputs, inputs),
        None => return Err(TchError::Shape("a layer without a kernel".into())),
    };
    let limit = (6.0 / inputs.iter().product::<usize>() as f64).sqrt() as f32;
    let mut seeds = SplitMix64::seed_from_u64(seed);
    let seeds = (0..2 * index + 2)
        .map(|_| seeds.next_u64())
        .collect::<Vec<_>>();
    let uniform = |seed: u64, shape: &[usize], limit: f32| {
        let mut generator = SplitMix64::seed_from_u64(seed);
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|_| {
            // 24 bits around zero: exact in f32 until the last product, so NumPy gets the same bits.
            let bits = (generator.next_u64() >> 40) as i64 - (1 << 23);
            bits as f32 * (1.0 / (1u32 << 23) as f32) * limit
        });
        let size = shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
        Tensor::f_from_slice(&values.collect::<Vec<f32>>())?.f_view(size.as_slice())
    };
    Ok(LayerWeights {
        kernel: torch_order(&uniform(seeds[2 * index], kernel_shape, limit)?)?,
        bias: uniform(seeds[2 * index + 1], &[outputs], 0.05)?,
    })
}

/// Looks at the content and hands the file to the reader of its kind.
fn read(path: &Path) -> Result<(WeightsKind, Vec<StoredLayer>)> {
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut start))
        .map_err(Error::file(path, "read"))?;
    match start.as_slice() {
        [] => Err(unusable(path, "the file is empty", "Download it again")),
        [0x89, b'H', b'D', b'F', ..] => keras::read(path),
        [b'P', b'K', 3, 4, ..] => torch::read_archive(path),
        [0x80, 2..=5, ..] => Err(torch::needs_conversion(path)),
        [_, _, _, _, _, _, _, _, b'{', ..] => torch::read_safetensors(path),
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

/// The error for a file that cannot be used.
pub(crate) fn unusable(
    path: &Path,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Error {
    Error::Weights {
        path: path.to_owned(),
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

/// Bytes in row-major order as an f32 tensor, whatever the kind of number.
pub(crate) fn f32_tensor(
    bytes: &[u8],
    shape: &[usize],
    kind: Kind,
) -> std::result::Result<Tensor, TchError> {
    let size = shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
    Tensor::f_from_data_size(bytes, &size, kind)?.f_to_kind(Kind::Float)
}

//! The weights of one layer: a kernel and a bias, or what batch normalisation keeps, or nothing.
//!
//! Tensors are f32 unless a base has brought them into another precision, and in libtorch's order of axes,
//! `[out, in, h, w]` and `[out, in]`; what a reader gets is in Keras'.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Precision, Weights};
//! let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let weights = base.layer_weights("block1_conv1")?;
//! assert_eq!(weights.array("kernel")?.shape(), [3, 3, 3, 64]);
//! assert_eq!(weights.array("bias")?.shape(), [64]);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::files::tensors::Store;
use crate::network::fast_convolution::FastConvolution;
use crate::network::parameter::{Parameter, Role};
use crate::show::display::displayed;
use crate::show::notebook::Bundle;

/// The weights of one layer.
#[derive(Default)]
pub struct LayerWeights {
    /// In the order of the layer's parameters.
    tensors: Vec<(Role, Tensor)>,
    /// Computes the same where no gradient is asked for.
    fast: Option<FastConvolution>,
    /// Whether batch normalisation takes the batch's own mean and variance, and lets its averages follow them.
    normalises_by_batch: bool,
}

impl LayerWeights {
    pub(crate) fn new(tensors: impl IntoIterator<Item = (Role, Tensor)>) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn kernel_and_bias(kernel: Tensor, bias: Tensor) -> Self {
        Self::new([(Role::Kernel, kernel), (Role::Bias, bias)])
    }

    /// One of the tensors by Keras' name, "kernel" or "bias" (of batch normalisation "gamma", "beta",
    /// "moving_mean", "moving_variance"), as an array in Keras' order of axes: (3, 3, in, out) or (in, out)
    /// for a kernel. A copy.
    ///
    /// # Errors
    /// [`Error::Argument`] if the layer has no such tensor, [`Error::Compute`] if the copy does not fit
    /// into memory.
    pub fn array(&self, name: &str) -> Result<ArrayD<f32>> {
        let mut all = self.iter();
        let Some((_, tensor)) = all.find(|(role, _)| role.to_string() == name) else {
            let known = self.iter().map(|(role, _)| role.to_string());
            return Err(Error::Argument {
                argument: "name",
                value: format!("{name:?}"),
                expected: format!("the layer has {}", known.collect::<Vec<_>>().join(", ")),
            });
        };
        let copied = || {
            let tensor = keras_order(tensor)?.f_to_device(Device::Cpu)?;
            let shape = tensors::shape(&tensor);
            let flat = Vec::<f32>::try_from(&tensor.f_contiguous()?.f_view(-1)?)?;
            ArrayD::from_shape_vec(IxDyn(&shape), flat)
                .map_err(|error| TchError::Shape(error.to_string()))
        };
        copied().map_err(Error::compute(format!("copying a layer's {name}")))
    }

    /// The tensors with what each is for, in the order of the layer's parameters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Role, &Tensor)> {
        self.tensors.iter().map(|(role, tensor)| (*role, tensor))
    }

    /// The tensor for this, if there is one.
    pub(crate) fn get(&self, role: Role) -> Option<&Tensor> {
        self.iter().find(|(own, _)| *own == role).map(|(_, t)| t)
    }

    /// The tensor for this, which the layer cannot do without.
    pub(crate) fn tensor(&self, role: Role) -> std::result::Result<&Tensor, TchError> {
        let missing = || TchError::Shape(format!("a layer has no {role}"));
        self.get(role).ok_or_else(missing)
    }

    /// The same tensors, each with something done to it.
    pub(crate) fn map(
        &self,
        change: impl Fn(&Tensor) -> std::result::Result<Tensor, TchError>,
    ) -> std::result::Result<Self, TchError> {
        let changed = self
            .iter()
            .map(|(role, tensor)| Ok((role, change(tensor)?)));
        let tensors = changed.collect::<std::result::Result<Vec<_>, TchError>>()?;
        Ok(Self::new(tensors))
    }

    /// The same tensors once more, in the same memory.
    pub(crate) fn shared(&self) -> Self {
        let shared = self
            .iter()
            .map(|(role, tensor)| (role, tensor.shallow_clone()));
        Self {
            fast: self.fast.as_ref().map(FastConvolution::shared),
            ..Self::new(shared)
        }
    }

    /// What computes the layer where no gradient is asked for, if there is more than the ordinary way.
    pub(crate) fn fast(&self) -> Option<&FastConvolution> {
        self.fast.as_ref()
    }

    /// The same, with such a convolution of just these weights.
    pub(crate) fn with_fast(self, fast: Option<FastConvolution>) -> Self {
        Self { fast, ..self }
    }

    /// Whether batch normalisation learns from the batch: Keras' training mode. Its averages, which these
    /// tensors share with whoever made them, then follow each batch.
    pub(crate) fn normalises_by_batch(&self) -> bool {
        self.normalises_by_batch
    }

    /// The same, with batch normalisation in training mode or in inference mode.
    pub(crate) fn normalising(self, by_batch: bool) -> Self {
        Self {
            normalises_by_batch: by_batch,
            ..self
        }
    }

    /// The same values on a device.
    pub(crate) fn on(&self, device: Device) -> std::result::Result<Self, TchError> {
        self.map(|tensor| tensor.f_to_device(device))
    }

    /// The same values in memory of their own.
    pub(crate) fn copied(&self) -> std::result::Result<Self, TchError> {
        self.map(Tensor::f_detach_copy)
    }

    /// The same with more tensors.
    pub(crate) fn with(mut self, more: impl IntoIterator<Item = (Role, Tensor)>) -> Self {
        self.tensors.extend(more);
        self
    }

    /// The same in a kind of number that convolutions compute in. What batch normalisation keeps stays f32, as
    /// in Keras' mixed precision: a variance of 8 bits would be off by as much as what it divides.
    pub(crate) fn in_kind(&self, kind: Kind) -> std::result::Result<Self, TchError> {
        let cast = self.iter().map(|(role, tensor)| match role {
            Role::Kernel | Role::Bias => Ok((role, tensor.f_to_kind(kind)?)),
            _ => Ok((role, tensor.shallow_clone())),
        });
        let tensors = cast.collect::<std::result::Result<Vec<_>, TchError>>()?;
        Ok(Self::new(tensors))
    }

    /// The tensors as a device computes with them, in a kind of number: kernels of convolutions in
    /// channels_last memory order.
    pub(crate) fn computing(
        &self,
        device: Device,
        kind: Kind,
    ) -> std::result::Result<Self, TchError> {
        self.on(device)?
            .in_kind(kind)?
            .map(|there| match there.dim() {
                // tch knows no memory formats; permuting there, copying and permuting back gives the same.
                4 => there
                    .f_permute([0, 2, 3, 1])?
                    .f_contiguous()?
                    .f_permute([0, 3, 1, 2]),
                // Copied, since on the CPU it would share its memory with what was loaded.
                1 => there.f_detach_copy(),
                _ => Ok(there.shallow_clone()),
            })
    }

    /// The number of values in all of them.
    pub(crate) fn num_parameters(&self) -> usize {
        self.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// Puts the tensors into a file of our own: `NAME.weight`, `NAME.bias`.
    pub(crate) fn write(&self, store: &mut Store, name: &str) {
        for (role, tensor) in self.iter() {
            let name = format!("{name}.{}", role.torch());
            store.tensors.insert(name, tensor.shallow_clone());
        }
    }

    /// Takes a layer with these parameters out of a file of our own; `what` names what the file should
    /// hold.
    ///
    /// # Errors
    /// [`Error::Weights`] if a tensor is missing or not finite, [`Error::LayerShape`] if one has another shape.
    pub(crate) fn take(
        store: &mut Store,
        name: &str,
        parameters: &[Parameter],
        path: &Path,
        what: &str,
    ) -> Result<Self> {
        let take = |parameter: &Parameter| {
            let part = parameter.role.torch();
            let tensor = store.tensors.remove(&format!("{name}.{part}"));
            let tensor = tensor.ok_or_else(|| tensors::not_saved_here(path, what))?;
            // libtorch would spread a bias of one value over a whole layer without a word.
            check_shape(&tensor, &parameter.torch_shape(), path, || {
                format!("{name} {part}")
            })?;
            tensors::check_finite(&tensor, path, format_args!("{name} {part}"))?;
            Ok((parameter.role, tensor))
        };
        let tensors = parameters.iter().map(take).collect::<Result<Vec<_>>>()?;
        Ok(Self::new(tensors))
    }
}

displayed!(
    LayerWeights,
    "Shows the shapes under a notebook cell.",
    |weights| Bundle::text(&format!("{weights:?}"))
);

/// Refuses a tensor of another shape than the layer needs; `layer` names both.
pub(crate) fn check_shape(
    tensor: &Tensor,
    expected: &[usize],
    path: &Path,
    layer: impl FnOnce() -> String,
) -> Result<()> {
    let found = tensors::shape(tensor);
    if found == expected {
        return Ok(());
    }
    Err(Error::LayerShape {
        path: path.to_owned(),
        layer: layer(),
        expected: expected.to_vec(),
        found,
    })
}

/// A tensor in libtorch's order of axes, seen in Keras'.
pub(crate) fn keras_order(tensor: &Tensor) -> std::result::Result<Tensor, TchError> {
    match tensor.dim() {
        4 => tensor.f_permute([2, 3, 1, 0]),
        2 => tensor.f_permute([1, 0]),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// A tensor in Keras' order of axes, brought into libtorch's.
pub(crate) fn torch_order(tensor: &Tensor) -> std::result::Result<Tensor, TchError> {
    match tensor.dim() {
        4 => tensor.f_permute([3, 2, 0, 1])?.f_contiguous(),
        2 => tensor.f_permute([1, 0])?.f_contiguous(),
        _ => Ok(tensor.shallow_clone()),
    }
}

impl fmt::Debug for LayerWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes = self
            .iter()
            .map(|(role, tensor)| format!("{role} {:?}", tensor.size()));
        f.write_str(&shapes.collect::<Vec<_>>().join(", "))
    }
}

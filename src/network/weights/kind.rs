//! The kinds of weights that are understood.

use std::fmt;

use crate::network::architecture::Architecture;
use crate::pictures::scaling::Scaling;

/// What a weight file is. It follows from the content, never from the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightsKind {
    /// Keras' .h5 with `layer_names`: the official files, `save_weights("x.h5")`, `save("x.h5")`.
    KerasH5,
    /// Keras 3's `save_weights("x.weights.h5")`.
    Keras3H5,
    /// safetensors with Keras' layer names.
    KerasSafetensors,
    /// safetensors with torchvision's names (`features.0.weight`).
    TorchSafetensors,
    /// A classifier that this crate has saved: the base in it, with torchvision's names.
    Classifier,
    /// tch's .ot, with torchvision's names.
    TorchOt,
    /// Random numbers that follow from a seed.
    Seeded,
}

impl WeightsKind {
    /// Whether kernels are in PyTorch's order of axes.
    pub(crate) fn is_torch(self) -> bool {
        matches!(
            self,
            Self::TorchSafetensors | Self::TorchOt | Self::Classifier
        )
    }

    /// The scaling of pixels that such weights of a network are trained with, where the file does not say.
    pub(crate) fn own_scaling(self, architecture: Architecture) -> Scaling {
        match self {
            Self::Seeded => Scaling::Unit,
            kind if kind.is_torch() => Scaling::Torch,
            _ => architecture.keras_scaling(),
        }
    }
}

impl fmt::Display for WeightsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KerasH5 => "Keras .h5",
            Self::Keras3H5 => "Keras 3 .weights.h5",
            Self::KerasSafetensors => "safetensors with Keras' names",
            Self::TorchSafetensors => "safetensors with torchvision's names",
            Self::Classifier => "the base of a saved classifier",
            Self::TorchOt => "tch .ot with torchvision's names",
            Self::Seeded => "seeded random numbers",
        })
    }
}

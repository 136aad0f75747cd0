//! A [`Pretrained`]: one of the networks that there are pretrained weights for.

use std::fmt;

use crate::network::architecture::Architecture;
use crate::network::weights::weights::Weights;

/// VGG16, say, with or without its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pretrained {
    pub(crate) architecture: Architecture,
    pub(crate) with_top: bool,
}

impl Pretrained {
    /// The lesson's: VGG16 without its top.
    pub(crate) const LESSON: Self = Self::new(Architecture::Vgg16, false);

    /// All of them; what has a top comes before the same without, which its weights fit too.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let both = |network| [Self::new(network, true), Self::new(network, false)];
        Architecture::PRETRAINED.into_iter().flat_map(both)
    }

    pub(crate) const fn new(architecture: Architecture, with_top: bool) -> Self {
        Self {
            architecture,
            with_top,
        }
    }

    /// Whether a base can be made of these weights; weights with a top fit the network without, too.
    pub(crate) fn is_fitted_by(self, weights: &Weights) -> bool {
        // Any size will do: no weight depends on it but those of VGG's top, which has one size.
        let size = self.architecture.size_with_top();
        let graph = self.architecture.graph(size, self.with_top);
        weights.check_fits(&graph).is_ok()
    }

    /// torchvision's file of the same network, with its top: the name that PyTorch keeps it under. None where
    /// torchvision has another network of that name.
    pub(crate) fn torchvision_file(self) -> Option<&'static str> {
        match self.architecture {
            Architecture::Vgg16 => Some("vgg16-397923af.pth"),
            Architecture::Vgg19 => Some("vgg19-dcbb9e9d.pth"),
            _ => None,
        }
    }
}

/// `vgg16`, `vgg16 with its top`.
impl fmt::Display for Pretrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = if self.with_top { " with its top" } else { "" };
        write!(f, "{}{top}", self.architecture)
    }
}

//! What features were made with: a head that learned from some takes others only if they are of the same
//! make. VGG16's and VGG19's have one shape, and so have those of every scaling.

use serde::{Deserialize, Serialize};
use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::random::hash_of;
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::weights::layer_weights::LayerWeights;
use crate::pictures::resize::Interpolation;
use crate::pictures::scaling::Scaling;

/// How many values of each weight tensor tell one network from another: training moves nearly all of
/// them.
const VALUES: usize = 4096;

/// A base and how its pictures were prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    architecture: Architecture,
    /// A hash of the weights, which are other ones after fine-tuning.
    weights: String,
    size: usize,
    scaling: Scaling,
    interpolation: Interpolation,
}

impl Provenance {
    /// Features that `base` makes of pictures resized like this.
    pub(crate) fn new(base: &Base, interpolation: Interpolation) -> Result<Self> {
        Ok(Self {
            architecture: base.architecture(),
            weights: hash_of_weights(base.weights())?,
            size: base.size(),
            scaling: base.origin().scaling,
            interpolation,
        })
    }

    /// How the pictures were resized.
    pub(crate) fn interpolation(&self) -> Interpolation {
        self.interpolation
    }

    /// Refuses `found`, called `what` in the message, if it is of another make.
    pub(crate) fn check(&self, found: &Self, what: &str) -> Result<()> {
        let Some([expected, found]) = self.difference(found) else {
            return Ok(());
        };
        Err(Error::Mismatch {
            what: what.into(),
            expected: format!("features {expected}, as the head was made for"),
            found: format!("features {found}"),
            remedy: "Extract them with the base, its scaling and the interpolation that the head \
                     was made for, or train a new head"
                .into(),
        })
    }

    /// In what both differ, this one first: "from vgg16", "from vgg19"; nothing if they are of one make.
    pub(crate) fn difference(&self, found: &Self) -> Option<[String; 2]> {
        let both = [self, found];
        Some(if self.architecture != found.architecture {
            both.map(|make| format!("from {}", make.architecture))
        } else if self.weights != found.weights {
            both.map(|make| format!("from weights with the hash {}", make.weights))
        } else if self.size != found.size {
            both.map(|make| format!("of pictures of {0} x {0} pixels", make.size))
        } else if self.scaling != found.scaling {
            both.map(|make| format!("of pixels {}", make.scaling))
        } else if self.interpolation != found.interpolation {
            both.map(|make| format!("of pictures resized by {}", make.interpolation))
        } else {
            return None;
        })
    }
}

/// What tells these weights from others.
pub(crate) fn hash_of_weights(layers: &[LayerWeights]) -> Result<String> {
    let mut bytes = Vec::new();
    for (_, tensor) in layers.iter().flat_map(LayerWeights::iter) {
        let values = first(tensor).map_err(Error::compute("telling weights apart"))?;
        bytes.extend(values.into_iter().flat_map(f32::to_le_bytes));
    }
    Ok(format!("{:016x}", hash_of(bytes)))
}

/// The first values of a tensor on any device.
fn first(tensor: &Tensor) -> std::result::Result<Vec<f32>, TchError> {
    let values = tensor.f_reshape(-1)?;
    let some = VALUES.min(values.numel()) as i64;
    Vec::<f32>::try_from(&values.f_narrow(0, 0, some)?.f_to_device(Device::Cpu)?)
}

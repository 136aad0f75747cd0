//! [`Scaling`]: how bytes become the numbers that a network takes.
//!
//! (N, H, W, 3) RGB bytes come in, f32 of the same shape go out to the base, which has the scaling
//! that its weights were trained with.
//!
//! ```
//! use evcxr_transfer::Scaling;
//! assert_eq!(Scaling::default().to_string(), "scaled by 1/255");
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::machine::scalar::scalar;
use crate::pictures::normalization::{Normalization, per_channel};

/// The mean of ImageNet's pixels, blue, green and red from 0 to 255, in Caffe's networks.
pub(crate) const CAFFE_MEAN: [f32; 3] = [103.939, 116.779, 123.68];

/// How bytes become the numbers that a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// 0 to 1: the lesson's `rescale=1./255`.
    #[default]
    Unit,
    /// What Keras' VGG and ResNet weights were trained with (`preprocess_input`, mode "caffe"): BGR, less
    /// the mean of ImageNet's pixels, 103.939, 116.779 and 123.68.
    Caffe,
    /// What Keras' ResNetV2 and Inception weights were trained with (mode "tf"): -1 to 1.
    Tf,
    /// What torchvision's weights were trained with: 0 to 1, less the mean (0.485, 0.456, 0.406),
    /// over the standard deviation (0.229, 0.224, 0.225).
    Torch,
    /// Any other mean and deviation, in either order of the channels.
    Normalization(Normalization),
}

impl From<Normalization> for Scaling {
    fn from(told: Normalization) -> Self {
        Self::Normalization(told)
    }
}

impl Scaling {
    /// (N, H, W, 3) RGB bytes to f32 of the same shape.
    pub(crate) fn apply(self, bytes: &Tensor) -> std::result::Result<Tensor, TchError> {
        let pixels = bytes.f_to_kind(Kind::Float)?;
        // Keras multiplies by the f32 nearest to 1/255; dividing by 255 differs in the last bit.
        match self {
            Self::Unit => pixels.f_mul(&scalar(f64::from(1.0f32 / 255.0))?),
            Self::Caffe => {
                let mean = per_channel(CAFFE_MEAN, pixels.device())?;
                pixels.f_flip([3])?.f_sub(&mean)
            }
            Self::Tf => pixels.f_div(&scalar(127.5)?)?.f_sub(&scalar(1.0)?),
            Self::Torch => Normalization::IMAGENET.apply(pixels),
            Self::Normalization(told) => told.apply(pixels),
        }
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = match self {
            Self::Unit => "scaled by 1/255",
            Self::Caffe => "as BGR less ImageNet's mean (Keras' preprocess_input)",
            Self::Tf => "scaled to -1 to 1 (Keras' preprocess_input)",
            Self::Torch => "normalised by ImageNet's mean and deviation (torchvision)",
            Self::Normalization(told) => return told.fmt(f),
        };
        f.write_str(known)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    fn every_byte() -> Tensor {
        let bytes: Vec<u8> = (0..=255u8)
            .flat_map(|byte| [byte, 255 - byte, byte / 2])
            .collect();
        Tensor::from_slice(&bytes).view([1, 16, 16, 3])
    }

    #[test]
    fn the_known_scalings_can_be_told_in_full() {
        let in_bytes = |values: [f32; 3]| values.map(|value| value / 255.0);
        let caffe = Normalization::new(in_bytes([103.939, 116.779, 123.68]), in_bytes([1.0; 3]));
        let tf = Normalization::new([0.5; 3], [0.5; 3]).unwrap();
        for (told, known, most) in [
            (Normalization::IMAGENET, Scaling::Torch, 0.0),
            // Values up to 151 and 1 after as many roundings as steps.
            (caffe.unwrap().bgr(), Scaling::Caffe, 1e-4),
            (tf, Scaling::Tf, 1e-6),
        ] {
            let [told, known] =
                [told.into(), known].map(|scaling: Scaling| scaling.apply(&every_byte()).unwrap());
            let off = (told - known).abs().max().double_value(&[]);
            assert!(off <= most, "{off}");
        }
    }
}

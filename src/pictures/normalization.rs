//! [`Normalization`]: a scaling of pixels that is told in full, for weights that want none of the known ones.
//!
//! ```
//! use evcxr_transfer::Normalization;
//! let half = Normalization::new([0.5; 3], [0.5; 3])?;
//! assert_eq!(half.to_string(), "less the mean 0.5, 0.5, 0.5, over the deviation 0.5, 0.5, 0.5");
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::scalar::scalar;

/// Pixels from 0 to 1, less a mean, over a standard deviation, one of each for a channel: torchvision's
/// `Normalize(mean, std)`, and what timm calls `mean` and `std` of a model.
///
/// [`Scaling`](crate::Scaling) says what each of the well-known networks wants; this is for others, in
/// [`Base::scaling`](crate::Base::scaling) and [`Weights::trained_on`](crate::Weights::trained_on). Saved models
/// and ONNX files keep it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Told")]
#[doc(alias("Normalize", "mean", "std"))]
pub struct Normalization {
    mean: [f32; 3],
    deviation: [f32; 3],
    bgr: bool,
}

impl Normalization {
    /// What torchvision's weights were trained with: the mean and deviation of ImageNet's pixels.
    pub(crate) const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        deviation: [0.229, 0.224, 0.225],
        bgr: false,
    };

    /// This mean and standard deviation of red, green and blue, as parts of 1: numbers for pixels from 0 to 255
    /// are divided by 255 first. A deviation of 1 only takes the mean away.
    ///
    /// ```
    /// use evcxr_transfer::{Base, Device, Normalization, Precision, Weights};
    /// # let weights = Weights::seeded(0);
    /// let base = Base::vgg16(150, &weights, Device::Cpu, Precision::F32)?;
    /// let base = base.scaling(Normalization::new([0.5; 3], [0.5; 3])?);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a mean that is not 0 to 1, or a deviation that is not above 0 and 1 at most.
    pub fn new(mean: [f32; 3], deviation: [f32; 3]) -> Result<Self> {
        let refuse = |argument, values: [f32; 3], expected: &str| {
            Err(Error::Argument {
                argument,
                value: in_words(values),
                expected: format!(
                    "{expected}: the numbers are for pixels from 0 to 1; divide those for 0 to 255 by 255"
                ),
            })
        };
        if !mean.iter().all(|value| (0.0..=1.0).contains(value)) {
            return refuse("mean", mean, "it must be 0 to 1");
        }
        if !deviation.iter().all(|&value| value > 0.0 && value <= 1.0) {
            return refuse("deviation", deviation, "it must be above 0, and 1 at most");
        }
        Ok(Self {
            mean,
            deviation,
            bgr: false,
        })
    }

    /// The same for a network that takes blue, green and red, in this order; so mean and deviation are meant then.
    #[doc(alias("channel_order", "to_rgb"))]
    pub fn bgr(self) -> Self {
        Self { bgr: true, ..self }
    }

    /// The mean of each channel, in the order that the network takes them in.
    pub(crate) fn mean(&self) -> [f32; 3] {
        self.mean
    }

    /// The standard deviation of each channel, in the same order.
    pub(crate) fn deviation(&self) -> [f32; 3] {
        self.deviation
    }

    /// Whether the network takes blue first.
    pub(crate) fn is_bgr(&self) -> bool {
        self.bgr
    }

    /// (N, H, W, 3) RGB pixels from 0 to 255, f32, to what the network takes, in torchvision's order of steps.
    pub(crate) fn apply(&self, pixels: Tensor) -> std::result::Result<Tensor, TchError> {
        let device = pixels.device();
        let pixels = match self.bgr {
            true => pixels.f_flip([3])?,
            false => pixels,
        };
        pixels
            // torchvision's `ToTensor` divides.
            .f_div(&scalar(255.0)?)?
            .f_sub(&per_channel(self.mean, device)?)?
            .f_div(&per_channel(self.deviation, device)?)
    }
}

/// One value for each channel, made on the device: a copy from the host would make it wait in every batch.
pub(crate) fn per_channel(
    values: [f32; 3],
    device: tch::Device,
) -> std::result::Result<Tensor, TchError> {
    let filled = |v| Tensor::f_empty([1], (Kind::Float, device))?.f_fill_(f64::from(v));
    let parts = values.map(filled);
    let parts = parts
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Tensor::f_cat(&parts, 0)
}

fn in_words(values: [f32; 3]) -> String {
    values.map(|value| value.to_string()).join(", ")
}

impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bgr {
            f.write_str("as BGR ")?;
        }
        let (mean, deviation) = (in_words(self.mean), in_words(self.deviation));
        write!(f, "less the mean {mean}, over the deviation {deviation}")
    }
}

/// What a file says, before it is checked.
#[derive(Deserialize)]
struct Told {
    mean: [f32; 3],
    deviation: [f32; 3],
    bgr: bool,
}

impl TryFrom<Told> for Normalization {
    type Error = Error;

    fn try_from(told: Told) -> Result<Self> {
        let plain = Self::new(told.mean, told.deviation)?;
        Ok(match told.bgr {
            true => plain.bgr(),
            false => plain,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mean_or_deviation_is_refused_in_files_too() {
        for (mean, deviation, argument) in [
            ([123.675, 116.28, 103.53], [0.5; 3], "mean is 123.675"),
            ([-0.1; 3], [0.5; 3], "mean"),
            ([f32::NAN; 3], [0.5; 3], "mean"),
            ([0.5; 3], [58.395, 57.12, 57.375], "deviation is 58.395"),
            ([0.5; 3], [0.5, 0.0, 0.5], "deviation"),
            ([0.5; 3], [f32::NAN; 3], "deviation"),
        ] {
            let error = Normalization::new(mean, deviation).unwrap_err().to_string();
            assert!(
                error.starts_with(argument) && error.contains("by 255"),
                "{error}"
            );
        }
        let told = Normalization::IMAGENET.bgr();
        let stored = serde_json::to_string(&told).unwrap();
        let found: Normalization = serde_json::from_str(&stored).unwrap();
        assert_eq!(found, told);
        for damaged in [stored.replace("0.229", "0.0"), stored.replace("0.485", "4")] {
            assert!(serde_json::from_str::<Normalization>(&damaged).is_err());
        }
    }
}

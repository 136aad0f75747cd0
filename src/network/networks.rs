//! The bases by their names: `Base::vgg16`, `Base::resnet50` and so on.

use tch::Device;

use crate::error::{Error, Result};
use crate::machine::precision::Precision;
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::pooling::Pooling;
use crate::network::weights::weights::Weights;

impl Base {
    /// Any of the networks with pretrained weights without its top, for pictures of `size` x `size` pixels.
    ///
    /// ```
    /// use evcxr_transfer::{Architecture, Base, Device, Precision, Weights};
    /// let weights = Weights::seeded(0);
    /// let base = Base::without_top(Architecture::ResNet50, 64, &weights, Device::Cpu, Precision::F32)?;
    /// assert_eq!(base.output_shape(), [2, 2, 2048]);
    /// assert_eq!(base.num_parameters(), 23_587_712);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Base::vgg16`]; InceptionV3 takes no pictures below 75 pixels.
    #[doc(alias = "include_top")]
    pub fn without_top(
        architecture: Architecture,
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::new(architecture, size, false, weights, device, precision)
    }

    /// The whole network with its top, which names 1,000 ImageNet classes; 224 x 224 pixels, InceptionV3
    /// 299 x 299.
    ///
    /// Keras: `VGG16(weights=..., include_top=True)`.
    ///
    /// # Errors
    /// As [`Base::vgg16`]; weights saved without the top are [`Error::Weights`](crate::Error::Weights).
    pub fn with_top(
        architecture: Architecture,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let size = architecture.size_with_top();
        Self::new(architecture, size, true, weights, device, precision)
    }

    /// VGG16 without its top, for pictures of `size` x `size` pixels. The lesson's size is 150.
    ///
    /// Keras: `VGG16(weights=..., include_top=False, input_shape=(150, 150, 3))`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if `size` is not from 32 to 4,096,
    /// [`Error::Weights`](crate::Error::Weights) or [`Error::LayerShape`](crate::Error::LayerShape) if the
    /// weights do not fit, [`Error::Device`](crate::Error::Device) or
    /// [`Error::Compute`](crate::Error::Compute) if the device cannot hold them.
    pub fn vgg16(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::Vgg16, size, weights, device, precision)
    }

    /// VGG19 without its top; otherwise as [`Base::vgg16`].
    ///
    /// # Errors
    /// As [`Base::vgg16`].
    pub fn vgg19(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::Vgg19, size, weights, device, precision)
    }

    /// ResNet50 without its top: (5, 5, 2048) at 150 pixels, 23,587,712 parameters. Its batch normalisation
    /// keeps the means and variances that it was trained with, whatever learns, unless a classifier says
    /// [`train_batch_norm(true)`](crate::Classifier::train_batch_norm).
    ///
    /// Keras: `ResNet50(weights=..., include_top=False, input_shape=(150, 150, 3))`, called with
    /// `training=False`.
    ///
    /// # Errors
    /// As [`Base::vgg16`]. torchvision's ResNet50 is another network than Keras'; its weights are refused.
    pub fn resnet50(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::ResNet50, size, weights, device, precision)
    }

    /// ResNet101 without its top, 42,658,176 parameters; otherwise as [`Base::resnet50`].
    ///
    /// # Errors
    /// As [`Base::resnet50`].
    pub fn resnet101(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::ResNet101, size, weights, device, precision)
    }

    /// ResNet152 without its top, 58,370,944 parameters; otherwise as [`Base::resnet50`].
    ///
    /// # Errors
    /// As [`Base::resnet50`].
    pub fn resnet152(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::ResNet152, size, weights, device, precision)
    }

    /// ResNet50V2 without its top, 23,564,800 parameters; otherwise as [`Base::resnet50`].
    ///
    /// # Errors
    /// As [`Base::resnet50`].
    pub fn resnet50_v2(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::ResNet50V2, size, weights, device, precision)
    }

    /// ResNet101V2 without its top: (5, 5, 2048) at 150 pixels, 42,626,560 parameters; otherwise as
    /// [`Base::resnet50`].
    ///
    /// # Errors
    /// As [`Base::resnet50`].
    pub fn resnet101_v2(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::ResNet101V2, size, weights, device, precision)
    }

    /// ResNet152V2 without its top, 58,331,648 parameters; otherwise as [`Base::resnet50`].
    ///
    /// # Errors
    /// As [`Base::resnet50`].
    pub fn resnet152_v2(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::ResNet152V2, size, weights, device, precision)
    }

    /// InceptionV3 without its top: (3, 3, 2048) at 150 pixels, 21,802,784 parameters; otherwise as
    /// [`Base::resnet50`].
    ///
    /// # Errors
    /// As [`Base::resnet50`], and if `size` is below 75.
    pub fn inception_v3(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::without_top(Architecture::InceptionV3, size, weights, device, precision)
    }
}

impl Base {
    /// The same base with one number for each channel at its end, (N, C) instead of (N, H, W, C): the usual way for
    /// residual and Inception networks, whose maps make heads very large otherwise.
    ///
    /// Keras: `ResNet50(include_top=False, pooling="avg")`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it has its top or pools already.
    pub fn pooling(self, pooling: Pooling) -> Result<Self> {
        if self.output_shape().len() != 3 {
            return Err(Error::Mismatch {
                what: "the base that is to pool".into(),
                expected: "one that ends in maps, (H, W, C)".into(),
                found: format!("one that ends in {:?}", self.output_shape()),
                remedy: "Use `lab.resnet50(150)?.pooling(Pooling::Average)?`".into(),
            });
        }
        Ok(self.pooled(pooling))
    }
}

//! The lab's bases by their names: `lab.vgg16(150)?`, `lab.resnet50(150)?` and so on.

use crate::error::Result;
use crate::lab::lab::Lab;
use crate::network::architecture::Architecture;
use crate::network::base::Base;

impl Lab {
    /// Any of the networks without its top for pictures of `size` x `size` pixels, with ImageNet weights.
    ///
    /// ```
    /// use evcxr_transfer::{Architecture, Lab};
    /// let lab = Lab::open()?.samples(); // seeded weights in the place of ImageNet's
    /// let base = lab.base(Architecture::ResNet50V2, 64)?;
    /// assert_eq!(base.output_shape(), [2, 2, 2048]);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if `size` is below 32 (InceptionV3: 75) or the network has
    /// no pretrained weights, [`Error::Download`](crate::Error::Download) if the weights cannot be fetched,
    /// [`Error::Weights`](crate::Error::Weights) if they do not fit,
    /// [`Error::Device`](crate::Error::Device) if the device is not there.
    pub fn base(&self, architecture: Architecture, size: usize) -> Result<Base> {
        architecture.check_size(size)?;
        let weights = self.load_weights(architecture, false)?;
        let (device, precision) = (self.device.value, self.precision.value);
        let base = Base::without_top(architecture, size, &weights, device, precision)?;
        Ok(base.progress(self.progress.clone()))
    }

    /// VGG16 without its top, the lesson's base; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn vgg16(&self, size: usize) -> Result<Base> {
        self.base(Architecture::Vgg16, size)
    }

    /// VGG19 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn vgg19(&self, size: usize) -> Result<Base> {
        self.base(Architecture::Vgg19, size)
    }

    /// ResNet50 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn resnet50(&self, size: usize) -> Result<Base> {
        self.base(Architecture::ResNet50, size)
    }

    /// ResNet101 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn resnet101(&self, size: usize) -> Result<Base> {
        self.base(Architecture::ResNet101, size)
    }

    /// ResNet152 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn resnet152(&self, size: usize) -> Result<Base> {
        self.base(Architecture::ResNet152, size)
    }

    /// ResNet50V2 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn resnet50_v2(&self, size: usize) -> Result<Base> {
        self.base(Architecture::ResNet50V2, size)
    }

    /// ResNet101V2 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn resnet101_v2(&self, size: usize) -> Result<Base> {
        self.base(Architecture::ResNet101V2, size)
    }

    /// ResNet152V2 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn resnet152_v2(&self, size: usize) -> Result<Base> {
        self.base(Architecture::ResNet152V2, size)
    }

    /// InceptionV3 without its top; otherwise as [`Lab::base`].
    ///
    /// # Errors
    /// As [`Lab::base`].
    pub fn inception_v3(&self, size: usize) -> Result<Base> {
        self.base(Architecture::InceptionV3, size)
    }
}

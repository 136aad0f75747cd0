//! The lab's networks: bases with official weights or what stands in for them, stored classifiers.

use std::path::Path;

use crate::error::{Error, Result};
use crate::lab::choice::WeightsChoice;
use crate::lab::lab::Lab;
use crate::lab::official;
use crate::machine::device;
use crate::model::classifier::Classifier;
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::weights::weights::Weights;

/// The seed of the random weights that stand in for ImageNet's.
const STAND_IN_SEED: u64 = 0;

impl Lab {
    /// VGG16 without its top for pictures of `size` x `size` pixels, with ImageNet weights.
    ///
    /// # Errors
    /// [`Error::Argument`] if `size` is below 32, [`Error::Download`] if the weights cannot be
    /// fetched, [`Error::Weights`] if they do not fit, [`Error::Device`] if the device is not there.
    pub fn vgg16(&self, size: usize) -> Result<Base> {
        let weights = self.load_weights(Architecture::Vgg16, false)?;
        let base = Base::vgg16(size, &weights, self.device.value, self.precision.value)?;
        Ok(base.progress(self.progress.clone()))
    }

    /// VGG19 without its top; otherwise as [`Lab::vgg16`].
    ///
    /// # Errors
    /// As [`Lab::vgg16`].
    pub fn vgg19(&self, size: usize) -> Result<Base> {
        let weights = self.load_weights(Architecture::Vgg19, false)?;
        let base = Base::vgg19(size, &weights, self.device.value, self.precision.value)?;
        Ok(base.progress(self.progress.clone()))
    }

    /// VGG16 or VGG19 with its top, which names 1,000 ImageNet classes; 224 x 224 pixels. The names are
    /// fetched with the weights; without them [`Base::classify`] tells numbers.
    ///
    /// # Errors
    /// As [`Lab::vgg16`].
    pub fn with_top(&self, architecture: Architecture) -> Result<Base> {
        let weights = self.load_weights(architecture, true)?;
        let base = Base::with_top(
            architecture,
            &weights,
            self.device.value,
            self.precision.value,
        )?;
        let names = self.class_names().unwrap_or_else(|error| {
            self.progress.line(&format!(
                "Note: classes have numbers instead of names: {error}"
            ));
            Vec::new()
        });
        Ok(base.named(names).progress(self.progress.clone()))
    }

    /// The names of ImageNet's classes, in the order of the top's outputs; none where they cannot be had.
    fn class_names(&self) -> Result<Vec<String>> {
        let remote = official::class_names();
        if !self.can_have(&remote) {
            return Ok(Vec::new());
        }
        let path = self.fetch(&remote)?;
        let text = std::fs::read(&path).map_err(Error::file(&path, "read"))?;
        official::names_in(&text).map_err(|error| Error::Weights {
            path,
            problem: format!("these are not ImageNet's class names ({error})"),
            remedy: "Remove the file and call again".into(),
        })
    }

    /// The small network that the lesson compares with, to be trained from scratch on pictures of
    /// `size` x `size` pixels; see [`Classifier::small_conv_net`].
    ///
    /// # Errors
    /// As [`Classifier::small_conv_net`].
    pub fn small_conv_net(&self, size: usize, classes: &[impl AsRef<str>]) -> Result<Classifier> {
        let (device, precision) = (self.device.value, self.precision.value);
        let model = Classifier::small_conv_net(size, classes, 0, device, precision)?;
        Ok(model.progress(self.progress.clone()))
    }

    /// A classifier from the file that [`Classifier::save`] or a checkpoint wrote, on the lab's device
    /// and in its precision; a checkpoint stays in its own, so that the run can go on.
    ///
    /// # Errors
    /// As [`Classifier::load`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Classifier> {
        let mut model = Classifier::load(path, self.device.value)?;
        if !model.is_unfinished() {
            model.set_precision(self.precision.value)?;
        }
        Ok(model.progress(self.progress.clone()))
    }

    fn load_weights(&self, architecture: Architecture, with_top: bool) -> Result<Weights> {
        architecture.check_pretrained()?;
        // Before a download of half a gigabyte, and before anything is put on the device.
        device::check(self.device.value)?;
        match &self.weights {
            WeightsChoice::Official => {}
            WeightsChoice::File(path) => return Weights::load(path),
            WeightsChoice::Seeded(seed) => return Ok(Weights::seeded(*seed)),
        }
        let remote = official::weights(architecture, with_top);
        if !self.can_have(&remote) {
            return Ok(Weights::seeded(STAND_IN_SEED));
        }
        Weights::load(self.fetch(&remote)?)
    }
}

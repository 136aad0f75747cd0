//! The lab's networks: bases with official weights or what stands in for them, stored classifiers.

use std::path::Path;

use crate::error::{Error, Result};
use crate::lab::choice::{Choice, WeightsChoice};
use crate::lab::lab::Lab;
use crate::lab::official;
use crate::lab::pretrained::Pretrained;
use crate::lab::weights_source::WeightsSource;
use crate::machine::device;
use crate::machine::disk;
use crate::model::classifier::Classifier;
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::weights::weights::Weights;

/// The seed of the random weights that stand in for ImageNet's.
const STAND_IN_SEED: u64 = 0;

impl Lab {
    /// Any of the networks with its top, which names 1,000 ImageNet classes; 224 x 224 pixels, InceptionV3 299 x 299. The names are
    /// fetched with the weights; without them [`Base::classify`] tells numbers. Offline, where only the weights
    /// without top are at hand, their convolutions get a top of seeded random numbers, which a note says.
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
        let text = disk::read(&path)?;
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

    /// Where the weights of a network come from, with the reason: the first of what this cell asks for,
    /// what the environment names, the official file on this machine or from the network, and seeded ones.
    pub(crate) fn weights_for(&self, network: Pretrained) -> Choice<WeightsSource> {
        let mut reasons = Vec::new();
        let asked_for = match &self.weights {
            WeightsChoice::Seeded(seed) => return Choice::asked_for(WeightsSource::Seeded(*seed)),
            WeightsChoice::Named(named) => Some(named),
            WeightsChoice::Any => None,
        };
        let environment = self.environment_weights.as_ref();
        let environment = environment.filter(|_| !self.samples_only);
        for named in asked_for.into_iter().chain(environment) {
            match named.file_for(network) {
                Ok((path, reason)) => {
                    reasons.push(reason);
                    return Choice::new(WeightsSource::File(path.to_owned()), reasons.join("; "));
                }
                Err(reason) => reasons.push(reason),
            }
        }
        let file = official::weights(network);
        let name = &file.file_name;
        let lying = self.lying(&file);
        let (source, reason) = if self.samples_only {
            let asked_for = Choice::asked_for(WeightsSource::Seeded(STAND_IN_SEED));
            (asked_for.value, asked_for.reason)
        } else if let Some((_, place)) = lying.first() {
            let reason = format!("{name} is in {place}");
            (WeightsSource::AtHand(file), reason)
        } else if self.online.value {
            let reason = format!("{name} will be downloaded once");
            (WeightsSource::Download(file), reason)
        } else {
            let reason = format!("offline, and {name} is not in the data folder");
            let reason = reason + &self.torchvision_hint(network);
            (WeightsSource::Seeded(STAND_IN_SEED), reason)
        };
        reasons.push(reason);
        Choice::new(source, reasons.join("; "))
    }

    /// How torchvision's file becomes one that can be named, if PyTorch has downloaded it.
    fn torchvision_hint(&self, network: Pretrained) -> String {
        let file = self.torch_cache.as_ref();
        let file = file.zip(network.torchvision_file());
        let file = file.map(|(folder, name)| folder.join(name));
        match file.filter(|file| file.is_file()) {
            None => String::new(),
            Some(file) => format!(
                "; torchvision's is in PyTorch's cache: `cargo lab convert {} {architecture}.safetensors`, \
                 then `lab.weights(\"{architecture}.safetensors\")`",
                file.display(),
                architecture = network.architecture
            ),
        }
    }

    /// The weights of a network without its top, if they are on this machine.
    fn without_top(&self, architecture: Architecture) -> Result<Option<Weights>> {
        let path = match self.weights_for(Pretrained::new(architecture, false)).value {
            WeightsSource::File(path) => path,
            WeightsSource::AtHand(file) => self.fetch(&file)?,
            WeightsSource::Download(_) | WeightsSource::Seeded(_) => return Ok(None),
        };
        Weights::load(path).map(Some)
    }

    pub(super) fn load_weights(
        &self,
        architecture: Architecture,
        with_top: bool,
    ) -> Result<Weights> {
        architecture.check_pretrained()?;
        // Before a download of half a gigabyte, and before anything is put on the device.
        device::check(self.device.value)?;
        let network = Pretrained::new(architecture, with_top);
        let Choice { value, reason, .. } = self.weights_for(network);
        if with_top
            && matches!(self.weights, WeightsChoice::Any)
            && matches!(value, WeightsSource::Seeded(_))
            && let Some(weights) = self.without_top(architecture)?
        {
            // True convolutions show more than random ones.
            let note = format!(
                "Note: the top is seeded random numbers, so the classes that it names mean nothing ({reason})"
            );
            self.progress.line(&note);
            return Ok(weights.with_seeded_top(STAND_IN_SEED));
        }
        let is_named = matches!(self.weights, WeightsChoice::Named(_));
        if is_named && !matches!(value, WeightsSource::File(_)) {
            // Nobody should take these for the ones that the cell asked for.
            let note = format!("Note: weights of {network}: {value} ({reason})");
            self.progress.line(&note);
        }
        match value {
            WeightsSource::File(path) => Weights::load(path),
            WeightsSource::AtHand(file) | WeightsSource::Download(file) => {
                Weights::load(self.fetch(&file)?)
            }
            WeightsSource::Seeded(seed) => Ok(Weights::seeded(seed)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::files::remote::Remote;
    use crate::lab::mirror::Mirror;
    use crate::lab::named_weights::NamedWeights;

    /// An offline lab whose folders are in `home`.
    fn lab(home: &Path) -> Lab {
        Lab {
            keras_cache: Some(home.join("keras")),
            torch_cache: Some(home.join("torch")),
            environment_weights: None,
            mirror: None,
            ..Lab::open().unwrap().folder(home.join("data")).offline()
        }
    }

    #[test]
    fn weights_come_from_the_first_place_that_has_them() {
        let home = tempfile::tempdir().unwrap();
        let official = official::weights(Pretrained::LESSON);
        let put = |folder: &str, name: &str| {
            let folder = home.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), "x").unwrap();
        };
        let mut lab = lab(home.path());
        let expect = |lab: &Lab, value: WeightsSource, reason: &str| {
            let found = lab.weights_for(Pretrained::LESSON);
            assert_eq!(found.value, value);
            assert!(found.reason.contains(reason), "{reason}: {}", found.reason);
        };
        // From the last place to the first.
        expect(&lab, WeightsSource::Seeded(0), "is not in the data folder");
        put("torch", "vgg16-397923af.pth");
        expect(&lab, WeightsSource::Seeded(0), "cargo lab convert");
        lab.online.value = true;
        expect(&lab, WeightsSource::Download(official.clone()), "once");
        lab.online.value = false;
        let at_hand = WeightsSource::AtHand(official.clone());
        put("mirror", &official.file_name);
        lab.mirror = Some(Mirror::Folder(home.path().join("mirror")));
        expect(&lab, at_hand.clone(), "is in the mirror");
        put("keras", &official.file_name);
        expect(&lab, at_hand.clone(), "is in Keras' cache");
        put("data", &official.file_name);
        expect(&lab, at_hand, "is in the data folder");
        put("", "environment.h5");
        let path = home.path().join("environment.h5");
        lab.environment_weights = Some(NamedWeights::new(path.clone(), "X says so"));
        expect(&lab, WeightsSource::File(path), "X says so");
        put("", "cell.h5");
        let path = home.path().join("cell.h5");
        let lab = lab.weights(&path);
        expect(&lab, WeightsSource::File(path), "asked for in this cell");
        expect(
            &lab.seeded_weights(3),
            WeightsSource::Seeded(3),
            "asked for",
        );
    }

    #[test]
    fn drawn_samples_go_with_seeded_weights_whatever_the_environment_names() {
        let home = tempfile::tempdir().unwrap();
        let mut lab = lab(home.path()).samples();
        lab.environment_weights = Some(NamedWeights::new(home.path().join("x"), "X says so"));
        let found = lab.weights_for(Pretrained::LESSON);
        assert_eq!(found.value, WeightsSource::Seeded(0));
    }

    #[test]
    fn an_official_file_elsewhere_is_checked_and_taken_from_there() {
        let home = tempfile::tempdir().unwrap();
        // The sum of "a".
        let official =
            Remote::new("https://example.org/x.json").md5("0cc175b9c0f1b6a831c399e269772661");
        let (keras, mirror) = (home.path().join("keras"), home.path().join("mirror"));
        for folder in [&keras, &mirror] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(keras.join("x.json"), "b").unwrap();
        let mut lab = lab(home.path());
        let error = lab.fetch(&official).unwrap_err().to_string();
        assert!(error.contains("MD5") && error.contains("keras"), "{error}");
        lab.mirror = Some(Mirror::Folder(mirror.clone()));
        std::fs::write(mirror.join("x.json"), "a").unwrap();
        assert_eq!(lab.fetch(&official).unwrap(), mirror.join("x.json"));
        std::fs::write(keras.join("x.json"), "a").unwrap();
        assert_eq!(lab.fetch(&official).unwrap(), keras.join("x.json"));
        // Nothing is copied.
        assert!(!home.path().join("data/x.json").exists());
    }
}

//! Feature extraction: every picture of a dataset once through the base.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::fitting_batch::FittingBatch;
use crate::machine::scratch;
use crate::model::features::Features;
use crate::model::provenance::Provenance;
use crate::network::base::Base;
use crate::pictures::dataset::Dataset;

impl Base {
    /// Sends every picture through the base once, without augmentation, and keeps what comes out.
    ///
    /// Keras: `conv_base.predict(...)` over `flow_from_directory`. 2,000 pictures at 150 pixels
    /// give (2000, 4, 4, 512), 33 kB each. What does not fit into memory lies in a temporary file (in `TMPDIR`, else
    /// `/var/tmp`), from which heads read it by rows.
    ///
    /// # Errors
    /// [`Error::Pictures`] names every picture that cannot be decoded; [`Error::OutOfMemory`] the
    /// batch size to try; [`Error::Stopped`] if the run was asked to stop.
    #[doc(alias("predict", "embeddings"))]
    pub fn extract_features(&self, dataset: &Dataset) -> Result<Features> {
        let mut size = vec![dataset.len() as i64];
        size.extend(self.output_shape().iter().map(|&n| n as i64));
        let what = format!("the features of {} pictures", dataset.len());
        let room = scratch::room_for(&size, (Kind::Float, self.device()), &what)?;
        self.extract_into(room, dataset)
    }

    /// The same into a tensor of their shape, wherever it lies.
    fn extract_into(&self, stored: Tensor, dataset: &Dataset) -> Result<Features> {
        let _no_grad = tch::no_grad_guard();
        let at_once = self.pictures_at_once();
        let doing = || {
            format!(
                "extracting features on {}",
                crate::machine::device::name(self.device())
            )
        };
        let progress = self.shown();
        let task = progress.task("extracting features", "pictures", Some(dataset.len()));
        let mut task = task.shown_at_once();
        let mut fitting = FittingBatch::new(at_once);
        dataset.for_each_tensor(self.size(), at_once, |first, pixels| {
            progress.check("extracting features")?;
            let store = &mut |place: i64, pixels: &Tensor| {
                let output = self.forward_pixels(pixels)?;
                let count = output.size()[0];
                let mut rows = stored.f_narrow(0, first as i64 + place, count)?;
                rows.f_copy_(&output)
            };
            fitting
                .each(&pixels, store)
                .map_err(Error::batch(doing(), at_once))?;
            task.done(first + pixels.size()[0] as usize);
            Ok(())
        })?;
        if let Device::Cuda(index) = self.device() {
            // Kernels run behind the program's back; the time that is printed should count them.
            tch::Cuda::synchronize(index as i64);
        }
        task.finish();
        let mut notes = dataset.notes().to_vec();
        notes.extend(self.origin().notes.iter().cloned());
        Ok(Features::new(
            stored,
            dataset,
            &self.architecture().to_string(),
            notes,
            Provenance::new(self, dataset.interpolation)?,
        ))
    }

    /// Sends pictures that are decoded already through the base: `pixels` (N, size, size, 3), bytes or f32 from 0 to
    /// 255 on any device, to (N, H, W, C) of f32 on the base's device.
    ///
    /// Keras: `conv_base.predict(pixels)`. Files, decoded by all cores meanwhile: [`Base::extract_features`].
    ///
    /// ```
    /// use evcxr_transfer::{Base, Device, Precision, Tensor, Weights};
    /// let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// let black = Tensor::zeros([2, 32, 32, 3], (evcxr_transfer::tch::Kind::Uint8, Device::Cpu));
    /// assert_eq!(base.predict(&black)?.size(), [2, 1, 1, 512]);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for pixels of another shape or kind, [`Error::OutOfMemory`] and [`Error::Compute`] from
    /// libtorch.
    pub fn predict(&self, pixels: &Tensor) -> Result<Tensor> {
        let side = self.size() as i64;
        let (shape, kind) = (pixels.size(), pixels.f_kind());
        let fits =
            matches!(shape.as_slice(), [_, height, width, 3] if [*height, *width] == [side; 2]);
        if !fits || !matches!(kind, Ok(Kind::Uint8 | Kind::Float)) {
            let kind = kind.map_or("another kind".into(), |kind| format!("{kind:?}"));
            return Err(Error::Argument {
                argument: "pixels",
                value: format!("a tensor {shape:?} of {kind}"),
                expected: format!("it must be (N, {side}, {side}, 3), Uint8 or Float"),
            });
        }
        let _no_grad = tch::no_grad_guard();
        let at_once = self.pictures_at_once();
        let pass = |some: &Tensor| self.forward_pixels(some)?.f_to_kind(Kind::Float);
        FittingBatch::new(at_once)
            .run(pixels, &pass)
            .map_err(Error::batch("computing features", at_once))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::machine::precision::Precision;
    use crate::model::head_training::train_head;
    use crate::network::weights::weights::Weights;
    use crate::show::progress::Progress;
    use crate::training::fit::Fit;

    #[test]
    fn features_in_a_file_are_the_same_and_teach_the_same() {
        let data = Dataset::open("data/samples/train").unwrap().take(12);
        let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        let in_memory = base.extract_features(&data).unwrap();
        let room = scratch::in_file(&in_memory.tensor().size(), Kind::Float, "features").unwrap();
        let in_file = base.extract_into(room, &data).unwrap();
        assert_eq!(in_file.tensor(), in_memory.tensor());
        let fit = Fit::default()
            .epochs(3)
            .batch_size(5)
            .progress(Progress::quiet());
        let losses = |features: &Features| {
            let (_, history) = train_head(features, features, &fit).unwrap();
            let both = history
                .epochs
                .iter()
                .map(|epoch| (epoch.loss, epoch.val_loss));
            both.collect::<Vec<_>>()
        };
        assert_eq!(losses(&in_file), losses(&in_memory));
    }

    #[test]
    fn decoded_pictures_give_the_features_of_their_files() {
        let data = Dataset::open("data/samples/validation").unwrap().take(5);
        let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        let base = base.batch_size(2);
        let pixels = data.to_tensor(32, Device::Cpu, &Progress::quiet()).unwrap();
        let of_files = base.extract_features(&data).unwrap().tensor();
        assert_eq!(base.predict(&pixels).unwrap(), of_files);
        assert_eq!(
            base.predict(&pixels.narrow(0, 0, 0)).unwrap().size(),
            [0, 1, 1, 512]
        );
        for other in [
            pixels.narrow(1, 0, 31),
            pixels.to_kind(Kind::Int64),
            pixels.get(0),
        ] {
            assert!(matches!(base.predict(&other), Err(Error::Argument { .. })));
        }
    }
}

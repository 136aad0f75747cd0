//! Feature extraction: every picture of a dataset once through the base.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::fitting_batch::FittingBatch;
use crate::machine::memory::{FEWER_PICTURES, check_room};
use crate::model::features::Features;
use crate::model::provenance::Provenance;
use crate::network::base::Base;
use crate::pictures::dataset::Dataset;

impl Base {
    /// Sends every picture through the base once, without augmentation, and keeps what comes out.
    ///
    /// Keras: `conv_base.predict(...)` over `flow_from_directory`. 2,000 pictures at 150 pixels
    /// give (2000, 4, 4, 512).
    ///
    /// # Errors
    /// [`Error::Pictures`] names every picture that cannot be decoded; [`Error::OutOfMemory`] the
    /// batch size to try; [`Error::Stopped`] if the run was asked to stop.
    #[doc(alias("predict", "embeddings"))]
    pub fn extract_features(&self, dataset: &Dataset) -> Result<Features> {
        let _no_grad = tch::no_grad_guard();
        let at_once = self.pictures_at_once();
        let doing = || {
            format!(
                "extracting features on {}",
                crate::machine::device::name(self.device())
            )
        };
        let mut size = vec![dataset.len() as i64];
        size.extend(self.output_shape().iter().map(|&n| n as i64));
        // No question of the batch size: the remedy is fewer pictures.
        let values = dataset.len() * self.output_shape().iter().product::<usize>();
        let what = format!("the features of {} pictures", dataset.len());
        check_room(self.device(), 4 * values, &what, FEWER_PICTURES)?;
        let stored = Tensor::f_empty(&size, (Kind::Float, self.device())).map_err(Error::compute(
            format!(
                "making room for the features of {} pictures ({:.1} GB; `take` fewer if that is too much)",
                dataset.len(),
                values as f64 * 4e-9
            ),
        ))?;
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
}

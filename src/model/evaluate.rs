//! Measuring a classifier on labelled pictures.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::fitting_batch::FittingBatch;
use crate::model::classifier::Classifier;
use crate::pictures::dataset::Dataset;
use crate::training::evaluation::{Evaluation, Sums};

impl Classifier {
    /// Loss and accuracy (of numbers the mean absolute error) on labelled pictures, dropout off and nothing augmented. They are resized as the
    /// pictures were that the model has learned from.
    ///
    /// Keras: `model.evaluate(...)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the pictures are of other classes, [`Error::Pictures`] if some cannot be
    /// decoded, [`Error::Stopped`] if the work was asked to stop.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation> {
        self.check_evaluable(dataset)?;
        let _no_grad = tch::no_grad_guard();
        let targets = self.head.targets(dataset.all_labels(), &[])?;
        let mut sums = Sums::new(self.target());
        self.for_each_logits(dataset, "evaluating", |first, logits| {
            let count = logits.size()[0] as usize;
            sums.add(&targets.narrow(first, count)?.measure(&logits)?, count)
        })?;
        sums.read().map_err(Error::compute("evaluating"))
    }

    /// Sends pictures through base and head, resized as those that it has learned from:
    /// `each(first, logits)` for every batch, in order.
    pub(crate) fn for_each_logits(
        &self,
        dataset: &Dataset,
        doing: &str,
        mut each: impl FnMut(usize, Tensor) -> std::result::Result<(), TchError>,
    ) -> Result<()> {
        let learned_with = match self.head.is_trained() {
            true => self.interpolation,
            false => dataset.interpolation,
        };
        let dataset = dataset.clone().interpolation(learned_with);
        let at_once = self.base.pictures_at_once();
        let mut fitting = FittingBatch::new(at_once);
        let progress = self.base.shown();
        let task = progress.task(doing, "pictures", Some(dataset.len()));
        let mut task = task.shown_at_once();
        dataset.for_each_tensor(self.base.size(), at_once, |first, pixels| {
            progress.check(doing)?;
            fitting
                .run(&pixels, &|pixels| self.logits(pixels))
                .and_then(|logits| each(first, logits))
                .map_err(Error::batch(doing, at_once))?;
            task.done(first + pixels.size()[0] as usize);
            Ok(())
        })
    }

    /// Refuses pictures of other classes, and none at all.
    pub(crate) fn check_evaluable(&self, dataset: &Dataset) -> Result<()> {
        self.check_classes(dataset)?;
        if dataset.is_empty() {
            return Err(Error::Mismatch {
                what: "pictures to evaluate on".into(),
                expected: "at least one".into(),
                found: "none".into(),
                remedy: "Take some".into(),
            });
        }
        Ok(())
    }

    pub(crate) fn check_classes(&self, dataset: &Dataset) -> Result<()> {
        let (expected, found) = (self.target(), dataset.target());
        if expected != found {
            return Err(Error::Mismatch {
                what: "what the pictures are labelled with".into(),
                expected: format!("{}, which the model answers", expected.nouns()),
                found: found.nouns().into(),
                remedy: format!(
                    "Make a model for them: `Head::dense(256).target(Target::{found:?})`"
                ),
            });
        }
        if dataset.classes() == self.classes() {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "the classes of the pictures".into(),
            expected: format!("{:?}", self.classes()),
            found: format!("{:?}", dataset.classes()),
            remedy: "Use pictures of the classes that the model was made for".into(),
        })
    }
}

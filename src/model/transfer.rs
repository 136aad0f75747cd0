//! The whole transfer in one line.

use crate::error::Result;
use crate::model::classifier::Classifier;
use crate::model::head::Head;
use crate::network::base::Base;
use crate::network::operation::LayerKind;
use crate::pictures::augment::Augment;
use crate::pictures::data::Data;
use crate::training::fit::Fit;
use crate::training::history::History;

impl Classifier {
    /// Head first, then the last block: the whole transfer in one line, for whoever knows the lesson.
    ///
    /// A head of 256 units learns on pictures as they are, which pass the base once; then the last
    /// block learns with it on augmented ones ([`Augment::lesson`]), at half the learning rate. Each
    /// takes the epochs of `fit`; the history has both, one after the other, and its plot marks the seam.
    /// A checkpoint is written in the second part only. Where that part fails the model of the first is given back, and the
    /// history's ending says so.
    ///
    /// # Errors
    /// As [`Classifier::new`] and [`Classifier::fit`].
    pub fn transfer(base: &Base, data: &Data, fit: &Fit) -> Result<(Self, History)> {
        let mut model = Self::new(base, Head::dense(256), data.train.classes())?;
        let first = Fit {
            checkpoint: None,
            ..fit.clone()
        };
        let announce = |number: usize, name: &str| {
            fit.progress.line(&format!("Part {number} of 2: {name}"));
        };
        announce(1, &model.name_of_run(base.layers().len()));
        let mut history = model.train_frozen(data, &Augment::none(), &first)?;
        if !history.is_cut {
            let layers = base.layers().iter();
            let pools = layers
                .enumerate()
                .filter(|(_, layer)| layer.kind == LayerKind::MaxPooling2D);
            let pools = pools.map(|(number, _)| number).collect::<Vec<_>>();
            // The layer after the last pooling but one.
            let trainable_from = pools.iter().rev().nth(1).map_or(0, |number| number + 1);
            announce(2, &model.name_of_run(trainable_from));
            let trainable_from = base.layers()[trainable_from].name.clone();
            let second = Fit {
                learning_rate: fit.learning_rate / 2.0,
                head_learning_rate: fit.head_learning_rate.map(|rate| rate / 2.0),
                ..fit.clone()
            };
            let augment = Augment::lesson();
            match model.fine_tune_after(Some(&history), &trainable_from, data, &augment, &second) {
                Ok(tuned) => history.extend(&tuned),
                Err(error) => {
                    let ending = format!("fine-tuning failed: {error}");
                    fit.progress.line(&format!("Note: {ending}"));
                    history.cut(ending);
                }
            }
        }
        Ok((model, history))
    }
}

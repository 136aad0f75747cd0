//! The whole transfer in one line.

use crate::error::Result;
use crate::model::classifier::Classifier;
use crate::model::head::Head;
use crate::network::base::Base;
use crate::pictures::augment::Augment;
use crate::pictures::data::Data;
use crate::training::fit::Fit;
use crate::training::history::History;

impl Classifier {
    /// Head first, then the last block: the whole transfer in one line, for whoever knows the lesson.
    ///
    /// A head of 256 units learns on pictures as they are, which pass the base once; then the last
    /// block (VGG: from `block5_conv1` on, ResNet `conv5_block1_1_conv`, ResNetV2 `conv5_block1_preact_bn`,
    /// InceptionV3 `mixed9`) learns with it on augmented ones ([`Augment::lesson`]), at half the learning rate. Each
    /// takes the epochs of `fit`; the history has both, one after the other, and its plot marks the seam.
    /// With early stopping each part ends for itself and keeps its own best epoch; where an epoch before
    /// fine-tuning had been better, the history's ending says so.
    /// A checkpoint is written in the second part only. Where that part fails the model of the first is given back, and the
    /// history's ending says so.
    ///
    /// # Errors
    /// As [`Classifier::new`] and [`Classifier::fit`].
    #[doc(alias("transfer_learning", "fine_tune"))]
    pub fn transfer(base: &Base, data: &Data, fit: &Fit) -> Result<(Self, History)> {
        let head = Head::dense(256).target(data.train.target());
        let mut model = Self::new(base, head, data.train.classes())?;
        let progress = fit.of_this_process().progress;
        let first = Fit {
            checkpoint: None,
            ..fit.clone()
        };
        let announce = |number: usize, name: &str| {
            progress.line(&format!("Part {number} of 2: {name}"));
        };
        announce(1, &model.name_of_run(base.layers().len()));
        let mut history = model.train_frozen(data, &Augment::none(), &first)?;
        if !history.is_cut {
            let border = base.architecture().last_block();
            announce(2, &model.name_of_run(base.graph().number(border)?));
            let second = Fit {
                learning_rate: fit.learning_rate / 2.0,
                head_learning_rate: fit.head_learning_rate.map(|rate| rate / 2.0),
                ..fit.clone()
            };
            let augment = Augment::lesson();
            match model.fine_tune_after(Some(&history), border, data, &augment, &second) {
                Ok(tuned) => {
                    let before = history.lowest_val_loss();
                    history.extend(&tuned);
                    // Early stopping keeps the best of its own part.
                    let watched = before.zip(fit.early_stopping.and(tuned.lowest_val_loss()));
                    if let Some(((epoch, lower), _)) = watched.filter(|(a, b)| a.1 < b.1) {
                        history.end(format!(
                            "epoch {epoch}, before fine-tuning, had a lower val_loss, {lower:.4}"
                        ));
                    }
                }
                Err(error) => {
                    let ending = format!("fine-tuning failed: {error}");
                    progress.line(&format!("Note: {ending}"));
                    history.cut(ending);
                }
            }
        }
        Ok((model, history))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use tch::Device;

    use super::*;
    use crate::machine::precision::Precision;
    use crate::network::weights::weights::Weights;
    use crate::show::display::Displayable;
    use crate::show::place::tests::displays;
    use crate::show::progress::Progress;

    #[test]
    fn a_transfers_ending_counts_its_epochs_through_and_says_what_had_been_better() {
        let data = Data::open("data/samples").unwrap().take(12, 6);
        let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        // So fast that fine-tuning, which changes pictures in each epoch, comes to nothing better.
        let fit = Fit::default().epochs(12).early_stopping(2);
        let fit = fit.learning_rate(3e-3).progress(Progress::quiet());
        let (model, history) = Classifier::transfer(&base, &data, &fit).unwrap();
        let ending = history.ending().unwrap();
        let kept = ending.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
        // The row has the loss of the model that is given back.
        let loss = model.evaluate(&data.validation).unwrap().loss;
        let row = history.epochs[kept - 1].val_loss.unwrap();
        // The same pictures through the same weights, in other batches.
        assert!(
            (loss - row).abs() < 1e-4 * row.max(1.0),
            "{loss}, {row}: {ending}"
        );
        let (best, lowest) = history.lowest_val_loss().unwrap();
        let is_told = ending.contains(&format!("epoch {best}, before fine-tuning, had a lower"));
        assert_eq!(is_told, lowest < row, "{ending}");
        assert!(is_told, "nothing was better before: {ending}");
    }

    #[test]
    fn both_runs_of_a_transfer_grow_in_one_figure() {
        let data = Data::open("data/samples").unwrap().take(4, 2);
        let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        let progress = Progress::live().in_memory();
        let fit = Fit::default().epochs(2).progress(progress.clone());
        let (model, history) = Classifier::transfer(&base, &data, &fit).unwrap();
        let shown = displays(&progress);
        let mut figures = shown
            .iter()
            .filter(|shown| shown.data.contains_key("image/png"));
        let (first, last) = (figures.next().unwrap(), figures.next_back().unwrap());
        let id = history.display_id.as_ref().unwrap();
        assert_eq!([&first.id, &last.id], [id.as_str(); 2]);
        assert_ne!(first.data["image/png"], last.data["image/png"]);
        // The whole, with the seam.
        let whole = Progress::live().in_memory();
        whole.display(id, &history.bundle());
        assert_eq!(displays(&whole)[0].data, last.data);
        // The model's own history is not that of one cell.
        assert!(model.history().display_id.is_none());
    }
}

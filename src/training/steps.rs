//! The steps of a run one by one, where a history keeps them: loss and measure of every batch.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series, thinned};
use crate::show::figure::{Figure, titled};
use crate::training::history::History;
use crate::training::smoothing::Smoothing;
use crate::training::step::Step;

/// How much of the last smoothed value the next one keeps: fastai's recorder has the same.
const KEEPS: f64 = 0.98;

impl History {
    /// Every step in its order, those of an epoch that was stopped too; none unless the run kept them
    /// ([`Fit::keep_steps`](crate::Fit::keep_steps)).
    pub fn steps(&self) -> &[Step] {
        &self.kept_steps
    }

    /// Loss and accuracy (of numbers the mean absolute error) of every step, thin, and smoothed, thick: an exponentially
    /// weighted mean that keeps 0.98 of the last. `.log_y()` makes the axis of values logarithmic.
    ///
    /// fastai: `learn.recorder.plot_loss()`.
    ///
    /// ```
    /// use evcxr_transfer::{Features, Fit, Progress, ndarray::Array4, train_head};
    /// let values = Array4::from_shape_fn((8, 1, 1, 2), |(n, _, _, c)| if c == 0 { (n % 2) as f32 } else { 0.5 });
    /// let features = Features::from_array(&values, &[0, 1, 0, 1, 0, 1, 0, 1], &["cats", "dogs"])?;
    /// let fit = Fit::default().epochs(3).batch_size(4).keep_steps().progress(Progress::quiet());
    /// let (_, history) = train_head(&features, &features, &fit)?;
    /// assert_eq!(history.steps().len(), 6); // 3 epochs of 2 batches
    /// let figure = history.plot_steps()?.log_y();
    /// # assert!(figure.to_svg().is_ok());
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the run kept no steps.
    #[doc(alias("plot_loss", "Recorder", "smooth_loss"))]
    pub fn plot_steps(&self) -> Result<Figure> {
        if self.kept_steps.is_empty() {
            return Err(Error::Mismatch {
                what: "the steps of a history".into(),
                expected: "a run that kept them".into(),
                found: "one that did not".into(),
                remedy: "Train with `fit.keep_steps()`".into(),
            });
        }
        let panel = |title: &str, y_label: &str, value: fn(&Step) -> f64| {
            let mut smoothing = Smoothing::new(KEEPS);
            let points = (1..).zip(&self.kept_steps);
            let points = points.map(|(number, step)| (f64::from(number), value(step)));
            let points = points.collect::<Vec<_>>();
            let smoothed = points
                .iter()
                .map(|&(number, value)| (number, smoothing.add(value)));
            let smoothed = smoothed.collect();
            let series = [
                ("each step", points, Mark::Thin),
                ("smoothed", smoothed, Mark::Line),
            ];
            let series = (0..)
                .zip(series)
                .map(|(colour, (name, points, mark))| Series {
                    name: name.into(),
                    points: thinned(points),
                    mark,
                    colour,
                });
            Panel {
                title: title.into(),
                x_label: "step".into(),
                y_label: y_label.into(),
                series: series.collect(),
                ..Panel::default()
            }
        };
        let ((title, y_label), of_loss) = self.titles();
        Ok(Figure::lines(
            &titled("Training, step by step", self.notes()),
            vec![
                panel(title, y_label, Step::measure),
                panel("Loss", of_loss, |step| step.loss),
            ],
        ))
    }

    /// The steps as lists, as [`History::to_json`] has them; nothing if none were kept.
    pub(super) fn steps_as_lists(&self) -> Option<Value> {
        let steps = &self.kept_steps;
        let list = |value: fn(&Step) -> Value| steps.iter().map(value).collect::<Vec<_>>();
        let [_, (measure, _), ..] = self.measures();
        let lists = [
            ("epoch", list(|step| json!(step.epoch))),
            ("loss", list(|step| json!(step.loss))),
            (measure, list(|step| json!(step.measure()))),
        ];
        let lists = lists.map(|(name, list)| (name.to_owned(), Value::Array(list)));
        (!steps.is_empty()).then(|| Value::Object(Map::from_iter(lists)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::training::evaluation::Evaluation;

    fn history(steps: impl Iterator<Item = (usize, f64)>) -> History {
        let mut history = History::default();
        history.kept_steps = steps
            .map(|(epoch, loss)| Step {
                epoch,
                loss,
                accuracy: 1.0 - loss,
                mae: None,
            })
            .collect();
        history
    }

    #[test]
    fn steps_are_drawn_listed_and_read_again() {
        let history = history((0..5000).map(|n| (1 + n / 2500, 1.0 / f64::from(1 + n as i32))));
        let svg = history.plot_steps().unwrap().log_y().to_svg().unwrap();
        // Long lines are thinned: 5,000 steps in two panels of two lines would be 600 KB.
        assert!(
            svg.contains("smoothed") && svg.len() < 500_000,
            "{}",
            svg.len()
        );
        let json: Value = serde_json::from_str(&history.to_json()).unwrap();
        assert_eq!(json["steps"]["loss"].as_array().unwrap().len(), 5000);
        assert_eq!(json["steps"]["epoch"][4999], 2);
        let text = serde_json::to_string(&history).unwrap();
        let read: History = serde_json::from_str(&text).unwrap();
        assert_eq!(read.steps(), history.steps());
        // Without steps files stay as they were.
        let none = History::default();
        assert!(
            none.plot_steps()
                .unwrap_err()
                .to_string()
                .contains("keep_steps")
        );
        assert!(!serde_json::to_string(&none).unwrap().contains("steps"));
        assert!(!none.to_json().contains("steps"));
    }

    #[test]
    fn steps_go_with_their_epochs() {
        let both = history([(1, 0.5), (1, 0.4), (2, 0.3)].into_iter());
        let later = both.after(1);
        assert_eq!(
            later.steps(),
            [Step {
                epoch: 1,
                ..both.steps()[2]
            }]
        );
        let mut whole = history([(1, 0.9)].into_iter());
        whole.epochs = vec![crate::training::epoch::Epoch::new(
            Evaluation {
                loss: 0.9,
                accuracy: 0.1,
                mae: None,
            },
            None,
            1.0,
        )];
        whole.extend(&both);
        let epochs = whole.steps().iter().map(|step| step.epoch);
        assert_eq!(epochs.collect::<Vec<_>>(), [1, 2, 2, 3]);
    }
}

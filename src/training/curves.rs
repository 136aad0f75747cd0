//! The curves of histories: one run, several side by side, and their place under a cell.

use crate::show::display::{Displayable, show_result};
use crate::show::display_id::DisplayId;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};
use crate::show::figure::{Figure, titled};
use crate::show::notebook::Bundle;
use crate::training::history::{History, Measure, distinct};

impl History {
    /// Accuracy (of numbers the mean absolute error) and loss by epoch, side by side: training dashed, validation solid. Where another run
    /// goes on, as in [`Classifier::transfer`](crate::Classifier::transfer), a thin dashed line stands.
    #[doc(alias("plot_loss", "learning_curves"))]
    pub fn plot(&self) -> Figure {
        let panel = |title: &str, y_label: &str, train: Measure, validation: Measure| {
            let series = [
                ("training", train, Mark::Dashed),
                ("validation", validation, Mark::Line),
            ];
            let series = (0..).zip(series).map(|(colour, (name, (_, value), mark))| {
                let points = (1..).zip(&self.epochs);
                let points = points.filter_map(|(n, epoch)| Some((f64::from(n), value(epoch)?)));
                Series {
                    name: name.to_owned(),
                    points: points.collect(),
                    mark,
                    colour,
                }
            });
            let series = series.filter(|series| !series.points.is_empty());
            let mut series = series.collect::<Vec<_>>();
            self.mark_seams(&mut series);
            Panel {
                title: title.to_owned(),
                x_label: "epoch".into(),
                y_label: y_label.to_owned(),
                series,
                ..Panel::default()
            }
        };
        let [loss, measure, val_loss, val_measure] = self.measures();
        let ((title, y_label), of_loss) = self.titles();
        Figure::lines(
            &titled("Training and validation", self.notes()),
            vec![
                panel(title, y_label, measure, val_measure),
                panel("Loss", of_loss, loss, val_loss),
            ],
        )
    }

    /// What the measure's panel is called and its y axis, and the y axis of the loss.
    pub(super) fn titles(&self) -> ((&'static str, &'static str), &'static str) {
        match self.is_of_numbers() {
            true => (
                ("Mean absolute error", "units of the numbers"),
                "mean squared error",
            ),
            false => (("Accuracy", "share of right answers"), "mean cross-entropy"),
        }
    }

    /// Adds a line between the epochs of two sections, as high as the curves.
    fn mark_seams(&self, series: &mut Vec<Series>) {
        let values = series.iter().flat_map(|series| &series.points);
        let values = values
            .map(|point| point.1)
            .filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let seams = self.sections.iter().filter(|section| section.after > 0);
        series.extend((2..).zip(seams).map(|(colour, section)| {
            Series {
                name: section.name.clone(),
                points: [low, high]
                    .map(|y| (section.after as f64 + 0.5, y))
                    .to_vec(),
                mark: Mark::Seam,
                colour,
            }
        }));
    }

    /// The validation curves of several runs in one figure, each by its name: accuracy and loss, side
    /// by side, by epoch of the run.
    ///
    /// ```
    /// use evcxr_transfer::History;
    /// # let (frozen, tuned) = (History::default(), History::default());
    /// let figure = History::compare(&[("frozen base", &frozen), ("block 5", &tuned)]);
    /// # assert!(figure.to_string().contains("2 runs"));
    /// ```
    pub fn compare(runs: &[(&str, &Self)]) -> Figure {
        let panel = |title: &str, y_label: &str, (_, value): Measure| {
            let series = runs.iter().enumerate().map(|(colour, (name, run))| {
                let points = (1..).zip(&run.epochs);
                let points = points.filter_map(|(n, epoch)| Some((f64::from(n), value(epoch)?)));
                Series {
                    name: (*name).to_owned(),
                    points: points.collect(),
                    colour,
                    ..Series::default()
                }
            });
            Panel {
                title: title.to_owned(),
                x_label: "epoch".into(),
                y_label: y_label.to_owned(),
                series: series.collect(),
                ..Panel::default()
            }
        };
        let notes = distinct(runs.iter().flat_map(|(_, run)| run.notes()));
        // Runs that learn one thing are compared: the first says what.
        let first = runs
            .first()
            .map(|(_, run)| (*run).clone())
            .unwrap_or_default();
        let [_, _, val_loss, val_measure] = first.measures();
        let ((title, y_label), of_loss) = first.titles();
        Figure::lines(
            &titled(&format!("Validation of {} runs", runs.len()), &notes),
            vec![
                panel(title, y_label, val_measure),
                panel("Loss", of_loss, val_loss),
            ],
        )
    }

    /// Shows the curves under a notebook cell; where they have grown under the same cell, in that place.
    pub fn evcxr_display(&self) {
        show_result(self);
    }
}

impl Displayable for History {
    fn bundle(&self) -> Bundle {
        self.plot().bundle()
    }

    fn display_id(&self) -> Option<DisplayId> {
        self.display_id.clone()
    }
}

//! A report on numbers: the errors of each, and predicted against true.

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::model::number_scores::{self, NumberScores};
use crate::model::report::Report;
use crate::pictures::target::Target;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};
use crate::show::figure::{Figure, titled};

impl Report {
    /// The errors of each number, in the order of the names; none for classes and labels.
    ///
    /// scikit-learn: `mean_absolute_error`, `root_mean_squared_error`, `r2_score`.
    #[doc(alias("mean_absolute_error", "root_mean_squared_error", "r2_score"))]
    pub fn number_scores(&self) -> Vec<NumberScores> {
        if self.target() != Target::Numbers {
            return Vec::new();
        }
        let names = self.classes.iter().enumerate();
        names
            .map(|(number, name)| number_scores::of(name, &self.pairs(number)))
            .collect()
    }

    /// Each number, predicted (y) against true (x), a mark for each picture; on the dashed line both are the same.
    ///
    /// scikit-learn: `PredictionErrorDisplay.from_predictions(..., kind="actual_vs_predicted")`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for classes and labels.
    #[doc(alias("PredictionErrorDisplay", "actual_vs_predicted"))]
    pub fn plot_predicted(&self) -> Result<Figure> {
        if self.target() != Target::Numbers {
            return Err(Error::Mismatch {
                what: "a plot of predicted against true numbers".into(),
                expected: "a report on numbers".into(),
                found: format!("one on {}", self.target().nouns()),
                remedy: "Take `report.table()`".into(),
            });
        }
        let panels = self.classes.iter().enumerate().map(|(number, name)| {
            let points = self.pairs(number);
            let ends = points.iter().flat_map(|&(x, y)| [x, y]);
            let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            let line = match low <= high {
                // Three points, since two are drawn as dots.
                true => [low, (low + high) / 2.0, high].map(|v| (v, v)).to_vec(),
                false => Vec::new(),
            };
            Panel {
                title: name.clone(),
                x_label: "true".into(),
                y_label: "predicted".into(),
                series: vec![
                    Series {
                        name: "pictures".into(),
                        points,
                        mark: Mark::Points,
                        colour: 0,
                    },
                    Series {
                        name: "predicted = true".into(),
                        points: line,
                        mark: Mark::Dashed,
                        colour: 1,
                    },
                ],
                ..Panel::default()
            }
        });
        let title = titled("Predicted against true", &self.notes);
        Ok(Figure::lines(&title, panels.collect()))
    }

    /// (true, predicted) of a number for each picture.
    fn pairs(&self, number: usize) -> Vec<(f64, f64)> {
        let rows = self.probabilities.iter().enumerate();
        rows.map(|(picture, row)| (f64::from(self.labels.value(picture, number)), row[number]))
            .collect()
    }

    /// What the answers should have been, (N, names): see [`Dataset::values`](crate::Dataset::values).
    pub fn values(&self) -> Array2<f32> {
        let shape = (self.len(), self.classes.len());
        Array2::from_shape_fn(shape, |(picture, name)| self.labels.value(picture, name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::pictures::labels::Labels;

    #[test]
    fn errors_are_scikit_learns() {
        // scikit-learn's own example: r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) is 0.948..., mean_absolute_error 0.5,
        // mean_squared_error 0.375.
        let truth = [3.0, -0.5, 2.0, 7.0].map(|value| vec![value]);
        let predicted = [2.5, 0.0, 2.0, 8.0].map(|value| vec![value]);
        let labels = Labels::of_rows(Target::Numbers, truth.to_vec());
        let report = Report {
            labels,
            ..Report::of(&["size"], &[], predicted.to_vec())
        };
        let scores = &report.number_scores()[0];
        assert_eq!((scores.mae, scores.rmse), (0.5, 0.375_f64.sqrt()));
        assert_eq!(format!("{:.3}", scores.r2.unwrap()), "0.949");
        let table = report.table().to_csv();
        assert!(table.contains("size,0.5"), "{table}");
        assert!(report.plot_predicted().unwrap().to_svg().is_ok());
        assert!(report.accuracy().is_nan() && report.scores().is_empty());
        // The largest error first.
        let mistakes = report.mistakes();
        assert_eq!(
            (mistakes[0].1.as_str(), mistakes[0].2.as_str()),
            ("size 7", "size 8")
        );
        assert_eq!(mistakes[0].3, 1.0);
        assert_eq!(report.confusion().dim(), (0, 0));
        assert!(
            report
                .confusion_matrix()
                .to_string()
                .contains("no confusion matrix")
        );
        let figure = report.plot_confusion_matrix().to_svg().unwrap();
        assert_eq!(figure, report.plot_predicted().unwrap().to_svg().unwrap());
        assert!(report.roc_curve().is_err() && report.scores_at(0.5).is_err());
    }
}

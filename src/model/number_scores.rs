//! How near a model's numbers come: errors of each, and predicted against true.

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::model::report::Report;
use crate::pictures::target::Target;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};
use crate::show::figure::{Figure, titled};
use crate::show::table::{Table, significant};

/// How near the predictions of one number come to the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberScores {
    /// The number's name.
    pub name: String,
    /// The mean absolute error, in the number's units.
    pub mae: f64,
    /// The root of the mean squared error, in the same units: large errors count more.
    pub rmse: f64,
    /// The coefficient of determination, R2: 1 where all is right, 0 where the mean would do as well; nothing where
    /// all true numbers are the same.
    pub r2: Option<f64>,
    /// How many pictures it was measured on.
    pub pictures: usize,
}

impl Report {
    /// The errors of each number, in the order of the names; none for classes and labels.
    ///
    /// scikit-learn: `mean_absolute_error`, `root_mean_squared_error`, `r2_score`.
    #[doc(alias("mean_absolute_error", "root_mean_squared_error", "r2_score"))]
    pub fn number_scores(&self) -> Vec<NumberScores> {
        if self.target() != Target::Numbers {
            return Vec::new();
        }
        let pictures = self.len();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / pictures.max(1) as f64;
        let of = |(number, name): (usize, &String)| {
            let pairs = self.pairs(number);
            let truth = mean(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
            let errors = pairs.iter().map(|(truth, predicted)| predicted - truth);
            let errors = errors.collect::<Vec<_>>();
            let squares = mean(&errors.iter().map(|error| error * error).collect::<Vec<_>>());
            let spread = pairs.iter().map(|pair| (pair.0 - truth).powi(2));
            let spread = mean(&spread.collect::<Vec<_>>());
            NumberScores {
                name: name.clone(),
                mae: mean(&errors.iter().map(|error| error.abs()).collect::<Vec<_>>()),
                rmse: squares.sqrt(),
                r2: (spread > 0.0).then(|| 1.0 - squares / spread),
                pictures,
            }
        };
        self.classes.iter().enumerate().map(of).collect()
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

/// A row for each number.
pub(super) fn table(all: Vec<NumberScores>) -> Table {
    let columns = ["number", "MAE", "RMSE", "R2", "pictures"];
    let mut table = Table::new("Report", &columns).right_aligned(&[1, 2, 3, 4]);
    for scores in all {
        table.push([
            scores.name,
            significant(scores.mae),
            significant(scores.rmse),
            scores.r2.map_or("-".into(), |r2| format!("{r2:.4}")),
            scores.pictures.to_string(),
        ]);
    }
    table
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
        assert!(report.plot_confusion_matrix().to_svg().is_ok());
        assert!(report.roc_curve().is_err() && report.scores_at(0.5).is_err());
    }
}

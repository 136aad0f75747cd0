//! How near the predictions of a number come to the truth: MAE, RMSE, R2.

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

/// The scores of a number from (true, predicted) of each picture.
pub(super) fn of(name: &str, pairs: &[(f64, f64)]) -> NumberScores {
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| {
        pairs.iter().map(value).sum::<f64>() / pairs.len().max(1) as f64
    };
    let truth = mean(&|pair| pair.0);
    let squares = mean(&|pair| (pair.1 - pair.0).powi(2));
    let spread = mean(&|pair| (pair.0 - truth).powi(2));
    NumberScores {
        name: name.to_owned(),
        mae: mean(&|pair| (pair.1 - pair.0).abs()),
        rmse: squares.sqrt(),
        r2: (spread > 0.0).then(|| 1.0 - squares / spread),
        pictures: pairs.len(),
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

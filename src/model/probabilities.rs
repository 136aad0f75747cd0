//! A model's answers: a row a picture, the probability of each class or label, or its numbers.

use ndarray::Array2;
use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::arrays::array_of;
use crate::model::classifier::Classifier;
use crate::pictures::dataset::Dataset;
use crate::pictures::labels::words;
use crate::pictures::target::Target;

impl Classifier {
    /// The probabilities for all pictures, one row each, in their order. They are gathered on the device and read
    /// once at the end: each reading lets the host wait until all that was asked before is computed.
    ///
    /// # Errors
    /// As [`Classifier::evaluate`].
    pub(crate) fn probabilities(&self, dataset: &Dataset) -> Result<Vec<Vec<f64>>> {
        let doing = "predicting";
        let _no_grad = tch::no_grad_guard();
        let mut batches = Vec::new();
        self.for_each_logits(dataset, doing, |_, logits| {
            batches.push(self.target().answers(&logits)?);
            Ok(())
        })?;
        let rows = Tensor::f_cat(&batches, 0)
            .and_then(|all| rows_of(&all))
            .map_err(Error::compute(doing))?;
        rows.iter().try_for_each(|row| check_numbers(row))?;
        Ok(rows)
    }
}

/// What a row says: "dogs", "red, square", "age 3.5".
pub(crate) fn answer(target: Target, names: &[String], row: &[f64]) -> String {
    match target {
        Target::Class => names[most_probable(row)].clone(),
        Target::Labels | Target::Numbers => words(target, names, row),
    }
}

/// The same with probabilities, a line each: "dogs: 97.3 %".
pub(crate) fn full_answer(target: Target, names: &[String], row: &[f64]) -> String {
    let with_share = |place: usize| format!("{}: {}", names[place], percent(row[place]));
    match target {
        Target::Class => with_share(most_probable(row)),
        Target::Labels if row.iter().any(|&share| share > 0.5) => {
            let held = (0..row.len()).filter(|&place| row[place] > 0.5);
            held.map(with_share).collect::<Vec<_>>().join(", ")
        }
        Target::Labels | Target::Numbers => words(target, names, row),
    }
}

/// Refuses probabilities that are no numbers: the first class would be named for them.
pub(crate) fn check_numbers(probabilities: &[f64]) -> Result<()> {
    if probabilities.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Compute {
        doing: "predicting".into(),
        message: "the network's answer is not a number: its values overflow. Compute in \
                  `Precision::F32`; if it does so there, the weights are of no use"
            .into(),
    })
}

/// Probabilities, [N, classes], as one row a picture.
fn rows_of(probabilities: &Tensor) -> std::result::Result<Vec<Vec<f64>>, TchError> {
    let rows: Array2<f64> = array_of(probabilities)?;
    Ok(rows.outer_iter().map(|row| row.to_vec()).collect())
}

/// Rows of so many values as one array.
pub(crate) fn table_of(rows: &[Vec<f64>], columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), columns), |(row, column)| rows[row][column])
}

/// The place of the largest; the first of equals.
pub(crate) fn most_probable(probabilities: &[f64]) -> usize {
    let all = probabilities.iter().enumerate();
    all.reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map_or(0, |(place, _)| place)
}

/// `97.3 %`.
pub(crate) fn percent(probability: f64) -> String {
    format!("{:.1} %", 100.0 * probability)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_number_names_no_class() {
        check_numbers(&[0.25, 0.75]).unwrap();
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let text = check_numbers(&[0.25, none]).unwrap_err().to_string();
            assert!(
                text.contains("not a number") && text.contains("Precision::F32"),
                "{text}"
            );
        }
    }
}

//! What a model tells of itself on given pictures, in two numbers.

use std::fmt;

use tch::{Device, Kind, TchError, Tensor};

use crate::show::display::displayed;
use crate::show::notebook::Bundle;
use crate::training::loss::Measured;

/// Loss and accuracy on given pictures, dropout off and nothing augmented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The share of pictures whose class is right, 0 to 1.
    pub accuracy: f64,
}

impl Evaluation {}

displayed!(
    Evaluation,
    "Shows the line under a notebook cell.",
    |evaluation| Bundle::text(&evaluation.to_string())
);

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accuracy: {:.4} - loss: {:.4}", self.accuracy, self.loss)
    }
}

/// What batch after batch gave, added up where it was computed: nobody waits for the device before
/// [`Sums::read`].
#[derive(Default)]
pub(crate) struct Sums {
    /// The losses by the number of pictures, and the right answers: f64, (2,).
    total: Option<Tensor>,
    pictures: usize,
}

impl Sums {
    /// Adds a batch of `pictures`; the loss is a mean over them, so that a short last batch counts by
    /// its size.
    pub(crate) fn add(
        &mut self,
        measured: &Measured,
        pictures: usize,
    ) -> std::result::Result<(), TchError> {
        let loss = measured.loss.f_to_kind(Kind::Double)?;
        let parts = [
            loss.f_mul_scalar(pictures as f64)?,
            measured.correct.f_to_kind(Kind::Double)?,
        ];
        let batch = Tensor::f_stack(&parts, 0)?;
        self.total = Some(match &self.total {
            None => batch,
            Some(total) => total.f_add(&batch)?,
        });
        self.pictures += pictures;
        Ok(())
    }

    /// Loss and accuracy over all batches; both 0 without any.
    pub(crate) fn read(&self) -> std::result::Result<Evaluation, TchError> {
        let sums = match &self.total {
            None => vec![0.0; 2],
            Some(total) => Vec::<f64>::try_from(&total.f_to_device(Device::Cpu)?)?,
        };
        let pictures = self.pictures.max(1) as f64;
        Ok(Evaluation {
            loss: sums[0] / pictures,
            accuracy: sums[1] / pictures,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_short_batch_counts_by_its_size() {
        let mut sums = Sums::default();
        assert_eq!(sums.read().unwrap().loss, 0.0);
        for (loss, correct, pictures) in [(1.0, 3_i64, 4), (4.0, 0, 2)] {
            let measured = Measured {
                loss: Tensor::from(loss),
                correct: Tensor::from(correct),
            };
            sums.add(&measured, pictures).unwrap();
        }
        // (4 x 1 + 2 x 4) / 6 and 3 of 6.
        let found = sums.read().unwrap();
        assert_eq!((found.loss, found.accuracy), (2.0, 0.5));
    }
}

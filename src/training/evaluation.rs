//! What a model tells of itself on given pictures, in two numbers.

use std::fmt;

use tch::{Device, Kind, TchError, Tensor};

use crate::machine::scalar::scalar;
use crate::machine::world::World;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;
use crate::training::loss::Measured;

/// Loss and measure on given pictures, dropout off and nothing augmented; which they are
/// [`Target`](crate::Target) says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The mean cross-entropy; of numbers the mean squared error.
    pub loss: f64,
    /// The share of pictures whose class is right, or of labels that are, 0 to 1. Not a number (NaN) where numbers are
    /// the answers.
    pub accuracy: f64,
    /// The mean absolute error, in the units of the numbers; nothing for classes and labels.
    pub mae: Option<f64>,
}

impl Target {
    /// Means over pictures in words.
    pub(crate) fn evaluation(self, loss: f64, measure: f64) -> Evaluation {
        match self {
            Self::Class | Self::Labels => Evaluation {
                loss,
                accuracy: measure,
                mae: None,
            },
            Self::Numbers => Evaluation {
                loss,
                accuracy: f64::NAN,
                mae: Some(measure),
            },
        }
    }
}

impl Evaluation {
    /// Both numbers with their names, in the order of Keras' `fit(verbose=2)`; names begin with `prefix`.
    pub(crate) fn line(&self, prefix: &str) -> String {
        let Self { loss, accuracy, .. } = self;
        match self.mae {
            None => format!("{prefix}accuracy: {accuracy:.4} - {prefix}loss: {loss:.4}"),
            Some(mae) => format!("{prefix}loss: {loss:.4} - {prefix}mae: {mae:.4}"),
        }
    }
}

displayed!(
    Evaluation,
    "Shows the line under a notebook cell.",
    |evaluation| Bundle::text(&evaluation.to_string())
);

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(""))
    }
}

/// What batch after batch gave, added up where it was computed: nobody waits for the device before
/// [`Sums::read`].
pub(crate) struct Sums {
    target: Target,
    /// The losses by the number of pictures, and the measure: f64, (2,).
    total: Option<Tensor>,
    pictures: usize,
}

impl Sums {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            total: None,
            pictures: 0,
        }
    }

    /// Adds a batch of `pictures`; the loss is a mean over them, so that a short last batch counts by
    /// its size.
    pub(crate) fn add(
        &mut self,
        measured: &Measured,
        pictures: usize,
    ) -> std::result::Result<(), TchError> {
        let loss = measured.loss.f_to_kind(Kind::Double)?;
        let parts = [
            loss.f_mul(&scalar(pictures as f64)?)?,
            measured.measure.f_to_kind(Kind::Double)?,
        ];
        let batch = Tensor::f_stack(&parts, 0)?;
        self.total = Some(match &self.total {
            None => batch,
            Some(total) => total.f_add(&batch)?,
        });
        self.pictures += pictures;
        Ok(())
    }

    /// Loss and measure over all batches; both 0 without any.
    pub(crate) fn read(&self) -> std::result::Result<Evaluation, TchError> {
        self.read_with(&World::alone())
    }

    /// The same over the batches of all processes.
    pub(crate) fn read_with(&self, world: &World) -> std::result::Result<Evaluation, TchError> {
        let sums = match &self.total {
            None => vec![0.0; 2],
            Some(total) => Vec::<f64>::try_from(&total.f_to_device(Device::Cpu)?)?,
        };
        let [loss, measure, pictures] = world.sum_few([sums[0], sums[1], self.pictures as f64]);
        let pictures = pictures.max(1.0);
        Ok(self.target.evaluation(loss / pictures, measure / pictures))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_short_batch_counts_by_its_size() {
        let mut sums = Sums::new(Target::Class);
        assert_eq!(sums.read().unwrap().loss, 0.0);
        for (loss, correct, pictures) in [(1.0, 3_i64, 4), (4.0, 0, 2)] {
            let measured = Measured {
                loss: Tensor::from(loss),
                measure: Tensor::from(correct),
            };
            sums.add(&measured, pictures).unwrap();
        }
        // (4 x 1 + 2 x 4) / 6 and 3 of 6.
        let found = sums.read().unwrap();
        assert_eq!((found.loss, found.accuracy), (2.0, 0.5));
    }
}

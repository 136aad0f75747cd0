//! What a run tells of one epoch.

use serde::{Deserialize, Deserializer, Serialize};

use crate::training::evaluation::Evaluation;

/// The numbers of one epoch, in Keras' words.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss while the weights moved, dropout on.
    pub loss: f64,
    /// Share of training pictures (or of their labels) that were right, 0 to 1, as they came by. Not a number (NaN)
    /// where numbers are the answers.
    #[serde(deserialize_with = "null_is_nan")]
    pub accuracy: f64,
    /// Mean loss on the validation pictures after the epoch.
    pub val_loss: Option<f64>,
    /// Share of validation pictures (or of their labels) that were right after the epoch, 0 to 1.
    pub val_accuracy: Option<f64>,
    /// Where numbers are the answers: the mean absolute error, in their units, as the training pictures came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// The same on the validation pictures after the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_mae: Option<f64>,
    /// How long the epoch took, validation included.
    pub seconds: f64,
}

/// JSON has no sign for what is not a number, and says null.
pub(super) fn null_is_nan<'de, D: Deserializer<'de>>(
    value: D,
) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}

impl PartialEq for Epoch {
    /// Whether all numbers are the same; an accuracy that is none equals another.
    fn eq(&self, other: &Self) -> bool {
        let of = |epoch: &Self| {
            let known = Some(epoch.accuracy).filter(|accuracy| !accuracy.is_nan());
            let measures = [
                known,
                epoch.val_loss,
                epoch.val_accuracy,
                epoch.mae,
                epoch.val_mae,
            ];
            (epoch.loss, measures, epoch.seconds)
        };
        of(self) == of(other)
    }
}

impl Epoch {
    /// An epoch with what was measured in it and, if it was, after it.
    pub(crate) fn new(trained: Evaluation, validation: Option<Evaluation>, seconds: f64) -> Self {
        Self {
            loss: trained.loss,
            accuracy: trained.accuracy,
            val_loss: validation.map(|v| v.loss),
            // None where numbers are the answers.
            val_accuracy: validation
                .map(|v| v.accuracy)
                .filter(|accuracy| !accuracy.is_nan()),
            mae: trained.mae,
            val_mae: validation.and_then(|v| v.mae),
            seconds,
        }
    }

    /// What was measured in it.
    pub(crate) fn trained(&self) -> Evaluation {
        Evaluation {
            loss: self.loss,
            accuracy: self.accuracy,
            mae: self.mae,
        }
    }

    /// What was measured after it, if it was.
    pub(crate) fn validation(&self) -> Option<Evaluation> {
        self.val_loss.map(|loss| Evaluation {
            loss,
            accuracy: self.val_accuracy.unwrap_or(f64::NAN),
            mae: self.val_mae,
        })
    }

    /// The epoch on one line, in the words of Keras' `fit(verbose=2)`; short enough for a page of 1,000
    /// pixels.
    pub(crate) fn line(&self, number: usize, epochs: usize, steps: usize) -> String {
        let step_ms = self.seconds * 1000.0 / steps as f64;
        let mut line = format!(
            "Epoch {number}/{epochs} - {:.1}s - {step_ms:.0}ms/step - {}",
            self.seconds,
            self.trained().line("")
        );
        if let Some(validation) = self.validation() {
            line += &format!(" - {}", validation.line("val_"));
        }
        line
    }
}

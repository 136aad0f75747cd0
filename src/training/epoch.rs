//! What a run tells of one epoch.

use serde::{Deserialize, Serialize};

/// The numbers of one epoch, in Keras' words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss while the weights moved, dropout on.
    pub loss: f64,
    /// Share of training pictures that were right, 0 to 1, as they came by.
    pub accuracy: f64,
    /// Mean loss on the validation pictures after the epoch.
    pub val_loss: Option<f64>,
    /// Share of validation pictures that were right after the epoch, 0 to 1.
    pub val_accuracy: Option<f64>,
    /// How long the epoch took, validation included.
    pub seconds: f64,
}

impl Epoch {
    /// The epoch on one line, in the words of Keras' `fit(verbose=2)`; short enough for a page of 1,000
    /// pixels.
    pub(crate) fn line(&self, number: usize, epochs: usize, steps: usize) -> String {
        let step_ms = self.seconds * 1000.0 / steps as f64;
        let mut line = format!(
            "Epoch {number}/{epochs} - {:.1}s - {step_ms:.0}ms/step - accuracy: {:.4} - loss: {:.4}",
            self.seconds, self.accuracy, self.loss
        );
        if let (Some(accuracy), Some(loss)) = (self.val_accuracy, self.val_loss) {
            line += &format!(" - val_accuracy: {accuracy:.4} - val_loss: {loss:.4}");
        }
        line
    }
}

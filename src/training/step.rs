//! What a run tells of one step.

use serde::{Deserialize, Serialize};

use crate::training::epoch::null_is_nan;
use crate::training::evaluation::Evaluation;

/// One step of a run: a batch, measured before the weights moved by it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The epoch that it belongs to, counted from 1 in the history.
    pub epoch: usize,
    /// The mean loss of the batch, dropout on.
    pub loss: f64,
    /// The share of its pictures (or of their labels) that were right, 0 to 1; not a number (NaN) where numbers are the
    /// answers.
    #[serde(deserialize_with = "null_is_nan")]
    pub accuracy: f64,
    /// Its mean absolute error, where numbers are the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
}

impl Step {
    /// A step of an epoch with what was measured in it.
    pub(crate) fn new(epoch: usize, measured: Evaluation) -> Self {
        let Evaluation {
            loss,
            accuracy,
            mae,
        } = measured;
        Self {
            epoch,
            loss,
            accuracy,
            mae,
        }
    }

    /// The measure of what is answered.
    pub(super) fn measure(&self) -> f64 {
        self.mae.unwrap_or(self.accuracy)
    }
}

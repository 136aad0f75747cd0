//! What a model tells of itself on given pictures, in two numbers.

use std::fmt;

use crate::show::notebook;

/// Loss and accuracy on given pictures, dropout off and nothing augmented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The share of pictures whose class is right, 0 to 1.
    pub accuracy: f64,
}

impl Evaluation {
    /// Shows the line under a notebook cell.
    pub fn evcxr_display(&self) {
        notebook::Bundle::text(&self.to_string()).show();
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accuracy: {:.4} - loss: {:.4}", self.accuracy, self.loss)
    }
}

//! Where a base's weights come from, and how they want their pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pictures::scaling::Scaling;

/// Where weights come from; saved with every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// How pixels are scaled.
    pub(crate) scaling: Scaling,
    /// How they were when the weights were trained.
    pub(crate) own_scaling: Scaling,
    /// The weights in words.
    pub(crate) weights: String,
    /// What a reader of results should know.
    pub(crate) notes: Vec<String>,
}

impl Origin {
    /// Weights drawn from a seed, to be trained from scratch.
    pub(crate) fn drawn(seed: u64) -> Self {
        Self {
            scaling: Scaling::Unit,
            own_scaling: Scaling::Unit,
            weights: format!("drawn at random (seed {seed}), to be trained from scratch"),
            notes: Vec::new(),
        }
    }
}

/// How pixels are scaled, and what the weights were trained with where that is something else.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pixels: {}", self.scaling)?;
        if self.scaling == self.own_scaling {
            return Ok(());
        }
        let own = self.own_scaling;
        write!(f, "; the weights were trained on pixels {own}")
    }
}

//! A network as a graph: which layer takes the outputs of which.
//!
//! Layers stand in Keras' order, in which each comes after those that it takes from; the last gives the
//! network's output. A border `n` parts the layers before number `n` from those from it on: what is
//! frozen from what learns, what is computed once from what follows.

use crate::error::{Error, Result};
use crate::network::layer::{Layer, LayerId};
use crate::network::layers::Layers;
use crate::network::operation::Operation;

/// The layers of a network and how they hang together. `table` says how one is made.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(super) layers: Layers,
}

impl Graph {
    /// The layers, in Keras' order.
    pub(crate) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Whether each layer takes from the one before it alone.
    pub(crate) fn is_chain(&self) -> bool {
        let mut after_the_first = self.layers.iter().enumerate().skip(1);
        after_the_first.all(|(number, layer)| layer.inputs == [number - 1])
    }

    /// The layers before a border whose outputs are used from it on, by rising numbers: one for VGG,
    /// several within a residual block. The last of them is the layer just before the border, since
    /// every layer's output is used. Nothing comes before the picture: border 0 is as 1.
    pub(crate) fn crossing(&self, border: usize) -> Vec<usize> {
        let border = border.clamp(1, self.layers.len());
        let after = &self.layers[border..];
        let is_used = |number: &usize| {
            after.iter().any(|layer| layer.inputs.contains(number))
                || number + 1 == self.layers.len()
        };
        (0..border).filter(is_used).collect()
    }

    /// Convolution number `number` over the zeros that the layer before it adds, which needs no copy of the picture,
    /// and the number of that layer; none for another layer, or where none comes before it.
    pub(crate) fn over_zeros(&self, number: usize) -> Option<(Operation, usize)> {
        let layer = &self.layers[number];
        let before = *layer.inputs.first()?;
        match (layer.operation, self.layers[before].operation) {
            (
                Operation::Conv2D { window, activation },
                Operation::ZeroPadding2D { rows, columns },
            ) => {
                let window = window.over_zeros(rows, columns)?;
                Some((Operation::Conv2D { window, activation }, before))
            }
            _ => None,
        }
    }

    /// The number of the layer with this name, counted from 0.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the names.
    pub(crate) fn number(&self, name: &str) -> Result<usize> {
        self.find(&LayerId::from(name), |_| true)
    }

    /// The number of a layer that fits.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists those that would.
    pub(crate) fn find(&self, id: &LayerId, fits: impl Fn(&Layer) -> bool) -> Result<usize> {
        let is_meant = |(index, layer): &(usize, &Layer)| match id {
            LayerId::Name(name) => layer.name == *name,
            LayerId::Index(wanted) => index == wanted,
        };
        let fitting = self.layers.iter().enumerate().filter(|(_, l)| fits(l));
        if let Some((index, _)) = fitting.clone().find(is_meant) {
            return Ok(index);
        }
        Err(Error::UnknownLayer {
            name: match id {
                LayerId::Name(name) => name.clone(),
                LayerId::Index(index) => index.to_string(),
            },
            known: fitting
                .map(|(index, layer)| match id {
                    LayerId::Name(_) => layer.name.clone(),
                    LayerId::Index(_) => format!("{index} ({})", layer.name),
                })
                .collect(),
        })
    }
}

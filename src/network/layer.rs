//! One layer of a network: its name, what it does, what comes out, which weights it has.
//!
//! It is a node of the network's [graph](crate::network::graph::Graph) and a row of its summary.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Layer, LayerKind, Precision, Weights};
//! let base = Base::vgg16(150, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let is_convolution = |layer: &&Layer| layer.kind == LayerKind::Conv2D;
//! assert_eq!(base.layers().iter().filter(is_convolution).count(), 13);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use crate::network::operation::{LayerKind, Operation};
use crate::network::parameter::{Parameter, Role};

/// One layer of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Keras' name, such as `block5_conv1`.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// (H, W, C), or (units,), without the batch.
    pub output_shape: Vec<usize>,
    pub(crate) operation: Operation,
    /// The numbers of the layers whose outputs it takes, all of them before it.
    pub(crate) inputs: Vec<usize>,
    /// Its weights, in Keras' order.
    pub(crate) parameters: Vec<Parameter>,
    /// What its weights are called in a file with PyTorch's words: torchvision's name where there is one.
    pub(crate) stored_name: String,
}

impl Layer {
    /// Whether it has weights.
    pub fn has_weights(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// (3, 3, in, out), (in, out), or empty for a layer without a kernel.
    pub fn kernel_shape(&self) -> &[usize] {
        let mut all = self.parameters.iter();
        let kernel = all.find(|parameter| parameter.role == Role::Kernel);
        kernel.map_or(&[], |kernel| &kernel.shape)
    }

    /// The number of values in all its weights.
    pub fn num_parameters(&self) -> usize {
        self.parameters.iter().map(Parameter::len).sum()
    }

    /// How many of them learn when the layer is open: all but the means and variances of batch normalisation.
    pub(crate) fn num_trainable_parameters(&self) -> usize {
        let learning = self.parameters.iter().filter(|own| own.role.learns());
        learning.map(Parameter::len).sum()
    }

    /// How many have no gradient.
    pub(crate) fn num_fixed_parameters(&self) -> usize {
        self.num_parameters() - self.num_trainable_parameters()
    }
}

/// A layer by its name, or by its index in the network as the lesson counts: the input is 0, so that
/// VGG16's convolutions are 1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17.
///
/// Made from either where a layer is asked for: `base.filters("block1_conv1")`, `base.filters(1)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerId {
    /// Keras' name.
    Name(String),
    /// The place among [`Base::layers`](crate::Base::layers).
    Index(usize),
}

impl From<&str> for LayerId {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<&String> for LayerId {
    fn from(name: &String) -> Self {
        Self::Name(name.clone())
    }
}

impl From<usize> for LayerId {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// `(None, 4, 4, 512)`, as Keras writes shapes whose batch is open.
pub(crate) fn shape_with_batch(shape: &[usize]) -> String {
    let sizes = shape.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    format!("(None, {})", sizes.join(", "))
}

//! The tensors that a layer has: a kernel and a bias, or what batch normalisation keeps.
//!
//! Shapes are Keras': (h, w, in, out) for a convolution's kernel, (in, out) for a dense layer's, and one
//! value a channel for everything else. libtorch has the channels first: `[out, in, h, w]`.

use std::fmt;

/// What a tensor of a layer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// What convolutions and dense layers multiply with.
    Kernel,
    /// What they add.
    Bias,
    /// What batch normalisation multiplies with.
    Gamma,
    /// What it adds.
    Beta,
    /// The mean that it takes off.
    MovingMean,
    /// The variance that it divides by.
    MovingVariance,
}

impl Role {
    /// Whether it is trained by gradients. What batch normalisation knows of its inputs is not: an opened layer
    /// goes on with what it had learned of them, or lets it follow the batches.
    pub(crate) fn learns(self) -> bool {
        !matches!(self, Self::MovingMean | Self::MovingVariance)
    }

    /// PyTorch's word, which is that of this crate's own files too.
    pub(crate) fn torch(self) -> &'static str {
        match self {
            Self::Kernel | Self::Gamma => "weight",
            Self::Bias | Self::Beta => "bias",
            Self::MovingMean => "running_mean",
            Self::MovingVariance => "running_var",
        }
    }
}

/// Keras' word.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Bias => "bias",
            Self::Gamma => "gamma",
            Self::Beta => "beta",
            Self::MovingMean => "moving_mean",
            Self::MovingVariance => "moving_variance",
        })
    }
}

/// One tensor that a layer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) role: Role,
    /// In Keras' order of axes.
    pub(crate) shape: Vec<usize>,
}

impl Parameter {
    pub(crate) fn new(role: Role, shape: &[usize]) -> Self {
        Self {
            role,
            shape: shape.to_vec(),
        }
    }

    /// A kernel of this shape and the bias that belongs to it.
    pub(crate) fn kernel_and_bias(shape: &[usize]) -> Vec<Self> {
        let outputs = shape.last().copied().unwrap_or_default();
        vec![
            Self::new(Role::Kernel, shape),
            Self::new(Role::Bias, &[outputs]),
        ]
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The shape in libtorch's order of axes.
    pub(crate) fn torch_shape(&self) -> Vec<usize> {
        match *self.shape.as_slice() {
            [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
            [inputs, outputs] => vec![outputs, inputs],
            _ => self.shape.clone(),
        }
    }
}

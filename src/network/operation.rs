//! What a layer does to its inputs, with all that it needs to know beside its weights.

use std::fmt;

use crate::network::window::Window;

/// What follows a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// What is below 0 becomes 0.
    Relu,
    /// The values of a picture become probabilities.
    Softmax,
}

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    /// Hands on the picture.
    Input,
    Conv2D {
        window: Window,
        activation: Option<Activation>,
    },
    Dense {
        activation: Option<Activation>,
    },
    /// (x - mean) / sqrt(variance + epsilon), with the mean and variance that it was trained with, or with the
    /// batch's own while it learns.
    BatchNormalization {
        epsilon: f64,
    },
    Activation(Activation),
    MaxPooling2D(Window),
    /// What lies beyond the edge does not count.
    AveragePooling2D(Window),
    /// The mean of each channel.
    GlobalAveragePooling2D,
    /// The largest value of each channel.
    GlobalMaxPooling2D,
    /// Rows and columns of zeros, before and after.
    ZeroPadding2D {
        rows: [usize; 2],
        columns: [usize; 2],
    },
    /// (H, W, C) as one row.
    Flatten,
    Add,
    /// The channels of all inputs, one after the other.
    Concatenate,
}

impl Operation {
    /// The kind of layer that does this.
    pub(crate) fn kind(&self) -> LayerKind {
        match self {
            Self::Input => LayerKind::Input,
            Self::Conv2D { .. } => LayerKind::Conv2D,
            Self::Dense { .. } => LayerKind::Dense,
            Self::BatchNormalization { .. } => LayerKind::BatchNormalization,
            Self::Activation(_) => LayerKind::Activation,
            Self::MaxPooling2D(_) => LayerKind::MaxPooling2D,
            Self::AveragePooling2D(_) => LayerKind::AveragePooling2D,
            Self::GlobalAveragePooling2D => LayerKind::GlobalAveragePooling2D,
            Self::GlobalMaxPooling2D => LayerKind::GlobalMaxPooling2D,
            Self::ZeroPadding2D { .. } => LayerKind::ZeroPadding2D,
            Self::Flatten => LayerKind::Flatten,
            Self::Add => LayerKind::Add,
            Self::Concatenate => LayerKind::Concatenate,
        }
    }

    /// The same without what follows the sums.
    pub(crate) fn without_activation(&self) -> Self {
        match *self {
            Self::Conv2D { window, .. } => Self::Conv2D {
                window,
                activation: None,
            },
            Self::Dense { .. } => Self::Dense { activation: None },
            other => other,
        }
    }
}

/// What a layer does, named as Keras names its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerKind {
    /// The picture.
    Input,
    /// A convolution, followed by ReLU where no layer of its own does that: VGG's are 3x3 with padding
    /// "same".
    Conv2D,
    /// The largest value of each window: VGG's are 2x2.
    MaxPooling2D,
    /// The mean of each window.
    AveragePooling2D,
    /// The mean of each channel.
    GlobalAveragePooling2D,
    /// The largest value of each channel.
    GlobalMaxPooling2D,
    /// Rows and columns of zeros around the picture.
    ZeroPadding2D,
    /// Batch normalisation.
    BatchNormalization,
    /// ReLU, or softmax, as a layer of its own.
    Activation,
    /// The sum of its inputs.
    Add,
    /// The channels of all its inputs.
    Concatenate,
    /// (H, W, C) as one row.
    Flatten,
    /// A fully connected layer; ReLU follows, after `predictions` softmax.
    Dense,
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "InputLayer",
            Self::Conv2D => "Conv2D",
            Self::MaxPooling2D => "MaxPooling2D",
            Self::AveragePooling2D => "AveragePooling2D",
            Self::GlobalAveragePooling2D => "GlobalAveragePooling2D",
            Self::GlobalMaxPooling2D => "GlobalMaxPooling2D",
            Self::ZeroPadding2D => "ZeroPadding2D",
            Self::BatchNormalization => "BatchNormalization",
            Self::Activation => "Activation",
            Self::Add => "Add",
            Self::Concatenate => "Concatenate",
            Self::Flatten => "Flatten",
            Self::Dense => "Dense",
        })
    }
}

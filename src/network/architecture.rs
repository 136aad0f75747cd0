//! The networks' layer tables: what the layers are called, what comes out of each, how many weights.
//!
//! One table of blocks builds the layers, prints the summary and names the weights.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Layer, LayerKind, Precision, Weights};
//! let base = Base::vgg16(150, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let is_convolution = |layer: &&Layer| layer.kind == LayerKind::Conv2D;
//! assert_eq!(base.layers().iter().filter(is_convolution).count(), 13);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which network: one of the VGG networks (Simonyan and Zisserman 2014, configurations D and E), or
/// the small one that the lesson compares them with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Architecture {
    /// 13 convolutions.
    Vgg16,
    /// 16 convolutions.
    Vgg19,
    /// 4 convolutions with 32, 64, 128 and 128 filters, each followed by a pooling: the usual first
    /// network for cats and dogs (Chollet, "Deep Learning with Python", 2017, section 5.2). It has
    /// no pretrained weights.
    SmallConvNet,
}

impl Architecture {
    /// The layers for square pictures of `size` pixels, in Keras' order and with its names.
    pub(crate) fn layers(self, size: usize, with_top: bool) -> Vec<Layer> {
        let mut layers = vec![Layer::new(
            "input_1",
            LayerKind::Input,
            &[size, size, 3],
            &[],
        )];
        match self {
            Self::Vgg16 => vgg(
                &mut layers,
                [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)],
            ),
            Self::Vgg19 => vgg(
                &mut layers,
                [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)],
            ),
            Self::SmallConvNet => {
                for (number, filters) in [32, 64, 128, 128].into_iter().enumerate() {
                    convolution(&mut layers, &numbered("conv2d", number), filters, 0);
                    pooling(&mut layers, &numbered("max_pooling2d", number));
                }
            }
        }
        if with_top {
            let mut width = layers
                .last()
                .map_or(0, |layer| layer.output_shape.iter().product());
            layers.push(Layer::new("flatten", LayerKind::Flatten, &[width], &[]));
            for (name, units) in [("fc1", 4096), ("fc2", 4096), ("predictions", 1000)] {
                layers.push(Layer::new(
                    name,
                    LayerKind::Dense,
                    &[units],
                    &[width, units],
                ));
                width = units;
            }
        }
        layers
    }

    /// Refuses the network that there are no pretrained weights for.
    pub(crate) fn check_pretrained(self) -> Result<()> {
        match self {
            Self::Vgg16 | Self::Vgg19 => Ok(()),
            Self::SmallConvNet => Err(Error::Argument {
                argument: "architecture",
                value: self.to_string(),
                expected: "it must be vgg16 or vgg19; the small network is made by \
                           `lab.small_conv_net` and trained from scratch"
                    .into(),
            }),
        }
    }

    /// The smallest picture that leaves something after the last pooling. Keras refuses smaller ones too.
    pub(crate) fn least_size(self) -> usize {
        match self {
            Self::Vgg16 | Self::Vgg19 => 32,
            Self::SmallConvNet => 46,
        }
    }

    /// What the kernel and bias of each convolution are called in a file, in order: for VGG as in
    /// torchvision (`features.0`), whose list counts ReLU and pooling too, otherwise as in Keras.
    pub(crate) fn stored_names(self) -> Vec<String> {
        let mut position = 0;
        let mut names = Vec::new();
        for layer in self.layers(self.least_size(), false) {
            match (layer.kind, self) {
                (LayerKind::Conv2D, Self::SmallConvNet) => names.push(layer.name),
                (LayerKind::Conv2D, _) => {
                    names.push(format!("features.{position}"));
                    position += 2;
                }
                (LayerKind::MaxPooling2D, _) => position += 1,
                _ => {}
            }
        }
        names
    }
}

/// Five blocks, each with a number of convolutions of as many filters, and a pooling.
fn vgg(layers: &mut Vec<Layer>, blocks: [(usize, usize); 5]) {
    for (block, (convolutions, filters)) in (1..).zip(blocks) {
        for number in 1..=convolutions {
            convolution(layers, &format!("block{block}_conv{number}"), filters, 1);
        }
        pooling(layers, &format!("block{block}_pool"));
    }
}

/// The height (as much as the width) and the channels of what comes out of the last layer.
fn last(layers: &[Layer]) -> (usize, usize) {
    match layers.last().map(|layer| layer.output_shape.as_slice()) {
        Some(&[side, _, channels]) => (side, channels),
        _ => (0, 0),
    }
}

/// A 3x3 convolution after the last layer; `padding` 1 keeps the side, 0 takes 2 pixels off it.
fn convolution(layers: &mut Vec<Layer>, name: &str, filters: usize, padding: usize) {
    let (side, channels) = last(layers);
    let side = (side + 2 * padding).saturating_sub(2);
    let kernel_shape = [3, 3, channels, filters];
    let output_shape = [side, side, filters];
    layers.push(Layer {
        padding,
        ..Layer::new(name, LayerKind::Conv2D, &output_shape, &kernel_shape)
    });
}

fn pooling(layers: &mut Vec<Layer>, name: &str) {
    let (side, channels) = last(layers);
    let output_shape = [side / 2, side / 2, channels];
    layers.push(Layer::new(
        name,
        LayerKind::MaxPooling2D,
        &output_shape,
        &[],
    ));
}

/// Keras' automatic names: `conv2d`, `conv2d_1`, ...
fn numbered(name: &str, number: usize) -> String {
    match number {
        0 => name.to_owned(),
        _ => format!("{name}_{number}"),
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vgg16 => "vgg16",
            Self::Vgg19 => "vgg19",
            Self::SmallConvNet => "small_conv_net",
        })
    }
}

/// What a layer does, named as Keras names its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerKind {
    /// The picture.
    Input,
    /// A 3x3 convolution, followed by ReLU; VGG's with padding "same".
    Conv2D,
    /// The largest value of each 2x2 window.
    MaxPooling2D,
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
            Self::Flatten => "Flatten",
            Self::Dense => "Dense",
        })
    }
}

/// One row of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Keras' name, such as `block5_conv1`.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// (H, W, C), or (units,), without the batch.
    pub output_shape: Vec<usize>,
    /// (3, 3, in, out), (in, out), or empty for a layer without weights.
    pub kernel_shape: Vec<usize>,
    /// How many rows and columns of zeros a convolution adds on each side.
    pub(crate) padding: usize,
}

impl Layer {
    fn new(name: &str, kind: LayerKind, output_shape: &[usize], kernel_shape: &[usize]) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            output_shape: output_shape.to_vec(),
            kernel_shape: kernel_shape.to_vec(),
            padding: 0,
        }
    }

    /// Whether it has a kernel and a bias.
    pub fn has_weights(&self) -> bool {
        !self.kernel_shape.is_empty()
    }

    /// The number of values in the kernel and the bias.
    pub fn num_parameters(&self) -> usize {
        match self.kernel_shape.last() {
            Some(outputs) => self.kernel_shape.iter().product::<usize>() + outputs,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_are_stored_under_torchvisions_names() {
        // torchvision 0.26: [n for n, _ in vgg16().named_parameters() if n.endswith("weight")].
        let expected = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
        let expected = expected.map(|number| format!("features.{number}"));
        assert_eq!(Architecture::Vgg16.stored_names(), expected);
    }

    #[test]
    fn a_picture_of_the_least_size_leaves_one_value_a_channel() {
        for architecture in [
            Architecture::Vgg16,
            Architecture::Vgg19,
            Architecture::SmallConvNet,
        ] {
            let side = |size| last(&architecture.layers(size, false)).0;
            let least = architecture.least_size();
            assert_eq!((side(least), side(least - 1)), (1, 0), "{architecture}");
        }
    }
}

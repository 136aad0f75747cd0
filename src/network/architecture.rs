//! Which networks there are, and which table each is made from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::network::graph::Graph;
use crate::network::inception::inception_v3;
use crate::network::resnet::{BLOCKS_OF_50, BLOCKS_OF_101, BLOCKS_OF_152, resnet};
use crate::network::resnet_v2::resnet_v2;
use crate::network::small_conv_net::small_conv_net;
use crate::network::vgg::{vgg16, vgg19};
use crate::pictures::scaling::Scaling;

/// At 4,096 pixels the two largest activations of one picture, 64 channels in f32, take 8.6 GB.
const MOST_SIDE: usize = 4096;

/// Which network: one of those with pretrained weights, or the small one that the lesson compares them with.
///
/// ```
/// use evcxr_transfer::Architecture;
/// assert_eq!(Architecture::ResNet50V2.to_string(), "resnet50v2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Architecture {
    /// 13 convolutions (Simonyan and Zisserman 2014, configuration D).
    Vgg16,
    /// 16 convolutions (configuration E).
    Vgg19,
    /// 16 residual blocks of three convolutions (He et al. 2015).
    #[serde(rename = "resnet50")]
    ResNet50,
    /// 33 residual blocks.
    #[serde(rename = "resnet101")]
    ResNet101,
    /// 50 residual blocks.
    #[serde(rename = "resnet152")]
    ResNet152,
    /// 16 residual blocks, normalised before their convolutions (He et al. 2016).
    #[serde(rename = "resnet50v2")]
    ResNet50V2,
    /// 33 such blocks.
    #[serde(rename = "resnet101v2")]
    ResNet101V2,
    /// 50 such blocks.
    #[serde(rename = "resnet152v2")]
    ResNet152V2,
    /// 94 convolutions in eleven blocks of branches (Szegedy et al. 2015).
    #[serde(rename = "inception_v3")]
    InceptionV3,
    /// 4 convolutions with 32, 64, 128 and 128 filters, each followed by a pooling: the usual first
    /// network for cats and dogs (Chollet, "Deep Learning with Python", 2017, section 5.2). It has
    /// no pretrained weights.
    SmallConvNet,
}

impl Architecture {
    /// Those with pretrained weights.
    pub(crate) const PRETRAINED: [Self; 9] = [
        Self::Vgg16,
        Self::Vgg19,
        Self::ResNet50,
        Self::ResNet101,
        Self::ResNet152,
        Self::ResNet50V2,
        Self::ResNet101V2,
        Self::ResNet152V2,
        Self::InceptionV3,
    ];

    /// The network for square pictures of `size` pixels; only those with pretrained weights have a top.
    pub(crate) fn graph(self, size: usize, with_top: bool) -> Graph {
        match self {
            Self::Vgg16 => vgg16(size, with_top),
            Self::Vgg19 => vgg19(size, with_top),
            Self::ResNet50 => resnet(size, with_top, BLOCKS_OF_50),
            Self::ResNet101 => resnet(size, with_top, BLOCKS_OF_101),
            Self::ResNet152 => resnet(size, with_top, BLOCKS_OF_152),
            Self::ResNet50V2 => resnet_v2(size, with_top, BLOCKS_OF_50),
            Self::ResNet101V2 => resnet_v2(size, with_top, BLOCKS_OF_101),
            Self::ResNet152V2 => resnet_v2(size, with_top, BLOCKS_OF_152),
            Self::InceptionV3 => inception_v3(size, with_top),
            Self::SmallConvNet => small_conv_net(size),
        }
    }

    /// The layer that its last block begins with, or the block before the last ends with: the whole transfer
    /// opens what comes from there on.
    pub(crate) fn last_block(self) -> &'static str {
        match self {
            Self::Vgg16 | Self::Vgg19 => "block5_conv1",
            Self::ResNet50 | Self::ResNet101 | Self::ResNet152 => "conv5_block1_1_conv",
            Self::ResNet50V2 | Self::ResNet101V2 | Self::ResNet152V2 => "conv5_block1_preact_bn",
            Self::InceptionV3 => "mixed9",
            Self::SmallConvNet => "conv2d_3",
        }
    }

    /// What Keras' weights were trained with (`preprocess_input`).
    pub(crate) fn keras_scaling(self) -> Scaling {
        match self {
            Self::Vgg16 | Self::Vgg19 => Scaling::Caffe,
            Self::ResNet50 | Self::ResNet101 | Self::ResNet152 => Scaling::Caffe,
            Self::ResNet50V2 | Self::ResNet101V2 | Self::ResNet152V2 => Scaling::Tf,
            Self::InceptionV3 => Scaling::Tf,
            Self::SmallConvNet => Scaling::Unit,
        }
    }

    /// What a base without its top begins with, where its weights want `own`. The lesson's 1/255 suits VGG
    /// well enough; batch normalisation knows the mean and variance of the pixels that it was trained on.
    pub(crate) fn usual_scaling(self, own: Scaling) -> Scaling {
        match (self, own) {
            (Self::Vgg16 | Self::Vgg19, Scaling::Caffe) => Scaling::Unit,
            _ => own,
        }
    }

    /// The side of the pictures that its top was trained on, in pixels.
    pub(crate) fn size_with_top(self) -> usize {
        match self {
            Self::InceptionV3 => 299,
            _ => 224,
        }
    }

    /// Refuses the network that there are no pretrained weights for.
    pub(crate) fn check_pretrained(self) -> Result<()> {
        if Self::PRETRAINED.contains(&self) {
            return Ok(());
        }
        let all = Self::PRETRAINED
            .map(|network| network.to_string())
            .join(", ");
        Err(Error::Argument {
            argument: "architecture",
            value: self.to_string(),
            expected: format!(
                "it must be one of {all}; the small network is made by `lab.small_conv_net` and trained \
                 from scratch"
            ),
        })
    }

    /// The smallest picture; Keras refuses smaller ones too. But for residual networks, whose convolutions
    /// all have padding, it is the smallest that leaves something after the last pooling.
    fn least_size(self) -> usize {
        match self {
            Self::InceptionV3 => 75,
            Self::SmallConvNet => 46,
            _ => 32,
        }
    }

    /// Refuses pictures that leave nothing behind, and such as no memory holds.
    pub(crate) fn check_size(self, size: usize) -> Result<()> {
        let least = self.least_size();
        let expected = match size {
            _ if size < least => {
                format!("it must be {least} or more, because each pooling halves it")
            }
            _ if size > MOST_SIDE => {
                format!("it may be {MOST_SIDE} at most, or one picture takes 10 GB")
            }
            _ => return Ok(()),
        };
        Err(Error::Argument {
            argument: "size",
            value: size.to_string(),
            expected,
        })
    }
}

/// The name that Keras gives the model, which is that of its weight file too.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vgg16 => "vgg16",
            Self::Vgg19 => "vgg19",
            Self::ResNet50 => "resnet50",
            Self::ResNet101 => "resnet101",
            Self::ResNet152 => "resnet152",
            Self::ResNet50V2 => "resnet50v2",
            Self::ResNet101V2 => "resnet101v2",
            Self::ResNet152V2 => "resnet152v2",
            Self::InceptionV3 => "inception_v3",
            Self::SmallConvNet => "small_conv_net",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::network::layer::Layer;

    #[test]
    fn a_picture_of_the_least_size_leaves_one_value_a_channel() {
        for (architecture, below) in [
            (Architecture::Vgg16, 0),
            (Architecture::Vgg19, 0),
            (Architecture::InceptionV3, 0),
            (Architecture::SmallConvNet, 0),
            (Architecture::ResNet50, 1),
            (Architecture::ResNet50V2, 1),
        ] {
            let side = |size| {
                let graph = architecture.graph(size, false);
                graph.layers().last().map(|layer| layer.output_shape[0])
            };
            let least = architecture.least_size();
            let sides = (side(least), side(least - 1));
            assert_eq!(sides, (Some(1), Some(below)), "{architecture}");
        }
    }

    /// A graph's layers as `tests/references/golden_networks.py` writes Keras': name, class, shape, parameters,
    /// inputs.
    fn lines(graph: &Graph) -> Vec<String> {
        let layers = graph.layers();
        let line = |layer: &Layer| {
            let shape = layer.output_shape.iter().map(usize::to_string);
            let inputs = layer.inputs.iter().map(|&input| layers[input].name.clone());
            let [shape, inputs] =
                [shape.collect::<Vec<_>>(), inputs.collect()].map(|words| words.join(","));
            let parameters = layer.num_parameters();
            let line = format!(
                "{} {} {shape} {parameters} {inputs}",
                layer.name, layer.kind
            );
            line.trim_end().to_owned()
        };
        layers.iter().map(line).collect()
    }

    #[test]
    fn every_layer_is_keras_layer_with_and_without_the_top() {
        let text = std::fs::read("tests/golden/networks.json").unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for architecture in Architecture::PRETRAINED {
            let expected = &golden[architecture.to_string()];
            if expected.is_null() {
                // VGG's are in tests/library/architecture.rs.
                continue;
            }
            let count = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
            let size = count(&expected["size"]);
            let own = lines(&architecture.graph(size, false));
            assert_eq!(serde_json::json!(own), expected["layers"], "{architecture}");
            let expected = &golden[format!("{architecture} top")];
            assert_eq!(count(&expected["size"]), architecture.size_with_top());
            let whole = architecture.graph(architecture.size_with_top(), true);
            let parameters = whole
                .layers()
                .iter()
                .map(Layer::num_parameters)
                .sum::<usize>();
            assert_eq!(parameters, count(&expected["parameters"]), "{architecture}");
            let rows = lines(&whole);
            assert_eq!(rows.len(), count(&expected["count"]), "{architecture}");
            let top = expected["layers"].as_array().unwrap();
            let last = &rows[rows.len() - top.len()..];
            assert_eq!(
                serde_json::json!(last),
                expected["layers"],
                "{architecture}"
            );
        }
    }

    #[test]
    fn every_last_block_is_a_layer() {
        for architecture in Architecture::PRETRAINED {
            let graph = architecture.graph(96, false);
            let name = architecture.last_block();
            assert!(graph.number(name).is_ok(), "{architecture}: {name}");
        }
    }
}

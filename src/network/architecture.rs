//! Which networks there are, and which table each is made from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::network::graph::Graph;
use crate::network::small_conv_net::small_conv_net;
use crate::network::vgg::{vgg16, vgg19};

/// At 4,096 pixels the two largest activations of one picture, 64 channels in f32, take 8.6 GB.
const MOST_SIDE: usize = 4096;

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
    /// The network for square pictures of `size` pixels; only those with pretrained weights have a top.
    pub(crate) fn graph(self, size: usize, with_top: bool) -> Graph {
        match self {
            Self::Vgg16 => vgg16(size, with_top),
            Self::Vgg19 => vgg19(size, with_top),
            Self::SmallConvNet => small_conv_net(size),
        }
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
    fn least_size(self) -> usize {
        match self {
            Self::Vgg16 | Self::Vgg19 => 32,
            Self::SmallConvNet => 46,
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

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vgg16 => "vgg16",
            Self::Vgg19 => "vgg19",
            Self::SmallConvNet => "small_conv_net",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_least_size_leaves_one_value_a_channel() {
        for architecture in [
            Architecture::Vgg16,
            Architecture::Vgg19,
            Architecture::SmallConvNet,
        ] {
            let side = |size| {
                let graph = architecture.graph(size, false);
                graph.layers().last().map(|layer| layer.output_shape[0])
            };
            let least = architecture.least_size();
            let sides = (side(least), side(least - 1));
            assert_eq!(sides, (Some(1), Some(0)), "{architecture}");
        }
    }
}

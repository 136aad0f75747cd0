//! How the base computes: [`Precision`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::error::Error;

/// The numbers that the base computes in, and how. Weights are kept, and heads and layers that learn are trained, in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// 32-bit floating point: the numbers that Keras gives. (libtorch's convolutions on a GPU would round
    /// their inputs to TF32, 10 bits of mantissa; here they are told not to. For the gradients of layers
    /// that learn there is no such switch in tch: those of convolutions are TF32 on a GPU.)
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// f32, with the frozen layers' 3 x 3 convolutions Winograd's way: a quarter of the multiplications, on processors
    /// with AVX2 or AVX-512, where [`Lab`](crate::Lab) chooses it if there is no bf16. VGG16 then extracts 1.35 to 1.6 times as
    /// many pictures a second (measured on two cores of an AMD EPYC: 15.1 instead of 10.9) and takes 235 MB more. Each
    /// number is rounded a little differently, some 5e-6 of the largest after VGG16's convolutions, which a training
    /// run makes larger. Elsewhere it is the same as `F32`.
    #[serde(rename = "f32-winograd")]
    F32Winograd,
    /// bfloat16: 8 bits of mantissa, about twice as fast where the hardware has it.
    #[serde(rename = "bf16")]
    BFloat16,
}

impl Precision {
    /// The bytes that a number takes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::F32Winograd => 4,
            Self::BFloat16 => 2,
        }
    }

    /// The libtorch kind that stands for this precision.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::F32 | Self::F32Winograd => Kind::Float,
            Self::BFloat16 => Kind::BFloat16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F32Winograd => "f32-winograd",
            Self::BFloat16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    /// Reads `f32`, `f32-winograd` or `bf16`.
    ///
    /// # Errors
    /// [`Error::Argument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "f32" => Ok(Self::F32),
            "f32-winograd" => Ok(Self::F32Winograd),
            "bf16" => Ok(Self::BFloat16),
            _ => Err(Error::Argument {
                argument: "precision",
                value: format!("{word:?}"),
                expected: "it must be f32, f32-winograd or bf16".into(),
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_precision_has_one_name_in_words_and_in_files() {
        for precision in [Precision::F32, Precision::F32Winograd, Precision::BFloat16] {
            let word = precision.to_string();
            assert_eq!(word.parse::<Precision>().unwrap(), precision);
            let kept = serde_json::to_string(&precision).unwrap();
            assert_eq!(kept, format!("{word:?}"));
        }
        assert!("f16".parse::<Precision>().is_err());
    }
}

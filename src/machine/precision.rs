//! The number format of the base: [`Precision`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::error::Error;

/// The number format that the base computes in. Weights are kept, and heads trained, in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// 32-bit floating point: the numbers that Keras gives. (libtorch's convolutions on a GPU would round
    /// their inputs to TF32, 10 bits of mantissa; here they are told not to. For the gradients of layers
    /// that learn there is no such switch in tch: those of convolutions are TF32 on a GPU.)
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// bfloat16: 8 bits of mantissa, about twice as fast where the hardware has it.
    #[serde(rename = "bf16")]
    BFloat16,
}

impl Precision {
    /// The bytes that a number takes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::BFloat16 => 2,
        }
    }

    /// The libtorch kind that stands for this precision.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::BFloat16 => Kind::BFloat16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::BFloat16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    /// Reads `f32` or `bf16`.
    ///
    /// # Errors
    /// [`Error::Argument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::BFloat16),
            _ => Err(Error::Argument {
                argument: "precision",
                value: format!("{word:?}"),
                expected: "it must be f32 or bf16".into(),
            }),
        }
    }
}

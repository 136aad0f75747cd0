//! [`Values`]: numbers with a shape, from wherever a cell has them.
//!
//! Quick looks take them: arrays of `ndarray` of any number type and any number of dimensions, tensors
//! of `tch` on any device, vectors and slices.
//!
//! ```
//! use evcxr_transfer::{Values, ndarray, tch};
//! let losses = vec![0.7, 0.6, 0.5];
//! assert_eq!(Values::from(&losses).shape(), [3]);
//! assert_eq!(Values::from(&ndarray::arr2(&[[1_u8, 2], [3, 4]])).shape(), [2, 2]);
//! assert_eq!(Values::from(&tch::Tensor::from_slice(&[1.5_f32])).shape(), [1]);
//! ```

use std::fmt;

use ndarray::{Array1, ArrayBase, ArrayD, Axis, Data, Dimension};
use num_traits::ToPrimitive;
use tch::Tensor;

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::machine::arrays::array_of;

/// Numbers with a shape. Made from an array, a tensor, a vector or a slice where they are asked for:
/// `histogram(&array, 30)`.
#[derive(Clone)]
pub struct Values {
    source: Source,
}

enum Source {
    Numbers(ArrayD<f64>),
    Tensor(Tensor),
}

impl Clone for Source {
    fn clone(&self) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(numbers.clone()),
            // Tensors share their memory.
            Self::Tensor(tensor) => Self::Tensor(tensor.shallow_clone()),
        }
    }
}

impl Values {
    /// The size of each dimension.
    pub fn shape(&self) -> Vec<usize> {
        match &self.source {
            Source::Numbers(numbers) => numbers.shape().to_vec(),
            Source::Tensor(tensor) => tensors::shape(tensor),
        }
    }

    /// The numbers, in memory, as f64.
    ///
    /// # Errors
    /// [`Error::Argument`] for complex or undefined tensors, [`Error::Compute`] if they cannot be copied.
    pub fn array(self) -> Result<ArrayD<f64>> {
        let tensor = match self.source {
            Source::Numbers(numbers) => return Ok(numbers),
            Source::Tensor(tensor) => tensor,
        };
        if !tensor.defined() || tensor.is_complex() || tensor.is_sparse() {
            return Err(Error::Argument {
                argument: "values",
                value: format!("{tensor:?}"),
                expected: "it must be a dense tensor of real numbers".into(),
            });
        }
        array_of(&tensor).map_err(Error::compute("reading a tensor's numbers"))
    }

    /// Some of the parts along the first dimension, by their numbers, all of which exist.
    pub(crate) fn rows(self, numbers: &[usize]) -> Result<Self> {
        let source = match self.source {
            Source::Numbers(all) => Source::Numbers(all.select(Axis(0), numbers)),
            Source::Tensor(all) => {
                let numbers = numbers.iter().map(|&n| n as i64).collect::<Vec<_>>();
                let chosen = Tensor::f_from_slice(&numbers)
                    .and_then(|numbers| all.f_index_select(0, &numbers.f_to_device(all.device())?));
                Source::Tensor(chosen.map_err(Error::compute("choosing pictures of a tensor"))?)
            }
        };
        Ok(Self { source })
    }

    fn flat<A: ToPrimitive>(numbers: &[A]) -> Self {
        let numbers = numbers.iter().map(number).collect::<Array1<_>>();
        Self {
            source: Source::Numbers(numbers.into_dyn()),
        }
    }
}

/// A number as f64; none of Rust's own number types lacks one.
fn number<A: ToPrimitive>(number: &A) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({:?})", self.shape())
    }
}

impl<A: ToPrimitive, S: Data<Elem = A>, D: Dimension> From<&ArrayBase<S, D>> for Values {
    fn from(array: &ArrayBase<S, D>) -> Self {
        Self {
            source: Source::Numbers(array.map(number).into_dyn()),
        }
    }
}

impl<A: ToPrimitive, S: Data<Elem = A>, D: Dimension> From<ArrayBase<S, D>> for Values {
    fn from(array: ArrayBase<S, D>) -> Self {
        Self::from(&array)
    }
}

impl<A: ToPrimitive> From<&Vec<A>> for Values {
    fn from(numbers: &Vec<A>) -> Self {
        Self::flat(numbers)
    }
}

impl<A: ToPrimitive> From<Vec<A>> for Values {
    fn from(numbers: Vec<A>) -> Self {
        Self::flat(&numbers)
    }
}

impl<A: ToPrimitive> From<&[A]> for Values {
    fn from(numbers: &[A]) -> Self {
        Self::flat(numbers)
    }
}

impl<A: ToPrimitive, const N: usize> From<&[A; N]> for Values {
    fn from(numbers: &[A; N]) -> Self {
        Self::flat(numbers)
    }
}

impl<A: ToPrimitive, const N: usize> From<[A; N]> for Values {
    fn from(numbers: [A; N]) -> Self {
        Self::flat(&numbers)
    }
}

impl From<&Tensor> for Values {
    fn from(tensor: &Tensor) -> Self {
        Self {
            source: Source::Tensor(tensor.shallow_clone()),
        }
    }
}

impl From<Tensor> for Values {
    fn from(tensor: Tensor) -> Self {
        Self::from(&tensor)
    }
}

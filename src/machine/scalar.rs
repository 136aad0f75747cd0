//! A number as a tensor, for arithmetic with tensors.
//!
//! tch's functions that take plain numbers (`f_mul_scalar`, `f_gt`, `f_full`) panic where libtorch fails, when memory is full
//! for example: they drop the number before they ask for the error, and its drop asks, too. clippy.toml forbids those
//! that need memory.

use tch::{Kind, TchError, Tensor};

/// The number as a tensor without dimensions, on the CPU, which tensors of any device and floating kind take as it is.
pub(crate) fn scalar(value: f64) -> Result<Tensor, TchError> {
    Tensor::f_from_data_size(&value.to_ne_bytes(), &[], Kind::Double)
}

/// 0, 1, ... up to (not) `count`, on the CPU.
pub(crate) fn count_up_to(count: usize) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(&(0..count as i64).collect::<Vec<_>>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_number_leaves_kinds_as_they_are() {
        for kind in [Kind::Float, Kind::BFloat16, Kind::Double] {
            let values = Tensor::from_slice(&[1.0_f32, -2.5]).to_kind(kind);
            let product = values.f_mul(&scalar(0.1).unwrap()).unwrap();
            assert_eq!(product.kind(), kind);
            let expected = &values * 0.1;
            assert_eq!(product, expected);
        }
        let counted = Vec::<i64>::try_from(count_up_to(3).unwrap()).unwrap();
        assert_eq!(counted, [0, 1, 2]);
    }

    #[test]
    fn what_fails_with_a_number_is_an_error() {
        // More than there can be: the product of a thousand million million rows that lie in one place.
        let wide = Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)).expand([1 << 50], false);
        let error = wide.f_mul(&scalar(2.0).unwrap()).unwrap_err();
        assert!(crate::error::is_out_of_memory(&error), "{error}");
    }
}

//! Tensors as arrays: their numbers, wherever they were computed, in the computer's own memory.
//!
//! Reading waits until the device has computed them: what comes in batches is gathered there and read once.

use ndarray::{Array, ArrayD, Dimension};
use tch::kind::Element;
use tch::{Device, TchError, Tensor};

/// A tensor in its own shape and order of dimensions.
pub(crate) fn array_of<A: Element + Copy, D: Dimension>(
    tensor: &Tensor,
) -> std::result::Result<Array<A, D>, TchError> {
    let sizes = tensor.size().into_iter().map(|size| size as usize);
    ArrayD::from_shape_vec(sizes.collect::<Vec<_>>(), numbers_of(tensor)?)
        .and_then(ArrayD::into_dimensionality)
        .map_err(|error| TchError::Shape(error.to_string()))
}

/// All numbers of a tensor; the last dimension runs fastest.
pub(crate) fn numbers_of<A: Element + Copy>(
    tensor: &Tensor,
) -> std::result::Result<Vec<A>, TchError> {
    let flat = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(A::KIND)?
        .f_contiguous()?
        .f_view(-1)?;
    Vec::try_from(&flat)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2, arr2};
    use tch::Kind;

    #[test]
    fn numbers_come_in_the_order_of_the_dimensions_not_of_the_memory() {
        let tensor = Tensor::arange(6, (Kind::BFloat16, Device::Cpu)).view([3, 2]);
        let turned = tensor.transpose(0, 1).set_requires_grad(true);
        let array = array_of::<f32, Ix2>(&turned).unwrap();
        assert_eq!(array, arr2(&[[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]));
        assert_eq!(numbers_of::<i64>(&turned).unwrap(), [0, 2, 4, 1, 3, 5]);
        assert!(
            array_of::<f32, Ix1>(&turned).is_err(),
            "it has two dimensions"
        );
        let none = Tensor::zeros([0, 2], (Kind::Float, Device::Cpu));
        assert_eq!(array_of::<f64, Ix2>(&none).unwrap().dim(), (0, 2));
    }
}

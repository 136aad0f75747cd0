//! What one layer computes.
//!
//! Tensors are [N, C, H, W] in channels_last memory, or [N, units].

use tch::{Kind, TchError, Tensor};

use crate::network::fast_convolution::FastConvolution;
use crate::network::fused_convolution::Moves;
use crate::network::operation::{Activation, Operation};
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;
use crate::network::window::Window;

type Result<T> = std::result::Result<T, TchError>;

/// How much of its averages batch normalisation keeps at a step in which it learns: Keras' `momentum`.
const MOMENTUM: f64 = 0.99;

fn no_input() -> TchError {
    TchError::Shape("nothing is known of the layer input".to_owned())
}

/// Whether an output may be changed in place by the only layer that takes it: it lies in memory of its own,
/// and no gradient is computed from it.
pub(super) fn may_change(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Conv2D {
            activation: None,
            ..
        } | Operation::BatchNormalization { .. }
            | Operation::Add
    )
}

/// What is known of the only input of a layer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// It may be changed in place.
    pub(super) is_free: bool,
    /// No value in it has a sign, and none is no number.
    pub(super) has_no_signs: bool,
}

/// One layer.
pub(crate) fn compute(
    operation: &Operation,
    mut inputs: Vec<Tensor>,
    known: Known,
    weights: &LayerWeights,
) -> Result<Tensor> {
    match *operation {
        Operation::Add => {
            let mut all = inputs.iter().skip(1);
            let first = one(&inputs)?;
            return all.try_fold(first.shallow_clone(), |sum, x| sum.f_add(x));
        }
        Operation::Concatenate => return Tensor::f_cat(&inputs, 1),
        Operation::Activation(activation) if known.is_free => {
            let x = inputs.pop().ok_or_else(no_input)?;
            return activated(x, Some(activation));
        }
        _ => {}
    }
    let x = one(&inputs)?;
    match *operation {
        Operation::Conv2D { window, activation } => {
            let (x, padding) = padded(x, window, 0.0)?;
            let (kernel, bias) = (weights.tensor(Role::Kernel)?, weights.get(Role::Bias));
            let strides = window.strides.map(|n| n as i64);
            if let Some(FastConvolution::Fused(fused)) = weights.fast()
                && !x.requires_grad()
            {
                let with_relu = activation == Some(Activation::Relu);
                let output = fused.run(&x, bias, Moves { strides, padding }, with_relu)?;
                return activated(output, activation.filter(|_| !with_relu));
            }
            // In f32 on a GPU libtorch would round to TF32, 10 bits of mantissa: not what f32 promises.
            let sums = match x.device().is_cuda() && x.f_kind()? == Kind::Float {
                true => exact_convolution(&x, kernel, bias, strides, padding)?,
                false => x.f_conv2d(kernel, bias, strides, padding, [1, 1], 1)?,
            };
            activated(sums, activation)
        }
        Operation::Dense { activation } => {
            let sums = x.f_linear(weights.tensor(Role::Kernel)?, weights.get(Role::Bias))?;
            activated(sums, activation)
        }
        Operation::BatchNormalization { epsilon } if weights.normalises_by_batch() => {
            by_batch(x, epsilon, weights)
        }
        Operation::BatchNormalization { epsilon } => x.f_batch_norm(
            gamma_of(weights)?.as_ref(),
            weights.get(Role::Beta),
            weights.get(Role::MovingMean),
            weights.get(Role::MovingVariance),
            false,
            0.0,
            epsilon,
            true,
        ),
        Operation::Activation(Activation::Relu) => x.f_relu(),
        Operation::Activation(Activation::Softmax) => x.f_softmax(-1, Kind::Float),
        Operation::MaxPooling2D(Window::HALVES) if is_halved(x)? => halved(x, known.has_no_signs),
        Operation::MaxPooling2D(window) => {
            let (x, padding) = padded(x, window, f64::NEG_INFINITY)?;
            let [size, strides] = [window.size, window.strides].map(|both| both.map(|n| n as i64));
            x.f_max_pool2d(size, strides, padding, [1, 1], false)
        }
        Operation::AveragePooling2D(window) => average_pool(x, window),
        Operation::GlobalAveragePooling2D => x.f_mean_dim([2i64, 3].as_slice(), false, None),
        Operation::GlobalMaxPooling2D => x.f_amax([2i64, 3].as_slice(), false),
        Operation::ZeroPadding2D { rows, columns } => {
            let [top, bottom, left, right] =
                [rows[0], rows[1], columns[0], columns[1]].map(|n| n as i64);
            x.f_pad([left, right, top, bottom], "constant", 0.0)
        }
        // (H, W, C) order, as Keras flattens and as the weights of the dense layer expect.
        Operation::Flatten => x.f_permute([0, 2, 3, 1])?.f_flatten(1, -1),
        Operation::Input | Operation::Add | Operation::Concatenate => Ok(x.shallow_clone()),
    }
}

/// The factors of a batch normalisation: ones where it has none (Keras' `scale=False`) and learns, since libtorch finds
/// no gradient of beta on a GPU without.
fn gamma_of(weights: &LayerWeights) -> Result<Option<Tensor>> {
    match (weights.get(Role::Gamma), weights.get(Role::Beta)) {
        (Some(gamma), _) => Ok(Some(gamma.shallow_clone())),
        (None, Some(beta)) if beta.requires_grad() => Ok(Some(beta.f_detach()?.f_ones_like()?)),
        _ => Ok(None),
    }
}

/// Batch normalisation in training mode: with the batch's own mean and variance, which the averages then follow.
fn by_batch(x: &Tensor, epsilon: f64, weights: &LayerWeights) -> Result<Tensor> {
    let none = None::<&Tensor>;
    let (gamma, beta) = (gamma_of(weights)?, weights.get(Role::Beta));
    let (output, ..) =
        x.f_native_batch_norm(gamma.as_ref(), beta, none, none, true, 0.0, epsilon)?;
    let _no_grad = tch::no_grad_guard();
    // libtorch's own averages would follow the variance of n - 1 values; Keras' follow that of n. And what it gives
    // back, 1 / sqrt(variance + epsilon), has lost the digits of a small variance. Not in bf16, whose 8 bits would
    // hardly move an average.
    let exact = x.f_to_kind(Kind::Float)?;
    let (variance, mean) = exact.f_var_mean_dim([0_i64, 2, 3].as_slice(), false, false)?;
    for (role, now) in [(Role::MovingMean, mean), (Role::MovingVariance, variance)] {
        let mut average = weights.tensor(role)?.f_detach()?;
        let _ = average.f_lerp_(&now.f_to_kind(average.f_kind()?)?, 1.0 - MOMENTUM)?;
    }
    Ok(output)
}

fn one(inputs: &[Tensor]) -> Result<&Tensor> {
    inputs.first().ok_or_else(no_input)
}

/// Sums, which nobody else has, with what follows them.
fn activated(mut sums: Tensor, activation: Option<Activation>) -> Result<Tensor> {
    match activation {
        None => Ok(sums),
        Some(Activation::Relu) => sums.f_relu_(),
        Some(Activation::Softmax) => sums.f_softmax(-1, Kind::Float),
    }
}

/// What a window needs around pictures. libtorch adds as much before as after, and then by itself: what it
/// has to add is given back. Otherwise it is added here, with this value.
pub(super) fn padded(x: &Tensor, window: Window, value: f64) -> Result<(Tensor, [i64; 2])> {
    let (_, _, height, width) = x.size4()?;
    let size = [height, width].map(|n| n as usize);
    if let Some(padding) = window.even_sides(size) {
        return Ok((x.shallow_clone(), padding.map(|n| n as i64)));
    }
    let [rows, columns] = [window.sides(0, size[0]), window.sides(1, size[1])];
    let sides = [columns[0], columns[1], rows[0], rows[1]].map(|n| n as i64);
    Ok((x.f_pad(sides, "constant", value)?, [0, 0]))
}

/// The mean of what each window has within the picture.
fn average_pool(x: &Tensor, window: Window) -> Result<Tensor> {
    let [size, strides] = [window.size, window.strides].map(|both| both.map(|n| n as i64));
    let means = |x: &Tensor| {
        let (x, padding) = padded(x, window, 0.0)?;
        x.f_avg_pool2d(size, strides, padding, false, false, None)
    };
    // Zeros that were added here were counted: the mean of ones is the share of what lies in the picture.
    let ones = x.f_narrow(0, 0, 1)?.f_narrow(1, 0, 1)?.f_ones_like()?;
    means(x)?.f_div(&means(&ones)?)
}

/// Whether the largest of each square is found by [`halved`]. libtorch's own pooling also notes where it was, which the
/// gradient alone asks for. VGG16's five took 10.5 ms with bf16 for 16 pictures on a CPU, and 6.6 ms by halves; 2.7 and 1.6 ms
/// for 250 pictures on an H100.
fn is_halved(x: &Tensor) -> Result<bool> {
    let (_, _, height, width) = x.size4()?;
    Ok(!x.requires_grad() && height >= 2 && width >= 2)
}

/// The largest of each square of 2 x 2. A last odd row or column is left out.
fn halved(x: &Tensor, has_no_signs: bool) -> Result<Tensor> {
    let (pictures, channels, height, width) = x.size4()?;
    let [rows, columns] = [height / 2, width / 2];
    if x.device().is_cuda() {
        let even = x.f_narrow(2, 0, rows * 2)?.f_narrow(3, 0, columns * 2)?;
        let squares = even.f_permute([0, 2, 3, 1])?;
        let squares = squares.f_view([pictures, rows, 2, columns, 2, channels])?;
        return squares
            .f_amax([2, 4].as_slice(), false)?
            .f_permute([0, 3, 1, 2]);
    }
    let kind = x.f_kind()?;
    if has_no_signs && kind == Kind::BFloat16 {
        // Without a sign the larger number has the larger bits. libtorch would widen each to f32, in three times the time.
        let bits = x.f_view_dtype(Kind::Int16)?;
        return by_pairs(&bits, rows, columns)?.f_view_dtype(kind);
    }
    by_pairs(x, rows, columns)
}

/// The larger of two rows each, then of two columns: on a CPU a reduction takes nine times as long.
fn by_pairs(x: &Tensor, rows: i64, columns: i64) -> Result<Tensor> {
    let larger_of_two = |x: &Tensor, axis: i64, half: i64| {
        let every_second = |first: i64| x.f_slice(axis, first, half * 2, 2);
        every_second(0)?.f_maximum(&every_second(1)?)
    };
    larger_of_two(&larger_of_two(x, 2, rows)?, 3, columns)
}

/// A convolution by the one function of libtorch that has a switch for TF32. (What it computes for the
/// gradient heeds libtorch's own switch, which tch does not reach.)
pub(super) fn exact_convolution(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    strides: [i64; 2],
    padding: [i64; 2],
) -> Result<Tensor> {
    let (benchmark, deterministic, cudnn_enabled, allow_tf32) = (false, false, true, false);
    x.f_internal_convolution(
        kernel,
        bias,
        strides,
        padding,
        [1, 1],
        false,
        [0, 0],
        1,
        benchmark,
        deterministic,
        cudnn_enabled,
        allow_tf32,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn halves_are_those_of_libtorchs_pooling() {
        for kind in [Kind::Float, Kind::BFloat16] {
            for (height, width) in [(2, 2), (5, 4), (6, 7)] {
                let values = Tensor::arange(2 * height * width * 3, (Kind::Float, Device::Cpu));
                let values = (values * 7.0).remainder(23.0) - 11.0;
                // Zeros and infinity among them.
                let values = (values.relu() / values.le(9.0)).to_kind(kind);
                let x = values.view([2, height, width, 3]).permute([0, 3, 1, 2]);
                let expected = x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
                for has_no_signs in [false, true] {
                    let found = halved(&x, has_no_signs).unwrap();
                    assert_eq!(found, expected);
                    assert_eq!(found.kind(), kind);
                    assert!(found.permute([0, 2, 3, 1]).is_contiguous());
                }
            }
        }
    }
}

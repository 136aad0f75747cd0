//! Batch normalisation folded into the convolution before it.
//!
//! In inference mode a normalisation multiplies each channel by a number and adds another; a convolution
//! without anything after it may as well have channels that are so multiplied, and a bias that is so much
//! larger. One pass over memory then does for two. `forward` takes the folded kernel and bias where nobody
//! asks for what lies between.

use tch::{Kind, TchError, Tensor};

use crate::machine::scalar::scalar;
use crate::network::graph::Graph;
use crate::network::operation::Operation;
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;

/// The plain convolution that normalisation number `number` follows; none for another layer.
pub(super) fn before(graph: &Graph, number: usize) -> Option<usize> {
    let layer = &graph.layers()[number];
    let before = *layer.inputs.first()?;
    let is_normalisation = matches!(layer.operation, Operation::BatchNormalization { .. });
    let is_plain = matches!(
        graph.layers()[before].operation,
        Operation::Conv2D {
            activation: None,
            ..
        }
    );
    (is_normalisation && is_plain).then_some(before)
}

/// For each layer the number of the convolution that it usually computes: its own, or as a normalisation that of
/// the layer before it, which then has none to compute.
pub(super) fn convolutions_done(graph: &Graph) -> Vec<Option<usize>> {
    let count = graph.layers().len();
    let mut done = (0..count).map(Some).collect::<Vec<_>>();
    for number in 0..count {
        if let Some(before) = before(graph, number) {
            done[number] = Some(before);
            done[before] = None;
        }
    }
    done
}

/// The kernel and bias of the convolution before normalisation number `number` with the normalisation in
/// them; none for another layer, or where no plain convolution comes before it.
pub(super) fn folded(
    graph: &Graph,
    loaded: &[LayerWeights],
    number: usize,
) -> Result<Vec<(Role, Tensor)>, TchError> {
    let Operation::BatchNormalization { epsilon } = graph.layers()[number].operation else {
        return Ok(Vec::new());
    };
    let Some(before) = before(graph, number) else {
        return Ok(Vec::new());
    };
    // In f64: the product is rounded once, to f32.
    let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
    let (own, convolution) = (&loaded[number], &loaded[before]);
    let variance = double(own.tensor(Role::MovingVariance)?)?;
    let mut factor = variance.f_add(&scalar(epsilon)?)?.f_rsqrt()?;
    if let Some(gamma) = own.get(Role::Gamma) {
        factor = factor.f_mul(&double(gamma)?)?;
    }
    let mut bias = double(own.tensor(Role::MovingMean)?)?.f_neg()?;
    if let Some(added) = convolution.get(Role::Bias) {
        bias = bias.f_add(&double(added)?)?;
    }
    let bias = bias
        .f_mul(&factor)?
        .f_add(&double(own.tensor(Role::Beta)?)?)?;
    let kernel = convolution.tensor(Role::Kernel)?;
    let kernel = double(kernel)?.f_mul(&factor.f_view([-1, 1, 1, 1])?)?;
    Ok(vec![
        (Role::Kernel, kernel.f_to_kind(Kind::Float)?),
        (Role::Bias, bias.f_to_kind(Kind::Float)?),
    ])
}

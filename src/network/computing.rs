//! The weights of a network as its device computes with them.

use tch::Device;

use crate::error::{Error, Result};
use crate::machine::precision::Precision;
use crate::network::fast_convolution::FastConvolutions;
use crate::network::folding::{convolutions_done, folded};
use crate::network::graph::Graph;
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;

/// The weights of the layers from number `first` on, as the device computes with them. A normalisation that can
/// be folded into the convolution before it has the folded kernel and bias besides, and computes both.
pub(super) fn computing(
    graph: &Graph,
    loaded: &[LayerWeights],
    first: usize,
    device: Device,
    precision: Precision,
) -> Result<Vec<LayerWeights>> {
    let kind = precision.kind();
    let convolutions = FastConvolutions::on(device, precision);
    let does = convolutions_done(graph);
    let placed = (first..loaded.len()).map(|number| {
        let own = loaded[number].shared();
        let weights = own.with(folded(graph, loaded, number)?);
        let weights = weights.computing(device, kind)?;
        let fast = match does[number].zip(weights.get(Role::Kernel)) {
            Some((convolution, kernel)) => {
                convolutions.of(graph, convolution, kernel, weights.get(Role::Bias))?
            }
            None => None,
        };
        Ok(weights.with_fast(fast))
    });
    placed
        .collect::<std::result::Result<_, _>>()
        .map_err(Error::compute(format!(
            "putting the weights on {}",
            crate::machine::device::name(device)
        )))
}

//! Keras' HDF5 files with `layer_names`: the official ones, `save_weights("x.h5")`, `save("x.h5")`.
//!
//! ```text
//! attribute layer_names = [input_1, block1_conv1, ...]     (below /model_weights for a whole model)
//! /block1_conv1  attribute weight_names = [block1_conv1_W_1:0, block1_conv1_b_1:0]
//! /block1_conv1/block1_conv1_W_1:0                         later: block1_conv1/kernel:0
//! ```

use hdf5_reader::group::Group;
use tch::Tensor;

use crate::error::Result;
use crate::network::weights::hdf5::{Hdf5, strings};
use crate::network::weights::stored_layer::StoredLayer;

/// Reads every layer that has weights; nothing if the file has not this layout.
pub(crate) fn read(file: &Hdf5) -> Result<Option<Vec<StoredLayer>>> {
    let Some(names) = strings(&file.weights, "layer_names") else {
        return Ok(None);
    };
    let mut layers = Vec::new();
    for name in names {
        let group = file.weights.group(&name);
        read_group(file, &group.map_err(|e| file.damaged(e))?, &mut layers)?;
    }
    Ok(Some(layers))
}

/// One layer, or a whole base that was a layer of a larger model: there what does not learn comes after all
/// that does.
fn read_group(file: &Hdf5, group: &Group, layers: &mut Vec<StoredLayer>) -> Result<()> {
    // Layers without weights carry an empty list, as text or as f64 (NumPy's type for one).
    let names = strings(group, "weight_names").unwrap_or_default();
    let mut found: Vec<(String, Vec<Tensor>)> = Vec::new();
    for name in names {
        let tensor = file.tensor(group, &name)?;
        let layer = layer_of(&name);
        match found.iter_mut().find(|(known, _)| *known == layer) {
            Some((_, tensors)) => tensors.push(tensor),
            None => found.push((layer, vec![tensor])),
        }
    }
    let read = found.into_iter();
    layers.extend(read.filter_map(|(name, tensors)| StoredLayer::in_order(name, tensors)));
    Ok(())
}

/// `block1_conv1` of `block1_conv1_W_1:0`, `block1_conv1/kernel:0` and `vgg16/block1_conv1/kernel`; `conv1_bn` of
/// `conv1_bn/moving_mean:0`.
fn layer_of(weight_name: &str) -> String {
    let mut parts = weight_name.rsplit('/');
    let last = parts.next().unwrap_or_default();
    if let Some(layer) = parts.next() {
        return layer.to_owned();
    }
    let last = last.split(':').next().unwrap_or_default();
    let old = ["_W_1", "_b_1", "_W", "_b"]
        .iter()
        .find_map(|ending| last.strip_suffix(ending));
    old.unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_normalisations_are_read_too() {
        assert_eq!(layer_of("conv1_bn/moving_mean:0"), "conv1_bn");
        assert_eq!(
            layer_of("batch_normalization_1/beta:0"),
            "batch_normalization_1"
        );
    }

    #[test]
    fn layer_names_are_read_from_every_way_of_writing_weight_names() {
        for name in [
            "block1_conv1_W_1:0",
            "block1_conv1/kernel:0",
            "block1_conv1/kernel",
            "vgg16/block1_conv1/bias:0",
        ] {
            assert_eq!(layer_of(name), "block1_conv1");
        }
    }
}

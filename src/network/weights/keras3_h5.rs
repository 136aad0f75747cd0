//! Keras 3's HDF5 files, `save_weights("x.weights.h5")`.
//!
//! ```text
//! /layers/conv2d_2/vars  attribute name = block2_conv1
//! /layers/conv2d_2/vars/0, .../1                 batch normalisation: .../0 to .../3
//! ```

use hdf5_reader::group::Group;

use crate::error::Result;
use crate::network::weights::hdf5::Hdf5;
use crate::network::weights::stored_layer::StoredLayer;

/// How deep models may be nested in one another. Links of a damaged file can lead back to a group
/// above; without a limit the search would go on until the stack is full, which ends the kernel.
const DEEPEST: usize = 32;

/// One more tensor than any layer has: an optimiser's are not all read to find out that they are none.
const MOST_TENSORS: usize = 5;

/// Reads every layer that has weights.
pub(crate) fn read(file: &Hdf5) -> Result<Vec<StoredLayer>> {
    let mut layers = Vec::new();
    read_group(file, &file.weights, DEEPEST, &mut layers)?;
    Ok(layers)
}

/// Goes down the groups, in the model's order, to every layer's `vars`.
fn read_group(
    file: &Hdf5,
    group: &Group,
    depth: usize,
    layers: &mut Vec<StoredLayer>,
) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(file.unusable(
            "the HDF5 file is damaged: its groups never end",
            "Download it again",
        ));
    };
    let mut groups = group.groups().map_err(|error| file.damaged(error))?;
    // Alphabetically conv2d_10 would come before conv2d_2.
    groups.sort_by_key(|group| numbered(group.name()));
    for inner in groups {
        if inner.name().rsplit('/').next() != Some("vars") {
            read_group(file, &inner, depth, layers)?;
            continue;
        }
        let (_, datasets) = inner.member_names().map_err(|error| file.damaged(error))?;
        let numbers = (0..MOST_TENSORS).map(|number| number.to_string());
        let present = numbers.take_while(|number| datasets.contains(number));
        let tensors = present.map(|number| file.tensor(&inner, &number));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        let own_name = inner
            .attribute("name")
            .ok()
            .and_then(|name| name.read_string().ok());
        let group_name = group.name().rsplit('/').next().unwrap_or_default();
        let name = own_name.unwrap_or_else(|| group_name.to_owned());
        // Optimisers and metrics have variables of other shapes there.
        layers.extend(StoredLayer::in_order(name, tensors));
    }
    Ok(())
}

/// `conv2d_10` as (`conv2d`, 10), `conv2d` as (`conv2d`, 0).
fn numbered(name: &str) -> (String, usize) {
    let name = name.rsplit('/').next().unwrap_or_default();
    match name
        .rsplit_once('_')
        .map(|(stem, number)| (stem, number.parse()))
    {
        Some((stem, Ok(number))) => (stem.to_owned(), number),
        _ => (name.to_owned(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_in_the_order_of_their_numbers() {
        let mut names = ["conv2d_10", "dense", "conv2d_2", "conv2d"];
        names.sort_by_key(|name| numbered(name));
        assert_eq!(names, ["conv2d", "conv2d_2", "conv2d_10", "dense"]);
    }
}

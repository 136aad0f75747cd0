//! Keras' HDF5 files: the old layout with `layer_names`, and Keras 3's `.weights.h5`.
//!
//! ```text
//! old:      attribute layer_names = [input_1, block1_conv1, ...]     (below /model_weights for a
//!           /block1_conv1  attribute weight_names = [block1_conv1_W_1:0, block1_conv1_b_1:0]  whole model)
//!           /block1_conv1/block1_conv1_W_1:0                          later: block1_conv1/kernel:0
//! Keras 3:  /layers/conv2d_2/vars  attribute name = block2_conv1
//!           /layers/conv2d_2/vars/0, .../1
//! ```

use std::path::Path;

use hdf5_reader::group::Group;
use hdf5_reader::{Datatype, Hdf5File, OpenOptions};
use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::network::weights::file::{StoredLayer, WeightsKind, f32_tensor, unusable};

/// How deep models may be nested in one another. Links of a damaged file can lead back to a group
/// above; without a limit the search would go on until the stack is full, which ends the kernel.
const DEEPEST: usize = 32;

/// How many bytes one tensor may have for each byte of the file. A damaged size would otherwise be
/// allocated before it is doubted: 2 GB for a file of 40 kB. Compressed weights need less than 2.
const LARGEST_EXPANSION: u64 = 64;

/// Reads every layer that has a kernel and a bias.
pub(crate) fn read(path: &Path) -> Result<(WeightsKind, Vec<StoredLayer>)> {
    let damaged = |error| damaged(path, error);
    let length = std::fs::metadata(path)
        .map_err(Error::file(path, "read"))?
        .len();
    let limit = usize::try_from(length.saturating_mul(LARGEST_EXPANSION)).unwrap_or(usize::MAX);
    let options = OpenOptions::default().with_max_read_bytes(limit);
    let file = Hdf5File::open_with_options(path, options).map_err(damaged)?;
    let root = file.root_group().map_err(damaged)?;
    let weights = match root.group("model_weights") {
        Ok(group) => group,
        Err(_) => root,
    };
    let mut layers = Vec::new();
    match strings(&weights, "layer_names") {
        Some(names) => {
            for name in names {
                read_old_group(path, &weights.group(&name).map_err(damaged)?, &mut layers)?;
            }
            Ok((WeightsKind::KerasH5, layers))
        }
        None => {
            read_new_group(path, &weights, DEEPEST, &mut layers)?;
            Ok((WeightsKind::Keras3H5, layers))
        }
    }
}

/// A group of the old layout: one layer, or a whole base that was a layer of a larger model.
fn read_old_group(path: &Path, group: &Group, layers: &mut Vec<StoredLayer>) -> Result<()> {
    // Layers without weights carry an empty list, as text or as f64 (NumPy's type for one).
    let names = strings(group, "weight_names").unwrap_or_default();
    let mut kernel: Option<(String, Tensor)> = None;
    for name in names {
        let tensor = tensor_at(path, group, &name)?;
        let layer = layer_of(&name);
        match (kernel.take(), tensor.dim()) {
            (_, 2 | 4) => kernel = Some((layer, tensor)),
            (Some((of, kernel)), 1) if of == layer => {
                layers.push(StoredLayer {
                    name: layer,
                    kernel,
                    bias: tensor,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// `block1_conv1` of `block1_conv1_W_1:0`, `block1_conv1/kernel:0` and `vgg16/block1_conv1/kernel`.
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

/// Goes down Keras 3's groups, in the model's order, to every `vars` with a kernel and a bias.
fn read_new_group(
    path: &Path,
    group: &Group,
    depth: usize,
    layers: &mut Vec<StoredLayer>,
) -> Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(unusable(
            path,
            "the HDF5 file is damaged: its groups never end",
            "Download it again",
        ));
    };
    let mut groups = group.groups().map_err(|error| damaged(path, error))?;
    // Alphabetically conv2d_10 would come before conv2d_2.
    groups.sort_by_key(|group| numbered(group.name()));
    for inner in groups {
        if inner.name().rsplit('/').next() != Some("vars") {
            read_new_group(path, &inner, depth, layers)?;
            continue;
        }
        let (_, datasets) = inner.member_names().map_err(|error| damaged(path, error))?;
        if !(datasets.iter().any(|name| name == "0") && datasets.iter().any(|name| name == "1")) {
            continue;
        }
        let (kernel, bias) = (tensor_at(path, &inner, "0")?, tensor_at(path, &inner, "1")?);
        // Optimisers and metrics have variables of other shapes there.
        if matches!(kernel.dim(), 2 | 4) && bias.dim() == 1 {
            let own_name = inner
                .attribute("name")
                .ok()
                .and_then(|name| name.read_string().ok());
            let group_name = group.name().rsplit('/').next().unwrap_or_default();
            let name = own_name.unwrap_or_else(|| group_name.to_owned());
            layers.push(StoredLayer { name, kernel, bias });
        }
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

fn strings(group: &Group, attribute: &str) -> Option<Vec<String>> {
    group.attribute(attribute).ok()?.read_strings().ok()
}

/// The dataset at `name`, which may hold slashes, as f32.
fn tensor_at(path: &Path, group: &Group, name: &str) -> Result<Tensor> {
    let mut parts = name.split('/').collect::<Vec<_>>();
    let last = parts.pop().unwrap_or_default();
    let damaged = |error| damaged(path, error);
    let mut inner = group.clone();
    for part in parts {
        inner = inner.group(part).map_err(damaged)?;
    }
    let dataset = inner.dataset(last).map_err(damaged)?;
    let kind = match dataset.dtype() {
        Datatype::FloatingPoint { size: 2, .. } => Kind::Half,
        Datatype::FloatingPoint { size: 4, .. } => Kind::Float,
        Datatype::FloatingPoint { size: 8, .. } => Kind::Double,
        // Counters of optimisers; they are told apart by their shape.
        Datatype::FixedPoint { size: 8, .. } => Kind::Int64,
        Datatype::FixedPoint { size: 4, .. } => Kind::Int,
        other => {
            return Err(unusable(
                path,
                format!("{name} holds {other:?} instead of floating point numbers"),
                "Save the weights as float32",
            ));
        }
    };
    let shape = dataset
        .shape()
        .iter()
        .map(|&n| n as usize)
        .collect::<Vec<_>>();
    let bytes = dataset.read_native_bytes().map_err(damaged)?;
    f32_tensor(&bytes, &shape, kind).map_err(Error::compute(format!("reading {name}")))
}

fn damaged(path: &Path, error: hdf5_reader::error::Error) -> Error {
    let problem = format!("the HDF5 file is damaged or cut short ({error})");
    unusable(path, problem, "Download it again")
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn groups_are_in_the_order_of_their_numbers() {
        let mut names = ["conv2d_10", "dense", "conv2d_2", "conv2d"];
        names.sort_by_key(|name| numbered(name));
        assert_eq!(names, ["conv2d", "conv2d_2", "conv2d_10", "dense"]);
    }
}

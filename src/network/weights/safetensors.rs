//! .safetensors with torchvision's or Keras' names, and the classifiers that this crate saves in it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use tch::Kind;

use crate::error::{Error, Result};
use crate::files::tensor_file::TensorFile;
use crate::network::operation::LayerKind;
use crate::network::origin::Origin;
use crate::network::weights::kind::WeightsKind;
use crate::network::weights::stored_layer::{
    Reading, StoredLayer, f32_tensor, shape_only, unusable,
};
use crate::network::weights::torch_names::{is_of_torch, torch_names};

/// What a .safetensors file holds.
pub(crate) struct Found {
    pub(crate) kind: WeightsKind,
    /// Every layer with weights.
    pub(crate) layers: Vec<StoredLayer>,
    /// What a saved classifier says of its base.
    pub(crate) origin: Option<Origin>,
}

/// Reads the file, unless it says itself that it has no network in it; one of several parts with all others.
pub(crate) fn read(path: &Path, reading: Reading) -> Result<Found> {
    let parts = parts_of(path);
    let parts = parts
        .iter()
        .map(|part| TensorFile::open(part, "Download it again"));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let metadata = parts.iter().flat_map(TensorFile::metadata);
    let metadata = metadata.collect::<HashMap<_, _>>();
    let origin = origin(path, &|key: &str| metadata.get(key).map(String::as_str))?;
    let mut tensors = BTreeMap::new();
    for file in &parts {
        if reading == Reading::Whole {
            file.check_whole()?;
        }
        for (name, info) in file.tensors() {
            let kind = match info.dtype {
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::F32 => Kind::Float,
                Dtype::F64 => Kind::Double,
                // Counters such as batch normalisation's; no kernel or bias is a whole number.
                _ => continue,
            };
            let tensor = match reading {
                Reading::Whole => f32_tensor(&file.bytes(info)?, &info.shape, kind),
                Reading::Shapes => shape_only(&info.shape),
            };
            let tensor = tensor.map_err(Error::compute(format!("reading {name}")))?;
            tensors.insert(name, tensor);
        }
    }
    let tensors = torch_names(tensors).map_err(Error::compute("reading weights"))?;
    let mut layers = StoredLayer::named(path, &tensors)?;
    let kind = if origin.is_some() {
        // The dense layers of a classifier are its head's.
        layers.retain(|layer| layer.kind() != LayerKind::Dense);
        WeightsKind::Classifier
    } else if tensors.keys().any(|name| is_of_torch(name)) {
        WeightsKind::TorchSafetensors
    } else {
        WeightsKind::KerasSafetensors
    };
    Ok(Found {
        kind,
        layers,
        origin,
    })
}

/// A file, or all parts of which it is one by its name: `model-00001-of-00003.safetensors`, as Hugging Face's libraries
/// write what is large.
fn parts_of(path: &Path) -> Vec<PathBuf> {
    let parts = || {
        let name = path.file_name()?.to_str()?.strip_suffix(".safetensors")?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (name, number) = rest.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|c| c.is_ascii_digit());
        if !is_number(number) || !is_number(count) {
            return None;
        }
        let all = 1..=count.parse::<usize>().ok()?;
        let file =
            |number| path.with_file_name(format!("{name}-{number:05}-of-{count}.safetensors"));
        Some(all.map(file).collect::<Vec<_>>())
    };
    let parts = parts().filter(|parts| parts.iter().any(|part| part == path));
    parts.unwrap_or_else(|| vec![path.to_owned()])
}

/// What a saved classifier says of its base; nothing for a file of others.
///
/// # Errors
/// [`Error::Weights`] if the file is of this crate and has no base, or does not say how its base wants
/// its pixels.
fn origin<'a>(path: &Path, said: &dyn Fn(&str) -> Option<&'a str>) -> Result<Option<Origin>> {
    let other = |holds: &str, reader: &str| {
        Err(unusable(
            path,
            format!("this file holds {holds}, saved by this crate, and no network"),
            format!("Read it with `{reader}`; weights of a network are in another file"),
        ))
    };
    match said("kind") {
        Some("head") => other("a head", "HeadModel::load(path, device)"),
        Some("features") => other("features", "Features::load(path, device)"),
        Some("classifier") => {
            let origin = said("origin").and_then(|origin| serde_json::from_str(origin).ok());
            let unknown = || {
                unusable(
                    path,
                    "this is a saved classifier that does not say how its base wants its pixels",
                    "Read the whole with `Classifier::load(path, device)`; its base is `model.base()`",
                )
            };
            origin.map(Some).ok_or_else(unknown)
        }
        _ => Ok(None),
    }
}

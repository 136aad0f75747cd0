//! .safetensors with torchvision's or Keras' names, and the classifiers that this crate saves in it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use tch::Kind;

use crate::error::{Error, Result};
use crate::network::operation::LayerKind;
use crate::network::origin::Origin;
use crate::network::weights::kind::WeightsKind;
use crate::network::weights::stored_layer::{
    Reading, StoredLayer, f32_tensor, shape_only, unusable,
};

/// No header is longer, in bytes; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a .safetensors file holds.
pub(crate) struct Found {
    pub(crate) kind: WeightsKind,
    /// Every layer with weights.
    pub(crate) layers: Vec<StoredLayer>,
    /// What a saved classifier says of its base.
    pub(crate) origin: Option<Origin>,
}

/// Reads the file, unless it says itself that it has no network in it.
pub(crate) fn read(path: &Path, reading: Reading) -> Result<Found> {
    let bytes = match reading {
        Reading::Whole => std::fs::read(path),
        Reading::Shapes => header_bytes(path),
    };
    let bytes = bytes.map_err(Error::file(path, "read"))?;
    let header = match reading {
        Reading::Whole => SafeTensors::read_metadata(&bytes)
            .map(|(_, header)| header)
            .map_err(|error| damaged(path, &error))?,
        Reading::Shapes => {
            serde_json::from_slice::<Metadata>(&bytes).map_err(|error| damaged(path, &error))?
        }
    };
    let said = |key: &str| header.metadata().as_ref()?.get(key).map(String::as_str);
    let origin = origin(path, &said)?;
    let file = match reading {
        Reading::Whole => {
            Some(SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, &error))?)
        }
        Reading::Shapes => None,
    };
    let mut tensors = BTreeMap::new();
    for (name, info) in header.tensors() {
        let kind = match info.dtype {
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            // Counters such as batch normalisation's; no kernel or bias is a whole number.
            _ => continue,
        };
        let tensor = match &file {
            Some(file) => {
                let view = file.tensor(&name).map_err(|error| damaged(path, &error))?;
                f32_tensor(view.data(), view.shape(), kind)
            }
            None => shape_only(&info.shape),
        };
        let tensor = tensor.map_err(Error::compute(format!("reading {name}")))?;
        tensors.insert(name, tensor);
    }
    let mut layers = StoredLayer::named(path, &tensors)?;
    let kind = if origin.is_some() {
        // The dense layers of a classifier are its head's.
        layers.retain(|layer| layer.kind() != LayerKind::Dense);
        WeightsKind::Classifier
    } else if tensors.keys().any(|name| name.starts_with("features.")) {
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

/// The JSON at the file's beginning: eight bytes say how long it is.
fn header_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut bytes = Vec::new();
    // A damaged length ends with the file at the latest.
    file.take(u64::from_le_bytes(length).min(LONGEST_HEADER))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn damaged(path: &Path, error: &dyn fmt::Display) -> Error {
    let problem = format!("the safetensors file is damaged or cut short ({error})");
    unusable(path, problem, "Download it again")
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

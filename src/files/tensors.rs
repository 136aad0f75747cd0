//! A file of named tensors with a few words about them, in the safetensors format.
//!
//! Stored features and models go through here, so that both are written the same way: to a file at
//! the side, renamed when it is whole. A kill at any time leaves the old file or the new one.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::ArrayD;
use safetensors::tensor::{Dtype, TensorView, serialize};
use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::files::tensor_file::TensorFile;
use crate::machine::arrays::array_of;
use crate::show::ending;
use crate::show::saved::Saved;

/// The version of what this crate writes, in the metadata as `format`; files without it are older than the
/// first. It grows when what is written can no longer be understood by what reads it today. New keys are
/// no reason: readers pass over what they do not know, and do without what a file has not.
const FORMAT: u32 = 1;

/// What a file says of who wrote it, for those who cannot read it; JSON, as is all its metadata but the kind.
const WRITTEN_BY: &str = concat!("\"evcxr_transfer ", env!("CARGO_PKG_VERSION"), "\"");

/// Named f32 tensors on the CPU, and text by key.
pub(crate) struct Store {
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) metadata: HashMap<String, String>,
}

impl Store {
    /// Writes the store to `path`; an existing file there stays whole until the new one is.
    pub(crate) fn save(&self, path: &Path) -> Result<Saved> {
        let mut bytes = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            bytes.insert(name, (shape(tensor), f32_bytes(tensor)?));
        }
        let views = bytes
            .iter()
            .map(|(name, (shape, bytes))| {
                Ok((
                    name.as_str(),
                    TensorView::new(Dtype::F32, shape.clone(), bytes)?,
                ))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let mut metadata = self.metadata.clone();
        metadata.insert("format".into(), FORMAT.to_string());
        metadata.insert("written_by".into(), WRITTEN_BY.into());
        let encoded = views.and_then(|views| serialize(views, Some(metadata)));
        let encoded = encoded.map_err(|error| Error::Compute {
            doing: format!("encoding {}", path.display()),
            message: error.to_string(),
        })?;
        Saved::write(path, &encoded)
    }

    /// The tensors by their names, as arrays of one's own.
    pub(crate) fn arrays(&self) -> Result<BTreeMap<String, ArrayD<f32>>> {
        let array = |(name, tensor): (&String, &Tensor)| {
            let array = array_of(tensor).map_err(Error::compute(format!("copying {name}")))?;
            Ok((name.clone(), array))
        };
        self.tensors.iter().map(array).collect()
    }

    /// Reads the file at `path`. `what` names what should be in it ("features", "a head").
    pub(crate) fn load(path: &Path, what: &str) -> Result<Self> {
        if ending::is_onnx(path) {
            return Err(Error::Weights {
                path: path.to_owned(),
                problem: "an exported model can be run, not loaded".into(),
                remedy: "Load the .safetensors file that the same model was saved to".into(),
            });
        }
        let remedy = format!("Load a file that this crate saved {what} to");
        let file = TensorFile::open(path, &remedy)?;
        let metadata = file.metadata();
        let format = metadata.get("format").map_or("0", String::as_str);
        if !format.parse().is_ok_and(|format: u32| format <= FORMAT) {
            let writer = metadata
                .get("written_by")
                .map_or("evcxr_transfer", |name| name.trim_matches('"'));
            return Err(Error::Weights {
                path: path.to_owned(),
                problem: format!("format {format} is of a newer version, {writer}"),
                remedy: "Update evcxr_transfer to read it".into(),
            });
        }
        file.check_whole()?;
        let mut tensors = BTreeMap::new();
        for (name, info) in file.tensors() {
            if info.dtype != Dtype::F32 {
                return Err(Error::Weights {
                    path: path.to_owned(),
                    problem: format!("{name} is {:?}, not F32", info.dtype),
                    remedy,
                });
            }
            let size = info.shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
            let tensor = Tensor::f_from_data_size(&file.bytes(info)?, &size, Kind::Float)
                .map_err(Error::compute(format!("reading {name}")))?;
            tensors.insert(name, tensor);
        }
        Ok(Self { tensors, metadata })
    }

    /// A value that was stored as JSON in the metadata.
    pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        path: &Path,
        what: &str,
    ) -> Result<T> {
        let text = self
            .metadata
            .get(key)
            .ok_or_else(|| not_saved_here(path, what))?;
        serde_json::from_str(text).map_err(|error| Error::Weights {
            path: path.to_owned(),
            problem: format!("its {key} cannot be read ({error})"),
            remedy: format!("Load a file that this crate saved {what} to"),
        })
    }

    /// The same for a value that files of earlier versions have not; nothing there.
    pub(crate) fn read_optional<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        path: &Path,
        what: &str,
    ) -> Result<Option<T>> {
        match self.metadata.contains_key(key) {
            true => self.read_json(key, path, what),
            false => Ok(None),
        }
    }
}

/// The file is whole, and something else than `what`.
pub(crate) fn not_saved_here(path: &Path, what: &str) -> Error {
    Error::Weights {
        path: path.to_owned(),
        problem: format!("this file does not hold {what}"),
        remedy: format!("Load a file that this crate saved {what} to"),
    }
}

/// Refuses a tensor of a file with values that are no finite numbers: training would blame the learning rate
/// for them, and every answer would be none. `name` is the layer's with the tensor's: "dense kernel".
///
/// # Errors
/// [`Error::Weights`] with their number.
pub(crate) fn check_finite(
    tensor: &Tensor,
    path: &Path,
    name: impl std::fmt::Display,
) -> Result<()> {
    let count = not_finite(tensor).map_err(Error::compute(format!("looking at {name}")))?;
    if count == 0 {
        return Ok(());
    }
    let (values, are) = match count {
        1 => ("value", "is no finite number"),
        _ => ("values", "are no finite numbers"),
    };
    Err(Error::Weights {
        path: path.to_owned(),
        problem: format!(
            "{name} has {count} {values} (of {}) that {are}",
            tensor.numel()
        ),
        remedy: "A run that diverged left it so, or the file was damaged: load another".into(),
    })
}

/// How many values of a tensor are infinite or no numbers.
pub(crate) fn not_finite(tensor: &Tensor) -> std::result::Result<usize, TchError> {
    // Finite f32 values never overflow in f64, so that mostly one pass tells, without memory.
    if tensor.f_sum(Kind::Double)?.f_double_value(&[])?.is_finite() {
        return Ok(0);
    }
    let count = tensor.f_isfinite()?.f_logical_not()?.f_sum(Kind::Int64)?;
    Ok(count.f_int64_value(&[])? as usize)
}

/// A tensor's sizes as `usize`.
pub(crate) fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&n| n as usize).collect()
}

/// A tensor's values in row-major order, as little-endian f32.
pub(crate) fn f32_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let mut bytes = vec![0; tensor.numel() * 4];
    tensor
        .f_to_kind(Kind::Float)
        .and_then(|tensor| tensor.f_copy_data_u8(&mut bytes, tensor.numel()))
        .map_err(Error::compute("copying a tensor to memory"))?;
    Ok(bytes)
}

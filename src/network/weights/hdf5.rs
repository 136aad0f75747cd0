//! What both of Keras' HDF5 layouts share: opening a file, its text, and its tensors within bounds.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use hdf5_reader::group::Group;
use hdf5_reader::{Datatype, Hdf5File};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::memory::{CLOSE_OTHERS, check_room};
use crate::network::weights::stored_layer::{Reading, f32_tensor, shape_only, unusable};

/// How many bytes a tensor in chunks, which may be compressed, may have for each byte of the file: trained
/// weights need less than 2. A damaged size would otherwise be allocated before it is doubted.
const LARGEST_EXPANSION: u64 = 64;

/// How many values such a tensor may have: as many as the largest layer of any network here, VGG's `fc1`.
const MOST_VALUES: u64 = 25_088 * 4_096;

/// How many values all of them may have together: twice those of VGG19 with its top.
const MOST_VALUES_IN_ALL: u64 = 2 * 143_667_240;

/// An open HDF5 file.
pub(crate) struct Hdf5 {
    path: PathBuf,
    reading: Reading,
    /// How many bytes it has.
    length: u64,
    /// How many values may be read from it still.
    left: Cell<u64>,
    /// Where the weights are.
    pub(crate) weights: Group,
}

impl Hdf5 {
    /// Opens the file. In the file of a whole model the weights are below `/model_weights`.
    pub(crate) fn open(path: &Path, reading: Reading) -> Result<Self> {
        let length = std::fs::metadata(path)
            .map_err(Error::file(path, "read"))?
            .len();
        let damaged = |error| damaged(path, error);
        let file = Hdf5File::open(path).map_err(damaged)?;
        let root = file.root_group().map_err(damaged)?;
        Ok(Self {
            path: path.to_owned(),
            reading,
            length,
            // What is not in chunks has two bytes a value at least.
            left: Cell::new(length / 2 + MOST_VALUES_IN_ALL),
            weights: root.group("model_weights").unwrap_or(root),
        })
    }

    /// The error for a file whose bytes make no sense.
    pub(crate) fn damaged(&self, error: hdf5_reader::error::Error) -> Error {
        damaged(&self.path, error)
    }

    /// The error for a file of other content than it should have.
    pub(crate) fn unusable(&self, problem: impl Into<String>, remedy: &str) -> Error {
        unusable(&self.path, problem, remedy)
    }

    /// The dataset at `name`, which may hold slashes, as f32; its shape only if no more is read of the file.
    pub(crate) fn tensor(&self, group: &Group, name: &str) -> Result<Tensor> {
        let mut parts = name.split('/').collect::<Vec<_>>();
        let last = parts.pop().unwrap_or_default();
        let damaged = |error| self.damaged(error);
        let mut inner = group.clone();
        for part in parts {
            inner = inner.group(part).map_err(damaged)?;
        }
        let dataset = inner.dataset(last).map_err(damaged)?;
        let (kind, bytes) = match dataset.dtype() {
            Datatype::FloatingPoint { size: 2, .. } => (Kind::Half, 2),
            Datatype::FloatingPoint { size: 4, .. } => (Kind::Float, 4),
            Datatype::FloatingPoint { size: 8, .. } => (Kind::Double, 8),
            // Counters of optimisers; they are told apart by their shape.
            Datatype::FixedPoint { size: 8, .. } => (Kind::Int64, 8),
            Datatype::FixedPoint { size: 4, .. } => (Kind::Int, 4),
            other => {
                return Err(self.unusable(
                    format!("{name} holds {other:?} instead of floating point numbers"),
                    "Save the weights as float32",
                ));
            }
        };
        let values = dataset.num_elements().map_err(damaged)?;
        self.check_claim(name, values, bytes, dataset.chunks().is_some())?;
        let shape = dataset
            .shape()
            .iter()
            .map(|&n| n as usize)
            .collect::<Vec<_>>();
        if self.reading == Reading::Shapes {
            return shape_only(&shape).map_err(Error::compute(format!("reading {name}")));
        }
        // The file's bytes, and f32 beside them.
        let room = usize::try_from(values.saturating_mul(bytes + 4)).unwrap_or(usize::MAX);
        let what = format!("{name} of {}", self.path.display());
        check_room(Device::Cpu, room, &what, CLOSE_OTHERS)?;
        let bytes = dataset.read_native_bytes().map_err(damaged)?;
        f32_tensor(&bytes, &shape, kind).map_err(Error::compute(format!("reading {name}")))
    }

    /// Refuses, before anything is allocated for it, a tensor that the file cannot hold, or no network has.
    fn check_claim(&self, name: &str, values: u64, bytes: u64, is_in_chunks: bool) -> Result<()> {
        let most = if is_in_chunks {
            MOST_VALUES.min(self.length.saturating_mul(LARGEST_EXPANSION) / bytes)
        } else {
            self.length / bytes
        };
        let most = most.min(self.left.get());
        if values > most {
            let problem = format!(
                "the HDF5 file is damaged: {name} claims {values} values, and {most} is the most \
                 that can be"
            );
            return Err(self.unusable(problem, "Download it again"));
        }
        self.left.set(self.left.get() - values);
        Ok(())
    }
}

/// A list of texts.
pub(crate) fn strings(group: &Group, attribute: &str) -> Option<Vec<String>> {
    group.attribute(attribute).ok()?.read_strings().ok()
}

fn damaged(path: &Path, error: hdf5_reader::error::Error) -> Error {
    let problem = format!("the HDF5 file is damaged or cut short ({error})");
    unusable(path, problem, "Download it again")
}

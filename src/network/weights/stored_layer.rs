//! A layer as a weight file holds it, and what the readers of all kinds have in common.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::network::weights::layer_weights::LayerWeights;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Whole,
    /// Names and shapes: the tensors have no values, and no memory.
    Shapes,
}

/// A layer of a file: f32 on the CPU, in the file's own order of axes.
pub(crate) struct StoredLayer {
    pub(crate) name: String,
    pub(crate) weights: LayerWeights,
}

impl StoredLayer {
    pub(crate) fn new(name: impl Into<String>, kernel: Tensor, bias: Tensor) -> Self {
        Self {
            name: name.into(),
            weights: LayerWeights::kernel_and_bias(kernel, bias),
        }
    }

    /// Pairs the kernels of a file of named tensors with their biases, in the order of the numbers in
    /// their names.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file is of a network with batch normalisation.
    pub(crate) fn pairs(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<Self>> {
        let endings = [".weight", "/kernel", ".kernel"];
        let mut layers = Vec::new();
        for (full_name, kernel) in tensors {
            let Some(name) = endings
                .iter()
                .find_map(|ending| full_name.strip_suffix(ending))
            else {
                continue;
            };
            let biases = [format!("{name}.bias"), format!("{name}/bias")];
            let Some(bias) = biases.iter().find_map(|bias| tensors.get(bias)) else {
                continue;
            };
            let is_of_head = ["classifier.", "head.", "fc."];
            if kernel.dim() == 1 && is_of_head.iter().any(|part| full_name.starts_with(part)) {
                // A head of somebody's own; what lies below it can be used.
                continue;
            }
            if kernel.dim() == 1 {
                return Err(unusable(
                    path,
                    format!(
                        "{full_name} is of a batch normalisation: this is VGG with batch normalisation"
                    ),
                    "Load weights of plain VGG16 or VGG19",
                ));
            }
            let (kernel, bias) = (kernel.shallow_clone(), bias.shallow_clone());
            layers.push(Self::new(name, kernel, bias));
        }
        // features.10 comes after features.2.
        layers.sort_by_key(|layer| {
            let (stem, number) = layer.name.rsplit_once('.').unwrap_or(("", &layer.name));
            (stem.to_owned(), number.parse::<usize>().unwrap_or_default())
        });
        Ok(layers)
    }
}

/// The error for a file that cannot be used.
pub(crate) fn unusable(
    path: &Path,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Error {
    Error::Weights {
        path: path.to_owned(),
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

/// A tensor of this shape that takes the memory of one number.
pub(crate) fn shape_only(shape: &[usize]) -> std::result::Result<Tensor, TchError> {
    let size = shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
    let number: [i64; 0] = [];
    Tensor::f_zeros(number, (Kind::Float, Device::Cpu))?.f_expand(&size, false)
}

/// Bytes in row-major order as an f32 tensor, whatever the kind of number.
pub(crate) fn f32_tensor(
    bytes: &[u8],
    shape: &[usize],
    kind: Kind,
) -> std::result::Result<Tensor, TchError> {
    let size = shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
    Tensor::f_from_data_size(bytes, &size, kind)?.f_to_kind(Kind::Float)
}

//! A layer as a weight file holds it, and what the readers of all kinds have in common.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::network::operation::LayerKind;
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;

/// What batch normalisation keeps, in Keras' order.
const NORMALISATION: [Role; 4] = [
    Role::Gamma,
    Role::Beta,
    Role::MovingMean,
    Role::MovingVariance,
];

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
    /// A layer from its tensors in Keras' order: a kernel with or without its bias, or what batch
    /// normalisation keeps, with or without a factor of its own; none for anything else.
    pub(crate) fn in_order(name: impl Into<String>, tensors: Vec<Tensor>) -> Option<Self> {
        let shapes = tensors.iter().map(Tensor::size).collect::<Vec<_>>();
        let is_row = |shape: &Vec<i64>| shape.len() == 1 && shape == &shapes[0];
        let roles: &[Role] = match shapes.as_slice() {
            [kernel] if kernel.len() == 4 => &[Role::Kernel],
            [kernel, bias] if matches!(kernel.len(), 2 | 4) && bias.len() == 1 => {
                &[Role::Kernel, Role::Bias]
            }
            [_, _, _, _] if shapes.iter().all(is_row) => &NORMALISATION,
            [_, _, _] if shapes.iter().all(is_row) => &NORMALISATION[1..],
            _ => return None,
        };
        Some(Self {
            name: name.into(),
            weights: LayerWeights::new(roles.iter().copied().zip(tensors)),
        })
    }

    /// Puts the layers of a file of named tensors together, in the order of the numbers in their names.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file is torchvision's of a network that Keras has otherwise.
    pub(crate) fn named(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<Self>> {
        check_is_keras(path, tensors)?;
        let mut parts = BTreeMap::<&str, BTreeMap<&str, &Tensor>>::new();
        for (full_name, tensor) in tensors {
            if let Some((name, part)) = full_name.rsplit_once(['.', '/']) {
                parts.entry(name).or_default().insert(part, tensor);
            }
        }
        let layers = parts.iter().filter_map(|(name, parts)| {
            let of = |role: Role| {
                let named = parts
                    .get(role.torch())
                    .or_else(|| parts.get(&*role.to_string()));
                named.map(|tensor| tensor.shallow_clone())
            };
            // A head of somebody's own; what lies below it can be used.
            let is_of_head = ["classifier.", "head."]
                .iter()
                .any(|part| name.starts_with(part));
            let roles = match of(Role::MovingMean) {
                Some(_) if is_of_head => return None,
                Some(_) => &NORMALISATION[..],
                None => &[Role::Kernel, Role::Bias],
            };
            Self::in_order(*name, roles.iter().copied().filter_map(of).collect())
        });
        let mut layers = layers.collect::<Vec<_>>();
        // features.10 comes after features.2.
        layers.sort_by_key(|layer| {
            let (stem, number) = layer.name.rsplit_once('.').unwrap_or(("", &layer.name));
            (stem.to_owned(), number.parse::<usize>().unwrap_or_default())
        });
        Ok(layers)
    }

    /// What kind of layer has such weights.
    pub(crate) fn kind(&self) -> LayerKind {
        match self.weights.get(Role::Kernel).map(Tensor::dim) {
            None => LayerKind::BatchNormalization,
            Some(4) => LayerKind::Conv2D,
            Some(_) => LayerKind::Dense,
        }
    }
}

/// Refuses torchvision's weights of networks that are others than Keras' of the same name.
fn check_is_keras(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let has = |name: &str| tensors.contains_key(name);
    let remedy = "Load Keras' file of this network";
    if has("layer1.0.conv1.weight") {
        let problem = "these are torchvision's weights of a residual network, which is another one than \
                       Keras': its blocks move by two in their second convolution, Keras' in the first, \
                       and its convolutions have no biases";
        return Err(unusable(path, problem, remedy));
    }
    if has("Conv2d_1a_3x3.conv.weight") {
        let problem = "these are torchvision's weights of InceptionV3, which is another one than Keras': \
                       its mean poolings count the zeros beyond the edge, Keras' do not";
        return Err(unusable(path, problem, remedy));
    }
    let is_vgg = |name: &String| name.starts_with("features.") && name.ends_with(".running_mean");
    match tensors.keys().find(|name| is_vgg(name)) {
        None => Ok(()),
        Some(name) => Err(unusable(
            path,
            format!("{name} is of a batch normalisation: this is VGG with batch normalisation"),
            "Load weights of plain VGG16 or VGG19",
        )),
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

//! Weight files of every kind, and seeded weights: for each layer its kernel and bias.
//!
//! What a file is follows from its content, never from its name. Whatever number format it holds,
//! f32 leaves here. Kernels leave in libtorch's order, [out, in, 3, 3] and [out, in], with a dense
//! layer's inputs flattened as Keras flattens them, (H, W, C).
//!
//! ```
//! use evcxr_transfer::{Scaling, Weights};
//! let weights = Weights::seeded(7);
//! assert_eq!(weights.to_string(), "seeded random numbers (seed 7)");
//! assert_eq!(weights.own_scaling(), Scaling::Unit);
//! ```

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::network::graph::Graph;
use crate::network::layer::Layer;
use crate::network::operation::Operation;
use crate::network::origin::Origin;
use crate::network::parameter::{Parameter, Role};
use crate::network::weights::hdf5::Hdf5;
use crate::network::weights::kind::WeightsKind;
use crate::network::weights::layer_weights::{LayerWeights, check_shape, keras_order, torch_order};
use crate::network::weights::seeded::seeded;
use crate::network::weights::stored_layer::{Reading, StoredLayer, unusable};
use crate::network::weights::{keras_h5, keras3_h5, ot, safetensors};
use crate::pictures::scaling::Scaling;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;
use crate::show::table::grouped;

/// Weights for a VGG network.
pub struct Weights {
    kind: WeightsKind,
    path: PathBuf,
    seed: u64,
    /// Convolutions in the network's order, then dense layers.
    layers: Vec<StoredLayer>,
    /// What a saved classifier says of its base.
    recorded: Option<Origin>,
    /// What the dense layers are drawn from where the file has none of them.
    top_seed: Option<u64>,
}

impl Weights {
    /// Reads a weight file: Keras' .h5 (the official files, `save_weights("x.h5")`, `save("x.h5")`) and
    /// .weights.h5, .safetensors with Keras' or torchvision's names, tch's .ot; or the base of a
    /// classifier that was saved here, which wants its pixels as the classifier did.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read; [`Error::Weights`] if it is damaged, cut short, holds
    /// a head or features, has values that are no finite numbers, or is of a kind that has to be converted first, with the command that does it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), Reading::Whole)
    }

    /// The same without the numbers, for [`Weights::check_fits`]: reads names and shapes only, which takes
    /// milliseconds. (A .ot is read whole: its shapes are in a pickle.)
    ///
    /// # Errors
    /// As [`Weights::load`]; a file that is cut short may pass.
    pub(crate) fn look(path: &Path) -> Result<Self> {
        Self::read(path, Reading::Shapes)
    }

    fn read(path: &Path, reading: Reading) -> Result<Self> {
        // Readers of binary formats have panicked on damaged files before; a cell must survive one.
        let read = std::panic::catch_unwind(|| read(path, reading));
        let mut weights = read.unwrap_or_else(|_| {
            Err(unusable(
                path,
                "the file is damaged: its reader gave up",
                "Download it again",
            ))
        })?;
        if weights.layers.is_empty() {
            return Err(unusable(
                path,
                "there is no layer with a kernel and a bias in it",
                "Load weights of VGG16 or VGG19",
            ));
        }
        if reading == Reading::Whole {
            for layer in &weights.layers {
                for (role, tensor) in layer.weights.iter() {
                    let name = format_args!("{} {role}", layer.name);
                    tensors::check_finite(tensor, path, name)?;
                }
            }
        }
        // Dense layers come last in the network, wherever the file has them.
        weights.layers.sort_by_key(|layer| {
            let kernel = layer.weights.get(Role::Kernel);
            kernel.is_none_or(|kernel| kernel.dim() != 4)
        });
        Ok(weights)
    }

    /// Random weights that follow from `seed` alone, for tests and for work without a network.
    ///
    /// Kernels are uniform within sqrt(6 / fan_in), which keeps the scale of what flows through any
    /// number of ReLU layers (He et al. 2015, "Delving Deep into Rectifiers"); biases within 0.05.
    /// `tests/references/seeded.py` makes the same numbers with NumPy.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::of(WeightsKind::Seeded, Path::new(""), Vec::new())
        }
    }

    fn of(kind: WeightsKind, path: &Path, layers: Vec<StoredLayer>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            seed: 0,
            layers,
            recorded: None,
            top_seed: None,
        }
    }

    /// The same convolutions under a top of seeded random numbers, for work without the official one: what
    /// lies below the top is the true network's, what the top says means nothing.
    pub(crate) fn with_seeded_top(mut self, seed: u64) -> Self {
        self.top_seed = Some(seed);
        self
    }

    /// The scaling of pixels that the weights were trained with.
    pub fn own_scaling(&self) -> Scaling {
        match &self.recorded {
            Some(origin) => origin.own_scaling,
            None => self.kind.own_scaling(),
        }
    }

    /// Where a base with these weights comes from.
    pub(crate) fn origin(&self, with_top: bool) -> Origin {
        let weights = self.to_string();
        if let Some(recorded) = &self.recorded {
            return Origin {
                weights,
                ..recorded.clone()
            };
        }
        let own_scaling = self.own_scaling();
        Origin {
            // The lesson trains on features of pixels scaled by 1/255, which is not what Keras'
            // weights were made with; where the top is to name classes, only that will do.
            scaling: match own_scaling {
                Scaling::Caffe if !with_top => Scaling::Unit,
                own => own,
            },
            own_scaling,
            weights,
            // What a reader of results should know.
            notes: match (self.kind, self.top_seed) {
                (WeightsKind::Seeded, _) => vec!["seeded random weights".into()],
                (_, Some(_)) if with_top => vec!["seeded random top".into()],
                _ => Vec::new(),
            },
        }
    }

    /// The weights of each layer of a network, none for a layer that has none.
    ///
    /// A file whose names are not the network's is taken in order.
    ///
    /// # Errors
    /// [`Error::Weights`] or [`Error::LayerShape`] if they do not fit.
    pub(crate) fn layers(&self, graph: &Graph) -> Result<Vec<LayerWeights>> {
        let layers = graph.layers();
        if self.kind == WeightsKind::Seeded {
            return seeded(self.seed, layers).map_err(Error::compute("drawing weights"));
        }
        let mut top = Vec::new();
        let mut own = layers;
        if let Some(seed) = self.top_seed {
            let is_dense = |layer: &Layer| matches!(layer.operation, Operation::Dense { .. });
            let first = layers.iter().position(is_dense).unwrap_or(layers.len());
            own = &layers[..first];
            top = seeded(seed, layers).map_err(Error::compute("drawing weights"))?;
            top.drain(..first);
        }
        self.check_names(own)?;
        let stored = self.stored(own);
        let weights = own
            .iter()
            .zip(stored)
            .map(|(layer, stored)| self.layer(layer, stored));
        weights.chain(top.into_iter().map(Ok)).collect()
    }

    /// Refuses weights that are not this network's. No value of them is looked at.
    ///
    /// # Errors
    /// As [`Weights::layers`].
    pub(crate) fn check_fits(&self, graph: &Graph) -> Result<()> {
        let layers = graph.layers();
        self.check_names(layers)?;
        for (layer, stored) in layers.iter().zip(self.stored(layers)) {
            self.parameters(layer, stored)?;
        }
        Ok(())
    }

    /// Whether they were a classifier's, and may have learned what that was trained on.
    pub(crate) fn is_of_classifier(&self) -> bool {
        self.kind == WeightsKind::Classifier
    }

    /// What the file has for each layer: by its name, or in order where the names are not the network's.
    fn stored(&self, layers: &[Layer]) -> Vec<Option<&StoredLayer>> {
        let has_names = self
            .layers
            .iter()
            .any(|layer| layer.name.starts_with("block1_conv1"));
        let mut in_order = self.layers.iter();
        let stored = layers.iter().map(|layer| match layer.has_weights() {
            true if has_names => self.layers.iter().find(|stored| stored.name == layer.name),
            true => in_order.next(),
            false => None,
        });
        stored.collect()
    }

    /// Refuses weights with convolutions that the network does not have: VGG19's would otherwise fill
    /// VGG16 without a word, since it has all of its names.
    fn check_names(&self, layers: &[Layer]) -> Result<()> {
        let is_vgg = |name: &str| name.starts_with("block") && name.contains("_conv");
        let is_known = |name: &str| layers.iter().any(|layer| layer.name == name);
        let extra = |layer: &&StoredLayer| is_vgg(&layer.name) && !is_known(&layer.name);
        match self.layers.iter().find(extra) {
            None => Ok(()),
            Some(layer) => Err(unusable(
                &self.path,
                format!("it has a layer {}, which this network has not", layer.name),
                "These are weights of another architecture; load the file that belongs to this one",
            )),
        }
    }

    /// The parameters of one layer with what the file has for each, of the right shape; none for a layer
    /// that has none.
    fn parameters<'a>(
        &self,
        layer: &'a Layer,
        stored: Option<&'a StoredLayer>,
    ) -> Result<Vec<(&'a Parameter, &'a Tensor)>> {
        let name = &layer.name;
        let missing = |what: &str| {
            let remedy = match layer.kernel_shape().len() {
                2 => "The file was saved without its top; load the one with the top",
                _ => "Load the file that belongs to this architecture",
            };
            unusable(&self.path, format!("there is no {what} in it"), remedy)
        };
        let mut found = Vec::with_capacity(layer.parameters.len());
        for parameter in &layer.parameters {
            let stored = stored.ok_or_else(|| missing(&format!("layer {name}")))?;
            let what = || format!("{name} {}", parameter.role);
            let tensor = stored.weights.get(parameter.role);
            let tensor = tensor.ok_or_else(|| missing(&what()))?;
            let in_keras_order = match self.kind.is_torch() {
                true => keras_order(tensor).map_err(failed(name))?,
                false => tensor.shallow_clone(),
            };
            // Checked before libtorch sees them: it would spread a bias of one value over the layer.
            check_shape(&in_keras_order, &parameter.shape, &self.path, what)?;
            found.push((parameter, tensor));
        }
        Ok(found)
    }

    /// The weights of one layer from what the file has for it.
    fn layer(&self, layer: &Layer, stored: Option<&StoredLayer>) -> Result<LayerWeights> {
        let name = &layer.name;
        let mut tensors = Vec::with_capacity(layer.parameters.len());
        for (parameter, tensor) in self.parameters(layer, stored)? {
            let tensor = match self.kind.is_torch() {
                true if name == "fc1" => flattened_as_in_keras(tensor, parameter),
                true => Ok(tensor.shallow_clone()),
                false => torch_order(tensor),
            };
            tensors.push((parameter.role, tensor.map_err(failed(name))?));
        }
        Ok(LayerWeights::new(tensors))
    }
}

displayed!(
    Weights,
    "Shows the line under a notebook cell.",
    |weights| Bundle::text(&weights.to_string())
);

fn failed(layer: &str) -> impl FnOnce(TchError) -> Error {
    Error::compute(format!("reading the weights of {layer}"))
}

/// torchvision flattens (C, H, W) before its first dense layer, 512 channels of 7 x 7; Keras (H, W, C).
fn flattened_as_in_keras(
    tensor: &Tensor,
    parameter: &Parameter,
) -> std::result::Result<Tensor, TchError> {
    if parameter.role != Role::Kernel {
        return Ok(tensor.shallow_clone());
    }
    let outputs = tensor.size()[0];
    tensor
        .f_view([outputs, 512, 7, 7])?
        .f_permute([0, 2, 3, 1])?
        .f_reshape([outputs, -1])
}

/// Looks at the content and hands the file to the reader of its kind.
fn read(path: &Path, reading: Reading) -> Result<Weights> {
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut start))
        .map_err(Error::file(path, "read"))?;
    let of = |kind, layers| Ok(Weights::of(kind, path, layers));
    match start.as_slice() {
        [] => Err(unusable(path, "the file is empty", "Download it again")),
        [0x89, b'H', b'D', b'F', ..] => {
            let file = Hdf5::open(path, reading)?;
            match keras_h5::read(&file)? {
                Some(layers) => of(WeightsKind::KerasH5, layers),
                None => of(WeightsKind::Keras3H5, keras3_h5::read(&file)?),
            }
        }
        [b'P', b'K', 3, 4, ..] => of(WeightsKind::TorchOt, ot::read(path)?),
        [0x80, 2..=5, ..] => Err(ot::needs_conversion(path)),
        [_, _, _, _, _, _, _, _, b'{', ..] => {
            let found = safetensors::read(path, reading)?;
            Ok(Weights {
                recorded: found.origin,
                ..Weights::of(found.kind, path, found.layers)
            })
        }
        text if text.starts_with(b"version https://git-lfs") => Err(unusable(
            path,
            "this is the placeholder that Git LFS leaves for a large file",
            "Fetch the file itself with `git lfs pull`",
        )),
        text if text.trim_ascii_start().starts_with(b"<") => Err(unusable(
            path,
            "this is a web page, saved in place of the file",
            "Download it again",
        )),
        _ => Err(unusable(
            path,
            "this is not a weight file of a known kind",
            "Load Keras' .h5, .safetensors or .ot; `cargo lab convert FILE` turns .pth into .safetensors",
        )),
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == WeightsKind::Seeded {
            return write!(f, "seeded random numbers (seed {})", self.seed);
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let parameters = self
            .layers
            .iter()
            .map(|layer| layer.weights.num_parameters());
        write!(
            f,
            "{name} ({}, {} layers, {} parameters)",
            self.kind,
            self.layers.len(),
            grouped(parameters.sum())
        )
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::network::vgg::vgg16;

    #[test]
    fn convolutions_of_a_file_get_a_drawn_top_under_a_note() {
        let graph = vgg16(32, false);
        let convolutions = Weights::seeded(7).layers(&graph).unwrap();
        let stored = graph.layers().iter().zip(&convolutions);
        let stored = stored.filter(|(layer, _)| layer.has_weights());
        let stored = stored.map(|(layer, weights)| {
            let [kernel, bias] =
                [Role::Kernel, Role::Bias].map(|role| weights.tensor(role).unwrap());
            StoredLayer::new(
                layer.name.as_str(),
                kernel.shallow_clone(),
                bias.shallow_clone(),
            )
        });
        let file = || {
            Weights::of(
                WeightsKind::TorchSafetensors,
                Path::new("x"),
                stored.clone().collect(),
            )
        };
        let whole = vgg16(32, true);
        assert!(file().layers(&whole).is_err(), "there is no top");
        let weights = file().with_seeded_top(3);
        let layers = weights.layers(&whole).unwrap();
        let drawn = Weights::seeded(3).layers(&whole).unwrap();
        for (number, layer) in whole.layers().iter().enumerate() {
            let Some(kernel) = layers[number].get(Role::Kernel) else {
                continue;
            };
            let expected = match layer.operation {
                Operation::Dense { .. } => &drawn[number],
                _ => &convolutions[number],
            };
            assert!(
                kernel.equal(expected.tensor(Role::Kernel).unwrap()),
                "{}",
                layer.name
            );
        }
        assert_eq!(weights.origin(true).notes, ["seeded random top"]);
        assert!(weights.origin(false).notes.is_empty());
    }
}

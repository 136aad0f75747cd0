//! How a file's layers become a network's: by their names, or in order.
//!
//! Where the names are the network's own they say all. Automatic names (`conv2d_1`) depend on what was made
//! before in the same session, so that what counts is the order among layers of one kind, which every
//! version of Keras writes alike. What is neither is refused: a residual network's layers in another order
//! have shapes that fit, and would be wrong without a word.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::network::graph::Graph;
use crate::network::layer::Layer;
use crate::network::operation::{LayerKind, Operation};
use crate::network::parameter::{Parameter, Role};
use crate::network::weights::kind::WeightsKind;
use crate::network::weights::layer_weights::{LayerWeights, check_shape, keras_order, torch_order};
use crate::network::weights::seeded::seeded;
use crate::network::weights::stored_layer::{StoredLayer, unusable};
use crate::network::weights::weights::Weights;

/// The kinds of layers that have weights.
const KINDS: [LayerKind; 3] = [
    LayerKind::Conv2D,
    LayerKind::BatchNormalization,
    LayerKind::Dense,
];

impl Weights {
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
        let mut own = &layers[..];
        if let Some(seed) = self.top_seed {
            let is_dense = |layer: &Layer| matches!(layer.operation, Operation::Dense { .. });
            let first = layers.iter().position(is_dense).unwrap_or(layers.len());
            own = &layers[..first];
            top = seeded(seed, layers).map_err(Error::compute("drawing weights"))?;
            top.drain(..first);
        }
        let stored = self.stored(own)?;
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
        for (layer, stored) in layers.iter().zip(self.stored(layers)?) {
            self.parameters(layer, stored)?;
        }
        Ok(())
    }

    /// What the file has for each layer: by its name, or in order where the names are not the network's.
    fn stored(&self, layers: &[Layer]) -> Result<Vec<Option<&StoredLayer>>> {
        let has_name = |name: &str| self.layers.iter().any(|stored| stored.name == name);
        let first = layers.iter().find(|layer| layer.has_weights());
        if first.is_some_and(|first| has_name(&first.name)) {
            self.check_names(layers)?;
            let of = |layer: &Layer| self.layers.iter().find(|stored| stored.name == layer.name);
            let stored = layers
                .iter()
                .map(|layer| of(layer).filter(|_| layer.has_weights()));
            return Ok(stored.collect());
        }
        self.check_order(layers, first)?;
        let mut in_order = KINDS.map(|kind| (kind, self.of_kind(kind)));
        let stored = layers.iter().map(|layer| {
            let (_, all) = in_order.iter_mut().find(|(kind, _)| *kind == layer.kind)?;
            all.next()
        });
        Ok(stored.collect())
    }

    /// The file's layers of one kind.
    fn of_kind(&self, kind: LayerKind) -> impl Iterator<Item = &StoredLayer> {
        self.layers
            .iter()
            .filter(move |stored| stored.kind() == kind)
    }

    /// Refuses a file whose order says nothing about this network.
    fn check_order(&self, layers: &[Layer], first: Option<&Layer>) -> Result<()> {
        let counts = |kind| {
            let own = layers.iter().filter(|layer| layer.kind == kind).count();
            (own, self.of_kind(kind).count())
        };
        let [convolutions, norms] = [LayerKind::Conv2D, LayerKind::BatchNormalization].map(counts);
        if norms == (0, 0) {
            return Ok(());
        }
        let remedy = "Load the file that belongs to this architecture";
        if norms.0 == 0 {
            let problem = "it has batch normalisation, which this network has not";
            return Err(unusable(&self.path, problem, remedy));
        }
        let is_keras = matches!(self.kind, WeightsKind::KerasH5 | WeightsKind::Keras3H5);
        let is_automatic =
            |name: &str| name.starts_with("conv2d") || name.starts_with("batch_normalization");
        let is_alike = convolutions.0 == convolutions.1 && norms.0 == norms.1;
        let first = first.map_or("", |first| &first.name);
        let is_of_order = is_keras && is_alike && is_automatic(first);
        let is_such =
            |stored: &StoredLayer| stored.kind() == LayerKind::Dense || is_automatic(&stored.name);
        if is_of_order && self.layers.iter().all(is_such) {
            return Ok(());
        }
        let problem = format!("there is no layer {first} in it");
        Err(unusable(&self.path, problem, remedy))
    }

    /// Refuses weights with layers that the network does not have: VGG19's would otherwise fill VGG16, and
    /// ResNet101's ResNet50, without a word, since they have all of their names.
    fn check_names(&self, layers: &[Layer]) -> Result<()> {
        let is_of_block = |name: &str| {
            name.contains("_block") || (name.starts_with("block") && name.contains("_conv"))
        };
        let is_known = |name: &str| layers.iter().any(|layer| layer.name == name);
        let extra = |layer: &&StoredLayer| is_of_block(&layer.name) && !is_known(&layer.name);
        match self.layers.iter().find(extra) {
            None => Ok(()),
            Some(layer) => Err(self.has_more(&format!("layer {}", layer.name))),
        }
    }

    /// The error for a file with something that the network does not have.
    fn has_more(&self, what: &str) -> Error {
        unusable(
            &self.path,
            format!("it has a {what}, which this network has not"),
            "These are weights of another architecture; load the file that belongs to this one",
        )
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
        let is_known = |role: Role| layer.parameters.iter().any(|own| own.role == role);
        let mut more = stored.into_iter().flat_map(|stored| stored.weights.iter());
        match more.find(|(role, _)| !is_known(*role)) {
            None => Ok(found),
            Some((role, _)) => Err(self.has_more(&format!("{role} of {name}"))),
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::network::architecture::Architecture;
    use crate::network::vgg::vgg16;

    #[test]
    fn convolutions_of_a_file_get_a_drawn_top_under_a_note() {
        let graph = vgg16(32, false);
        let convolutions = Weights::seeded(7).layers(&graph).unwrap();
        let stored = graph.layers().iter().zip(&convolutions);
        let stored = stored.filter(|(layer, _)| layer.has_weights());
        let stored = stored.map(|(layer, weights)| StoredLayer {
            name: layer.name.clone(),
            weights: weights.shared(),
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
        assert_eq!(
            weights.origin(Architecture::Vgg16, true).notes,
            ["seeded random top"]
        );
        assert!(weights.origin(Architecture::Vgg16, false).notes.is_empty());
    }
}

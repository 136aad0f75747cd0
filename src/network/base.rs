//! The convolutional base: a network with weights, with Keras' layer names, with or without top.
//!
//! Its layers come from a table (`vgg`, `resnet`, `inception`, ...). Tensors inside are [N, C, H, W] in libtorch's channels_last order, which is
//! (N, H, W, C) in memory: what a reader sees is in that, the lesson's, order and costs no copy.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Precision, Weights};
//! let base = Base::vgg16(150, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! assert_eq!(base.output_shape(), [4, 4, 512]);
//! assert_eq!(base.num_parameters(), 14_714_688);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use tch::Device;

use crate::error::{Error, Result};
use crate::machine::precision::Precision;
use crate::machine::random::Random;
use crate::network::architecture::Architecture;
use crate::network::computing::computing;
use crate::network::fast_convolution::PICTURES_AT_ONCE;
use crate::network::graph::Graph;
use crate::network::layer::{Layer, LayerId, shape_with_batch};
use crate::network::layers::Layers;
use crate::network::operation::LayerKind;
use crate::network::origin::Origin;
use crate::network::pooling::Pooling;
use crate::network::weights::layer_weights::LayerWeights;
use crate::network::weights::seeded::glorot;
use crate::network::weights::weights::Weights;
use crate::pictures::scaling::Scaling;
use crate::show::progress::Progress;
use crate::show::table::grouped;

/// A network with weights, ready to turn pictures into features.
#[doc(alias("conv_base", "backbone", "include_top"))]
pub struct Base {
    architecture: Architecture,
    graph: Graph,
    /// The weights of each layer, in the precision of the computation; none for one that has none.
    pub(super) computing: Vec<LayerWeights>,
    /// The same in f32 on the CPU, as they were loaded or trained.
    loaded: Vec<LayerWeights>,
    device: Device,
    precision: Precision,
    origin: Origin,
    /// What the outputs of the top are called; empty without a top, or where nobody knows.
    pub(super) class_names: Vec<String>,
    batch_size: usize,
    progress: Progress,
}

impl Base {
    /// The small network that the lesson compares with, with weights that follow from `seed`, drawn
    /// as Keras draws them (Glorot uniform kernels, zero biases). It has to be trained throughout:
    /// see [`Classifier::small_conv_net`](crate::Classifier::small_conv_net).
    ///
    /// # Errors
    /// [`Error::Argument`] if `size` is not from 46 to 4,096, [`Error::Device`] or
    /// [`Error::Compute`] if the device cannot hold the weights.
    pub fn small_conv_net(
        size: usize,
        seed: u64,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let architecture = Architecture::SmallConvNet;
        architecture.check_size(size)?;
        let mut random = Random::new(seed, "convolutions");
        let graph = architecture.graph(size, false);
        let drawn = graph
            .layers()
            .iter()
            .map(|layer| match layer.has_weights() {
                true => glorot(layer.kernel_shape(), &mut random),
                false => Ok(LayerWeights::default()),
            });
        let drawn = drawn
            .collect::<std::result::Result<_, _>>()
            .map_err(Error::compute("drawing a network's weights"))?;
        let origin = Origin::drawn(seed);
        Self::from_parts(architecture, graph, drawn, device, precision, origin)
    }

    /// A network with these weights.
    ///
    /// # Errors
    /// As [`Base::vgg16`].
    pub(super) fn new(
        architecture: Architecture,
        size: usize,
        with_top: bool,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        architecture.check_pretrained()?;
        architecture.check_size(size)?;
        crate::machine::device::check(device)?;
        let graph = architecture.graph(size, with_top);
        let loaded = weights.layers(&graph)?;
        let origin = weights.origin(architecture, with_top);
        Self::from_parts(architecture, graph, loaded, device, precision, origin)
    }

    /// A base from the weights of its layers, f32 on the CPU, one entry for each layer. The caller has
    /// checked their shapes.
    pub(crate) fn from_parts(
        architecture: Architecture,
        graph: Graph,
        loaded: Vec<LayerWeights>,
        device: Device,
        precision: Precision,
        origin: Origin,
    ) -> Result<Self> {
        crate::machine::device::check(device)?;
        let computing = computing(&graph, &loaded, 0, device, precision)?;
        let base = Self {
            architecture,
            graph,
            computing,
            loaded,
            device,
            precision,
            origin,
            class_names: Vec::new(),
            batch_size: 1,
            progress: Progress::default(),
        };
        Ok(base.batch_size(at_once(architecture, device, precision)))
    }

    /// The same base once more, in the same memory: no weights are copied, and none is ever changed
    /// in place.
    pub(crate) fn shared(&self) -> Self {
        let share = |weights: &[LayerWeights]| weights.iter().map(LayerWeights::shared).collect();
        Self {
            architecture: self.architecture,
            graph: self.graph.clone(),
            computing: share(&self.computing),
            loaded: share(&self.loaded),
            device: self.device,
            precision: self.precision,
            origin: self.origin.clone(),
            class_names: self.class_names.clone(),
            batch_size: self.batch_size,
            progress: self.progress.clone(),
        }
    }

    /// The same base, computing in another precision from now on.
    pub(crate) fn set_precision(&mut self, precision: Precision) -> Result<()> {
        if precision != self.precision {
            self.computing = self.computing_from(&self.loaded, 0, precision)?;
            self.precision = precision;
        }
        Ok(())
    }

    /// The same with one more layer, which has no weights.
    pub(crate) fn pooled(mut self, pooling: Pooling) -> Self {
        pooling.append(self.architecture, &mut self.graph);
        self.computing.push(LayerWeights::default());
        self.loaded.push(LayerWeights::default());
        self
    }

    /// What becomes of the places at its end; none where they stay, or where it has its top.
    pub(crate) fn pooling_used(&self) -> Option<Pooling> {
        match self.layers().last()?.kind {
            LayerKind::GlobalAveragePooling2D => Some(Pooling::Average),
            LayerKind::GlobalMaxPooling2D => Some(Pooling::Max),
            _ => None,
        }
    }

    /// Whether it ends in classes.
    pub(crate) fn has_top(&self) -> bool {
        self.layers()
            .last()
            .is_some_and(|layer| layer.kind == LayerKind::Dense)
    }

    /// These weights, but for those of the first layers, as the device computes with them in this precision.
    fn computing_from(
        &self,
        loaded: &[LayerWeights],
        first: usize,
        precision: Precision,
    ) -> Result<Vec<LayerWeights>> {
        let (graph, device) = (&self.graph, self.device);
        computing(graph, loaded, first, device, precision)
    }

    /// How pixels are scaled before the first layer. Keras weights and seeded ones get the lesson's
    /// 1/255 unless said otherwise here, torchvision's the preprocessing they were trained with, those
    /// of a saved classifier what it was trained with. A [`Normalization`](crate::Normalization) tells any other in full.
    pub fn scaling(mut self, scaling: impl Into<Scaling>) -> Self {
        self.origin.scaling = scaling.into();
        self
    }

    /// How many pictures go through at once, 1 at least, and at most as many as have 2^31 values in a layer's output: 1,491
    /// of 150 pixels in VGG16. By default 250 on a GPU and 16 on a CPU, which more do not outrun; 64 in bf16 on a CPU,
    /// unless it is a VGG. Where they do not fit into memory they go through in halves.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        // On an H200, where 40,000 pictures of 64 pixels fit at once, the last of them had other features than by themselves.
        // Which kernel does it is not known; nothing needs more values in a tensor than 32 bits count.
        let values = |layer: &Layer| layer.output_shape.iter().product();
        let longest = self.layers().iter().map(values).max();
        let most = i32::MAX as usize / longest.unwrap_or(1).max(1);
        self.batch_size = batch_size.min(most).max(1);
        self
    }

    /// How progress is shown.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// The layers, in Keras' order: 19 for VGG16 without top. A cell shows them as a table.
    pub fn layers(&self) -> &Layers {
        self.graph.layers()
    }

    /// The layers and how they hang together.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The number of values in all weights: 14,714,688 for VGG16 without top.
    pub fn num_parameters(&self) -> usize {
        self.layers().iter().map(Layer::num_parameters).sum()
    }

    /// The side of the square pictures that it takes, in pixels.
    pub fn size(&self) -> usize {
        self.layers()[0].output_shape[0]
    }

    /// What one picture becomes: (H, W, C), (4, 4, 512) at 150 pixels; (C,) where it
    /// [pools](Base::pooling); with top (1000,).
    pub fn output_shape(&self) -> &[usize] {
        self.layers()
            .last()
            .map_or(&[], |layer| &layer.output_shape)
    }

    /// Which network it is.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The device that it computes on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The precision that it computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The weights of a layer, f32 on the CPU, as they were loaded; a copy.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] if no layer with weights has that name.
    pub fn layer_weights(&self, name: &str) -> Result<LayerWeights> {
        let number = self
            .graph
            .find(&LayerId::from(name), |layer| layer.has_weights())?;
        self.loaded[number]
            .copied()
            .map_err(Error::compute(format!("copying the weights of {name}")))
    }

    /// All weights, f32 on the CPU, one entry for each layer.
    pub(crate) fn weights(&self) -> &[LayerWeights] {
        &self.loaded
    }

    /// Takes over trained weights (f32) for the layers from number `first` on, one entry for each.
    pub(crate) fn set_weights(&mut self, first: usize, trained: &[LayerWeights]) -> Result<()> {
        let on_cpu = trained
            .iter()
            .map(|weights| weights.on(Device::Cpu)?.copied())
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("keeping the trained weights"))?;
        let kept = self.loaded.iter().take(first).map(LayerWeights::shared);
        let loaded = kept.chain(on_cpu).collect::<Vec<_>>();
        let computing = self.computing_from(&loaded, first, self.precision)?;
        self.loaded = loaded;
        self.computing.truncate(first);
        self.computing.extend(computing);
        Ok(())
    }

    /// Where the weights come from, and how pixels are scaled.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many pictures go through at once.
    pub(crate) fn pictures_at_once(&self) -> usize {
        self.batch_size
    }

    /// How progress is shown.
    pub(crate) fn shown(&self) -> &Progress {
        &self.progress
    }
}

/// How many pictures go through at once unless something else is asked for.
fn at_once(architecture: Architecture, device: Device, precision: Precision) -> usize {
    match (device, architecture, precision) {
        (Device::Cuda(_), ..) => 250,
        // Their pictures are large until the end.
        (_, Architecture::Vgg16 | Architecture::Vgg19 | Architecture::SmallConvNet, _) => {
            PICTURES_AT_ONCE
        }
        // The later layers of the others have so few places in a picture that AMX waits with fewer pictures: 64 of them give
        // ResNet50 1.15 and InceptionV3 1.3 times the rate of 16, in about the memory that 16 take in f32.
        (.., Precision::BFloat16) => 64,
        _ => PICTURES_AT_ONCE,
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} -> {}, {} parameters, {}, {}",
            self.architecture,
            shape_with_batch(&self.layers()[0].output_shape),
            shape_with_batch(self.output_shape()),
            grouped(self.num_parameters()),
            crate::machine::device::name(self.device),
            self.precision,
        )
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn no_layer_has_more_values_than_32_bits_count() {
        let base = Base::vgg16(150, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        assert_eq!(base.pictures_at_once(), PICTURES_AT_ONCE);
        let base = base.batch_size(0);
        assert_eq!(base.pictures_at_once(), 1);
        // The first block's outputs are the longest, 150 x 150 x 64.
        let base = base.batch_size(usize::MAX);
        assert_eq!(base.pictures_at_once(), 1_491);
    }
}

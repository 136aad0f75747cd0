//! The convolutional base: VGG16 or VGG19 with Keras' layer names, with or without top.
//!
//! Its layers come from the table in `architecture`. Tensors inside are [N, C, H, W] in libtorch's channels_last order, which is
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

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result, is_out_of_memory};
use crate::machine::precision::Precision;
use crate::machine::random::Random;
use crate::model::features::Features;
use crate::network::architecture::{Architecture, Layer, LayerKind};
use crate::network::weights::file::{LayerWeights, Weights};
use crate::pictures::dataset::Dataset;
use crate::pictures::photo::Scaling;
use crate::show::progress::Progress;
use crate::show::table::{Table, grouped};

/// A layer by its name, or by its index in the network as the lesson counts: the input is 0, so that
/// VGG16's convolutions are 1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17.
///
/// Made from either where a layer is asked for: `base.filters("block1_conv1")`, `base.filters(1)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerId {
    /// Keras' name.
    Name(String),
    /// The place among [`Base::layers`].
    Index(usize),
}

impl From<&str> for LayerId {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<&String> for LayerId {
    fn from(name: &String) -> Self {
        Self::Name(name.clone())
    }
}

impl From<usize> for LayerId {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// At 4,096 pixels the two largest activations of one picture, 64 channels in f32, take 8.6 GB.
const MOST_SIDE: usize = 4096;

/// A network with weights, ready to turn pictures into features.
pub struct Base {
    architecture: Architecture,
    layers: Vec<Layer>,
    /// One entry for each layer with weights, in order, in the precision of the computation.
    computing: Vec<LayerWeights>,
    /// The same in f32 on the CPU, as they were loaded or trained.
    loaded: Vec<LayerWeights>,
    device: Device,
    precision: Precision,
    origin: Origin,
    /// What the outputs of the top are called; empty without a top, or where nobody knows.
    class_names: Vec<String>,
    batch_size: usize,
    progress: Progress,
}

/// Where a base's weights come from, and how they want their pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// How pixels are scaled.
    pub(crate) scaling: Scaling,
    /// How they were when the weights were trained.
    pub(crate) own_scaling: Scaling,
    /// The weights in words.
    pub(crate) weights: String,
    /// What a reader of results should know.
    pub(crate) notes: Vec<String>,
}

impl Base {
    /// VGG16 without its top, for pictures of `size` x `size` pixels. The lesson's size is 150.
    ///
    /// Keras: `VGG16(weights=..., include_top=False, input_shape=(150, 150, 3))`.
    ///
    /// # Errors
    /// [`Error::Argument`] if `size` is not from 32 to 4,096, [`Error::Weights`] or [`Error::LayerShape`] if the
    /// weights do not fit, [`Error::Device`] or [`Error::Compute`] if the device cannot hold them.
    pub fn vgg16(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::new(Architecture::Vgg16, size, false, weights, device, precision)
    }

    /// VGG19 without its top; otherwise as [`Base::vgg16`].
    ///
    /// # Errors
    /// As [`Base::vgg16`].
    pub fn vgg19(
        size: usize,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::new(Architecture::Vgg19, size, false, weights, device, precision)
    }

    /// The whole network with its top, which names 1,000 ImageNet classes; 224 x 224 pixels.
    ///
    /// Keras: `VGG16(weights=..., include_top=True)`.
    ///
    /// # Errors
    /// As [`Base::vgg16`]; weights saved without the top are [`Error::Weights`].
    pub fn with_top(
        architecture: Architecture,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        Self::new(architecture, 224, true, weights, device, precision)
    }

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
        check_size(architecture, size)?;
        let mut random = Random::new(seed, "convolutions");
        let layers = architecture.layers(size, false);
        let drawn = layers.iter().filter(|layer| layer.has_weights());
        let drawn = drawn
            .map(|layer| LayerWeights::glorot(&layer.kernel_shape, &mut random))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("drawing a network's weights"))?;
        let origin = Origin {
            scaling: Scaling::Unit,
            own_scaling: Scaling::Unit,
            weights: format!("drawn at random (seed {seed}), to be trained from scratch"),
            notes: Vec::new(),
        };
        Self::from_parts(architecture, layers, drawn, device, precision, origin)
    }

    fn new(
        architecture: Architecture,
        size: usize,
        with_top: bool,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        architecture.check_pretrained()?;
        check_size(architecture, size)?;
        crate::machine::device::check(device)?;
        let layers = architecture.layers(size, with_top);
        weights.check_names(
            &layers
                .iter()
                .map(|layer| layer.name.as_str())
                .collect::<Vec<_>>(),
        )?;
        let mut loaded = Vec::new();
        for layer in layers.iter().filter(|layer| layer.has_weights()) {
            loaded.push(weights.layer(loaded.len(), &layer.name, &layer.kernel_shape)?);
        }
        let origin = Origin {
            // The lesson trains on features of pixels scaled by 1/255, which is not what Keras'
            // weights were made with; where the top is to name classes, only that will do.
            scaling: match weights.own_scaling() {
                Scaling::Caffe if !with_top => Scaling::Unit,
                own => own,
            },
            own_scaling: weights.own_scaling(),
            weights: weights.to_string(),
            notes: weights.notes(),
        };
        Self::from_parts(architecture, layers, loaded, device, precision, origin)
    }

    /// A base from the weights of its layers, f32 on the CPU, in order. The caller has checked their
    /// shapes.
    pub(crate) fn from_parts(
        architecture: Architecture,
        layers: Vec<Layer>,
        loaded: Vec<LayerWeights>,
        device: Device,
        precision: Precision,
        origin: Origin,
    ) -> Result<Self> {
        crate::machine::device::check(device)?;
        let computing = computing(&loaded, device, precision)?;
        Ok(Self {
            architecture,
            layers,
            computing,
            loaded,
            device,
            precision,
            origin,
            class_names: Vec::new(),
            batch_size: if device.is_cuda() { 250 } else { 50 },
            progress: Progress::lines(),
        })
    }

    /// The same base once more, in the same memory: no weights are copied, and none is ever changed
    /// in place.
    pub(crate) fn shared(&self) -> Self {
        let share = |weights: &[LayerWeights]| weights.iter().map(LayerWeights::shared).collect();
        Self {
            architecture: self.architecture,
            layers: self.layers.clone(),
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
            self.computing = computing(&self.loaded, self.device, precision)?;
            self.precision = precision;
        }
        Ok(())
    }

    /// How pixels are scaled before the first layer. Keras weights and seeded ones get the lesson's
    /// 1/255 unless said otherwise here, torchvision's the preprocessing they were trained with.
    pub fn scaling(mut self, scaling: Scaling) -> Self {
        self.origin.scaling = scaling;
        self
    }

    /// Names the outputs of the top.
    pub(crate) fn named(mut self, class_names: Vec<String>) -> Self {
        self.class_names = class_names;
        self
    }

    /// What an output of the top is called: "class 281" where nobody knows.
    pub(crate) fn class_name(&self, number: usize) -> String {
        let name = self.class_names.get(number).cloned();
        name.unwrap_or_else(|| format!("class {number}"))
    }

    /// The output of the top with this name, the first of two that share one (ImageNet's "crane" is a
    /// bird and a machine); "class 517" is understood always.
    pub(crate) fn class_number(&self, name: &str) -> Option<usize> {
        let by_number = || name.strip_prefix("class ")?.parse().ok();
        let found = self.class_names.iter().position(|known| known == name);
        found
            .or_else(by_number)
            .filter(|&number| number < self.num_outputs())
    }

    /// How many classes the top tells apart; 0 without one.
    pub(crate) fn num_outputs(&self) -> usize {
        match *self.output_shape() {
            [outputs] => outputs,
            _ => 0,
        }
    }

    /// Refuses a base without its top; `call` is the function that a classifier has for the same.
    pub(crate) fn check_has_top(&self, call: &str) -> Result<()> {
        if self.num_outputs() > 0 {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "the network".into(),
            expected: "one with its top, which names classes".into(),
            found: format!("one that ends in {:?}", self.output_shape()),
            remedy: format!(
                "Use `lab.with_top(Architecture::Vgg16)?`, or `{call}` of a classifier, which \
                 `Classifier::new(&base, ..)` makes"
            ),
        })
    }

    /// How many pictures go through at once, 1 at least: 50 by default, 250 on a GPU. Where they do not
    /// fit into memory they go through in halves.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size.max(1);
        self
    }

    /// How progress is shown.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// The layers, in Keras' order: 19 for VGG16 without top.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The number of values in all kernels and biases: 14,714,688 for VGG16 without top.
    pub fn num_parameters(&self) -> usize {
        self.layers.iter().map(Layer::num_parameters).sum()
    }

    /// The side of the square pictures that it takes, in pixels.
    pub fn size(&self) -> usize {
        self.layers[0].output_shape[0]
    }

    /// What one picture becomes: (H, W, C), (4, 4, 512) at 150 pixels; with top (1000,).
    pub fn output_shape(&self) -> &[usize] {
        self.layers.last().map_or(&[], |layer| &layer.output_shape)
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

    /// The kernel and bias of a layer, f32 on the CPU, as they were loaded; a copy.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] if no layer with weights has that name.
    pub fn layer_weights(&self, name: &str) -> Result<LayerWeights> {
        let with_weights = || self.layers.iter().filter(|layer| layer.has_weights());
        match with_weights().position(|layer| layer.name == name) {
            Some(index) => self.loaded[index]
                .copied()
                .map_err(Error::compute(format!("copying the weights of {name}"))),
            None => Err(Error::UnknownLayer {
                name: name.to_owned(),
                known: with_weights().map(|layer| layer.name.clone()).collect(),
            }),
        }
    }

    /// The summary table, as Keras' `model.summary()` has it.
    pub fn summary(&self) -> Table {
        let columns = ["Layer (type)", "Output Shape", "Param #"];
        let title = format!("Model: \"{}\"", self.architecture);
        let mut table = Table::new(&title, &columns).right_aligned(&[2]);
        for layer in &self.layers {
            table.push([
                format!("{} ({})", layer.name, layer.kind),
                shape_with_batch(&layer.output_shape),
                grouped(layer.num_parameters()),
            ]);
        }
        table = table
            .note(&format!("Total params: {}", grouped(self.num_parameters())))
            .note(&format!("Weights: {}", self.origin.weights))
            .note(&self.pixels_line())
            .note(&format!(
                "Computes on {}, in {}",
                crate::machine::device::name(self.device),
                self.precision
            ));
        self.origin
            .notes
            .iter()
            .fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// How pixels are scaled, and what the weights were trained with where that is something else.
    fn pixels_line(&self) -> String {
        let Origin {
            scaling,
            own_scaling,
            ..
        } = self.origin;
        if scaling == own_scaling {
            format!("Pixels: {scaling}")
        } else {
            format!("Pixels: {scaling}; the weights were trained on pixels {own_scaling}")
        }
    }

    /// Sends every picture through the base once, without augmentation, and keeps what comes out.
    ///
    /// Keras: `conv_base.predict(...)` over `flow_from_directory`. 2,000 pictures at 150 pixels
    /// give (2000, 4, 4, 512).
    ///
    /// # Errors
    /// [`Error::Pictures`] names every picture that cannot be decoded; [`Error::OutOfMemory`] the
    /// batch size to try; [`Error::Stopped`] if the run was asked to stop.
    pub fn extract_features(&self, dataset: &Dataset) -> Result<Features> {
        let _no_grad = tch::no_grad_guard();
        let doing = || {
            format!(
                "extracting features on {}",
                crate::machine::device::name(self.device)
            )
        };
        let mut size = vec![dataset.len() as i64];
        size.extend(self.output_shape().iter().map(|&n| n as i64));
        // No question of the batch size: the remedy is fewer pictures.
        let values = dataset.len() * self.output_shape().iter().product::<usize>();
        let stored = Tensor::f_empty(&size, (Kind::Float, self.device)).map_err(Error::compute(
            format!(
                "making room for the features of {} pictures ({:.1} GB; `take` fewer if that is too much)",
                dataset.len(),
                values as f64 * 4e-9
            ),
        ))?;
        let mut task = self
            .progress
            .task("extracting features", "pictures", Some(dataset.len()));
        dataset.for_each_tensor(self.size(), self.batch_size, |first, pixels| {
            self.progress.check("extracting features")?;
            let count = pixels.size()[0];
            let batch = || {
                let output = in_halves(&pixels, &|pixels| self.forward_pixels(pixels))?;
                stored.f_narrow(0, first as i64, count)?.f_copy_(&output)
            };
            batch().map_err(Error::batch(doing(), self.batch_size))?;
            task.done(first + count as usize);
            Ok(())
        })?;
        if let Device::Cuda(index) = self.device {
            // Kernels run behind the program's back; the time that is printed should count them.
            tch::Cuda::synchronize(index as i64);
        }
        task.finish();
        let mut notes = dataset.notes().to_vec();
        notes.extend(self.origin.notes.iter().cloned());
        Ok(Features::new(
            stored,
            dataset,
            &self.architecture.to_string(),
            notes,
        ))
    }

    /// The output for raw pixels: (N, H, W, 3) bytes to (N, h, w, C), a view of channels_last memory.
    pub(crate) fn forward_pixels(&self, pixels: &Tensor) -> std::result::Result<Tensor, TchError> {
        let input = self.input(pixels)?;
        lesson_order(&self.forward(&input, 0..self.layers.len(), &self.computing)?)
    }

    /// What the first layer takes: (N, H, W, 3), bytes or f32 from 0 to 255, to scaled [N, 3, H, W].
    pub(crate) fn input(&self, pixels: &Tensor) -> std::result::Result<Tensor, TchError> {
        let scaled = self
            .origin
            .scaling
            .apply(&pixels.f_to_device(self.device)?)?;
        // (N, H, W, C) memory seen as [N, C, H, W] is exactly libtorch's channels_last.
        scaled
            .f_permute([0, 3, 1, 2])?
            .f_to_kind(self.precision.kind())
    }

    /// The layers before layer number `end`, with the base's own weights.
    pub(crate) fn forward_before(
        &self,
        input: &Tensor,
        end: usize,
    ) -> std::result::Result<Tensor, TchError> {
        self.forward(input, 0..end, &self.computing)
    }

    /// The layers after layer number `number`, with the base's own weights.
    pub(crate) fn forward_after(
        &self,
        output: &Tensor,
        number: usize,
    ) -> std::result::Result<Tensor, TchError> {
        let weights = &self.computing[self.weights_before(number + 1)..];
        self.forward(output, number + 1..self.layers.len(), weights)
    }

    /// The layers of a network with its top after layer number `number`, without the softmax at the end:
    /// [N, C, H, W] to the scores of the classes, [N, 1000] in f32.
    pub(crate) fn logits_after(
        &self,
        output: &Tensor,
        number: usize,
    ) -> std::result::Result<Tensor, TchError> {
        let last = self.layers.len().saturating_sub(1);
        let weights = &self.computing[self.weights_before(number + 1)..];
        let (Some(layer), Some(own)) = (self.layers.get(last), weights.last()) else {
            return Err(TchError::Shape("there is no top".into()));
        };
        let output = self.forward(output, number + 1..last, weights)?;
        sums(layer, &output, own)?.f_to_kind(Kind::Float)
    }

    /// Some of the layers, in order, with the `weights` of just these: [N, C, H, W] to the same, or
    /// [N, 1000] probabilities after the top.
    pub(crate) fn forward(
        &self,
        input: &Tensor,
        layers: Range<usize>,
        weights: &[LayerWeights],
    ) -> std::result::Result<Tensor, TchError> {
        let mut weights = weights.iter();
        let mut x = input.shallow_clone();
        for layer in &self.layers[layers] {
            x = match layer.kind {
                LayerKind::Input => x,
                LayerKind::Conv2D | LayerKind::Dense => {
                    let weights = weights.next().ok_or_else(|| {
                        TchError::Shape(format!("there are no weights for {}", layer.name))
                    })?;
                    apply(layer, &x, weights)?
                }
                LayerKind::MaxPooling2D => x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?,
                // (H, W, C) order, as Keras flattens and as the weights of fc1 expect.
                LayerKind::Flatten => x.f_permute([0, 2, 3, 1])?.f_flatten(1, -1)?,
            };
        }
        Ok(x)
    }

    /// The number of the layer with this name, counted from 0.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the names.
    pub(crate) fn layer_number(&self, name: &str) -> Result<usize> {
        self.layers
            .iter()
            .position(|layer| layer.name == name)
            .ok_or_else(|| Error::UnknownLayer {
                name: name.to_owned(),
                known: self.layers.iter().map(|layer| layer.name.clone()).collect(),
            })
    }

    /// The number of a layer that fits.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists those that would.
    pub(crate) fn find_layer(&self, id: &LayerId, fits: impl Fn(&Layer) -> bool) -> Result<usize> {
        let is_meant = |(index, layer): &(usize, &Layer)| match id {
            LayerId::Name(name) => layer.name == *name,
            LayerId::Index(wanted) => index == wanted,
        };
        let mut fitting = self.layers.iter().enumerate().filter(|(_, l)| fits(l));
        if let Some((index, _)) = fitting.clone().find(is_meant) {
            return Ok(index);
        }
        Err(Error::UnknownLayer {
            name: match id {
                LayerId::Name(name) => name.clone(),
                LayerId::Index(index) => index.to_string(),
            },
            known: fitting
                .by_ref()
                .map(|(index, layer)| match id {
                    LayerId::Name(_) => layer.name.clone(),
                    LayerId::Index(_) => format!("{index} ({})", layer.name),
                })
                .collect(),
        })
    }

    /// What some layers, by rising numbers, make of an input: computed in one pass, no further than to
    /// the last of them.
    pub(crate) fn outputs_of(
        &self,
        input: &Tensor,
        numbers: &[usize],
    ) -> std::result::Result<Vec<Tensor>, TchError> {
        let mut x = input.shallow_clone();
        let mut begin = 0;
        let mut outputs = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let end = (number + 1).max(begin);
            let weights = &self.computing[self.weights_before(begin)..];
            x = self.forward(&x, begin..end, weights)?;
            outputs.push(x.shallow_clone());
            begin = end;
        }
        Ok(outputs)
    }

    /// How many layers before layer number `end` have weights.
    pub(crate) fn weights_before(&self, end: usize) -> usize {
        let before = self.layers.iter().take(end);
        before.filter(|layer| layer.has_weights()).count()
    }

    /// All weights, f32 on the CPU, one entry for each layer that has some.
    pub(crate) fn all_weights(&self) -> &[LayerWeights] {
        &self.loaded
    }

    /// Takes over trained weights (f32) for the layers with weights from number `first` on.
    pub(crate) fn set_weights(&mut self, first: usize, trained: &[LayerWeights]) -> Result<()> {
        let on_cpu = trained
            .iter()
            .map(|weights| {
                let here = LayerWeights {
                    kernel: weights.kernel.f_detach()?.f_to_device(Device::Cpu)?,
                    bias: weights.bias.f_detach()?.f_to_device(Device::Cpu)?,
                };
                here.copied()
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("keeping the trained weights"))?;
        let computing = computing(&on_cpu, self.device, self.precision)?;
        self.loaded.truncate(first);
        self.loaded.extend(on_cpu);
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

    /// Shows the summary under a notebook cell.
    pub fn evcxr_display(&self) {
        self.summary().evcxr_display();
    }
}

/// A convolution or a dense layer without its activation.
fn sums(
    layer: &Layer,
    x: &Tensor,
    weights: &LayerWeights,
) -> std::result::Result<Tensor, TchError> {
    let LayerWeights { kernel, bias } = weights;
    let padding = layer.padding as i64;
    match layer.kind {
        LayerKind::Conv2D => x.f_conv2d(kernel, Some(bias), [1, 1], [padding, padding], [1, 1], 1),
        _ => x.f_linear(kernel, Some(bias)),
    }
}

/// A convolution or a dense layer with its activation.
fn apply(
    layer: &Layer,
    x: &Tensor,
    weights: &LayerWeights,
) -> std::result::Result<Tensor, TchError> {
    let mut sums = sums(layer, x, weights)?;
    match layer.name.as_str() {
        "predictions" => sums.f_softmax(-1, Kind::Float),
        _ => sums.f_relu_(),
    }
}

/// Runs pictures [N, ..] through `pass`, all at once; where memory does not suffice in two halves, and so
/// on down to single ones.
pub(crate) fn in_halves(
    pictures: &Tensor,
    pass: &dyn Fn(&Tensor) -> std::result::Result<Tensor, TchError>,
) -> std::result::Result<Tensor, TchError> {
    let count = pictures.size().first().copied().unwrap_or_default();
    match pass(pictures) {
        Err(error) if is_out_of_memory(&error) && count > 1 => {
            let half = count / 2;
            let first = in_halves(&pictures.f_narrow(0, 0, half)?, pass)?;
            let second = in_halves(&pictures.f_narrow(0, half, count - half)?, pass)?;
            Tensor::f_cat(&[first, second], 0)
        }
        other => other,
    }
}

/// [N, C, H, W] as the lesson has it, (N, H, W, C): a view; rows of a top stay as they are.
pub(crate) fn lesson_order(output: &Tensor) -> std::result::Result<Tensor, TchError> {
    match output.dim() {
        4 => output.f_permute([0, 2, 3, 1]),
        _ => Ok(output.shallow_clone()),
    }
}

/// Refuses pictures that leave nothing behind, and such as no memory holds.
pub(crate) fn check_size(architecture: Architecture, size: usize) -> Result<()> {
    let least = architecture.least_size();
    if size < least {
        return Err(Error::Argument {
            argument: "size",
            value: size.to_string(),
            expected: format!("it must be {least} or more, because each pooling halves it"),
        });
    }
    if size > MOST_SIDE {
        return Err(Error::Argument {
            argument: "size",
            value: size.to_string(),
            expected: format!("it may be {MOST_SIDE} at most, or one picture takes 10 GB"),
        });
    }
    Ok(())
}

/// The weights as the device computes with them.
fn computing(
    loaded: &[LayerWeights],
    device: Device,
    precision: Precision,
) -> Result<Vec<LayerWeights>> {
    let place = |layer: &LayerWeights| {
        Ok(LayerWeights {
            kernel: channels_last(
                &layer
                    .kernel
                    .f_to_device(device)?
                    .f_to_kind(precision.kind())?,
            )?,
            // Copied, since on the CPU it would share its memory with what was loaded.
            bias: layer
                .bias
                .f_detach_copy()?
                .f_to_device(device)?
                .f_to_kind(precision.kind())?,
        })
    };
    loaded
        .iter()
        .map(place)
        .collect::<std::result::Result<Vec<_>, TchError>>()
        .map_err(Error::compute(format!(
            "putting the weights on {}",
            crate::machine::device::name(device)
        )))
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} -> {}, {} parameters, {}, {}",
            self.architecture,
            shape_with_batch(&self.layers[0].output_shape),
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

/// A 4-dimensional kernel in channels_last memory order, anything else as it is.
fn channels_last(kernel: &Tensor) -> std::result::Result<Tensor, TchError> {
    if kernel.dim() != 4 {
        return Ok(kernel.shallow_clone());
    }
    // tch knows no memory formats; permuting there, copying and permuting back gives the same.
    kernel
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}

/// `(None, 4, 4, 512)`, as Keras writes shapes whose batch is open.
pub(crate) fn shape_with_batch(shape: &[usize]) -> String {
    let sizes = shape.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    format!("(None, {})", sizes.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_through_in_halves() {
        let pictures = Tensor::arange(7, (Kind::Float, Device::Cpu));
        let memory_for = |most: i64| {
            move |part: &Tensor| match part.size()[0] {
                count if count <= most => part.f_mul_scalar(2.0),
                _ => Err(TchError::Torch(
                    "CUDA out of memory. Tried to allocate".into(),
                )),
            }
        };
        let expected = &pictures * 2.0;
        for most in [1, 2, 7] {
            assert_eq!(in_halves(&pictures, &memory_for(most)).unwrap(), expected);
        }
        assert!(in_halves(&pictures, &memory_for(0)).is_err());
    }
}

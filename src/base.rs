//! The pretrained convolutional base: VGG16 or VGG19 with Keras' layer names, with or without top.
//!
//! One table of blocks ([`Architecture`]) builds the layers, prints the summary and names the
//! weights. Tensors inside are [N, C, H, W] in libtorch's channels_last order, which is
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

use tch::{Device, Kind, Tensor};

use crate::dataset::Dataset;
use crate::device::Precision;
use crate::display::Progress;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::pixels::Scaling;
use crate::table::{Table, grouped};
use crate::weights::{LayerWeights, Weights};

/// At 4,096 pixels the two largest activations of one picture, 64 channels in f32, take 8.6 GB.
const MOST_SIDE: usize = 4096;

/// Which of the VGG networks (Simonyan and Zisserman 2014, configurations D and E).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// 13 convolutions.
    Vgg16,
    /// 16 convolutions.
    Vgg19,
}

impl Architecture {
    /// For each of the five blocks: the number of convolutions and of their output channels.
    fn blocks(self) -> [(usize, usize); 5] {
        match self {
            Self::Vgg16 => [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)],
            Self::Vgg19 => [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)],
        }
    }

    /// The layers for square pictures of `size` pixels, in Keras' order.
    fn layers(self, size: usize, with_top: bool) -> Vec<Layer> {
        let (mut side, mut channels) = (size, 3);
        let mut layers = vec![Layer::new(
            "input_1",
            LayerKind::Input,
            &[side, side, 3],
            &[],
        )];
        for (block, (convolutions, filters)) in (1..).zip(self.blocks()) {
            for convolution in 1..=convolutions {
                layers.push(Layer::new(
                    &format!("block{block}_conv{convolution}"),
                    LayerKind::Conv2D,
                    &[side, side, filters],
                    &[3, 3, channels, filters],
                ));
                channels = filters;
            }
            side /= 2;
            let name = format!("block{block}_pool");
            layers.push(Layer::new(
                &name,
                LayerKind::MaxPooling2D,
                &[side, side, channels],
                &[],
            ));
        }
        if with_top {
            let mut width = side * side * channels;
            layers.push(Layer::new("flatten", LayerKind::Flatten, &[width], &[]));
            for (name, units) in [("fc1", 4096), ("fc2", 4096), ("predictions", 1000)] {
                layers.push(Layer::new(
                    name,
                    LayerKind::Dense,
                    &[units],
                    &[width, units],
                ));
                width = units;
            }
        }
        layers
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vgg16 => "vgg16",
            Self::Vgg19 => "vgg19",
        })
    }
}

/// What a layer does, named as Keras names its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerKind {
    /// The picture.
    Input,
    /// A 3x3 convolution with padding "same", followed by ReLU.
    Conv2D,
    /// The largest value of each 2x2 window.
    MaxPooling2D,
    /// (H, W, C) as one row.
    Flatten,
    /// A fully connected layer; ReLU follows, after `predictions` softmax.
    Dense,
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "InputLayer",
            Self::Conv2D => "Conv2D",
            Self::MaxPooling2D => "MaxPooling2D",
            Self::Flatten => "Flatten",
            Self::Dense => "Dense",
        })
    }
}

/// One row of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Keras' name, such as `block5_conv1`.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// (H, W, C), or (units,), without the batch.
    pub output_shape: Vec<usize>,
    /// (3, 3, in, out), (in, out), or empty for a layer without weights.
    pub kernel_shape: Vec<usize>,
}

impl Layer {
    fn new(name: &str, kind: LayerKind, output_shape: &[usize], kernel_shape: &[usize]) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            output_shape: output_shape.to_vec(),
            kernel_shape: kernel_shape.to_vec(),
        }
    }

    /// The number of values in the kernel and the bias.
    pub fn num_parameters(&self) -> usize {
        match self.kernel_shape.last() {
            Some(outputs) => self.kernel_shape.iter().product::<usize>() + outputs,
            None => 0,
        }
    }
}

/// A VGG network with weights, ready to turn pictures into features.
pub struct Base {
    architecture: Architecture,
    layers: Vec<Layer>,
    /// One entry for each layer with weights, in order, in the precision of the computation.
    computing: Vec<LayerWeights>,
    /// The same in f32 on the CPU, as they were loaded.
    loaded: Vec<LayerWeights>,
    device: Device,
    precision: Precision,
    scaling: Scaling,
    own_scaling: Scaling,
    weights: String,
    notes: Vec<String>,
    batch_size: usize,
    progress: Progress,
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

    fn new(
        architecture: Architecture,
        size: usize,
        with_top: bool,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        // Five poolings halve the side: below 32 nothing is left. Keras refuses the same.
        if size < 32 {
            return Err(Error::Argument {
                argument: "size",
                value: size.to_string(),
                expected: "it must be 32 or more, because five poolings halve it".into(),
            });
        }
        if size > MOST_SIDE {
            return Err(Error::Argument {
                argument: "size",
                value: size.to_string(),
                expected: format!("it may be {MOST_SIDE} at most, or one picture takes 10 GB"),
            });
        }
        crate::device::check(device)?;
        let layers = architecture.layers(size, with_top);
        weights.check_names(
            &layers
                .iter()
                .map(|layer| layer.name.as_str())
                .collect::<Vec<_>>(),
        )?;
        let mut loaded = Vec::new();
        for layer in layers.iter().filter(|layer| !layer.kernel_shape.is_empty()) {
            loaded.push(weights.layer(loaded.len(), &layer.name, &layer.kernel_shape)?);
        }
        let computing = loaded
            .iter()
            .map(|layer| {
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
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute(format!("putting the weights on {device:?}")))?;
        Ok(Self {
            architecture,
            layers,
            computing,
            loaded,
            device,
            precision,
            // The lesson trains on features of pixels scaled by 1/255, which is not what Keras'
            // weights were made with; where the top is to name classes, only that will do.
            scaling: match weights.own_scaling() {
                Scaling::Caffe if !with_top => Scaling::Unit,
                own => own,
            },
            own_scaling: weights.own_scaling(),
            weights: weights.to_string(),
            notes: weights.notes(),
            batch_size: if device.is_cuda() { 250 } else { 50 },
            progress: Progress::lines(),
        })
    }

    /// How pixels are scaled before the first layer. Keras weights and seeded ones get the lesson's
    /// 1/255 unless said otherwise here, torchvision's the preprocessing they were trained with.
    pub fn scaling(mut self, scaling: Scaling) -> Self {
        self.scaling = scaling;
        self
    }

    /// How many pictures go through at once: 50 by default, 250 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is 0.
    pub fn batch_size(mut self, batch_size: usize) -> Result<Self> {
        crate::fit::check_positive("batch_size", batch_size)?;
        self.batch_size = batch_size;
        Ok(self)
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
        let with_weights = || {
            self.layers
                .iter()
                .filter(|layer| !layer.kernel_shape.is_empty())
        };
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
            .note(&format!("Weights: {}", self.weights))
            .note(&self.pixels_line())
            .note(&format!(
                "Computes on {}, in {}",
                crate::device::name(self.device),
                self.precision
            ));
        self.notes
            .iter()
            .fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// How pixels are scaled, and what the weights were trained with where that is something else.
    fn pixels_line(&self) -> String {
        if self.scaling == self.own_scaling {
            format!("Pixels: {}", self.scaling)
        } else {
            format!(
                "Pixels: {}; the weights were trained on pixels {}",
                self.scaling, self.own_scaling
            )
        }
    }

    /// Sends every picture through the base once, without augmentation, and keeps what comes out.
    ///
    /// Keras: `conv_base.predict(...)` over `flow_from_directory`. 2,000 pictures at 150 pixels
    /// give (2000, 4, 4, 512).
    ///
    /// # Errors
    /// [`Error::Pictures`] names every picture that cannot be decoded; [`Error::OutOfMemory`] the
    /// batch size to try.
    pub fn extract_features(&self, dataset: &Dataset) -> Result<Features> {
        let _no_grad = tch::no_grad_guard();
        let doing = || {
            format!(
                "extracting features on {}",
                crate::device::name(self.device)
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
        let side = self.size() as i64;
        let mut task = self
            .progress
            .task("extracting features", "pictures", Some(dataset.len()));
        dataset.for_each_batch(self.size(), self.batch_size, |first, bytes| {
            let count = bytes.len() / (side * side * 3) as usize;
            let batch = || -> std::result::Result<(), tch::TchError> {
                let pixels =
                    Tensor::f_from_data_size(bytes, &[count as i64, side, side, 3], Kind::Uint8)?;
                let output = self.forward_pixels(&pixels)?;
                stored
                    .f_narrow(0, first as i64, count as i64)?
                    .f_copy_(&output)
            };
            batch().map_err(Error::batch(doing(), self.batch_size))?;
            task.done(first + count);
            Ok(())
        })?;
        if let Device::Cuda(index) = self.device {
            // Kernels run behind the program's back; the time that is printed should count them.
            tch::Cuda::synchronize(index as i64);
        }
        task.finish();
        let mut notes = dataset.notes().to_vec();
        notes.extend(self.notes.iter().cloned());
        Ok(Features::new(
            stored,
            dataset,
            &self.architecture.to_string(),
            notes,
        ))
    }

    /// The output for raw pixels: (N, H, W, 3) bytes to (N, h, w, C), a view of channels_last memory.
    pub(crate) fn forward_pixels(
        &self,
        pixels: &Tensor,
    ) -> std::result::Result<Tensor, tch::TchError> {
        let input = self.scaling.apply(&pixels.f_to_device(self.device)?)?;
        // (N, H, W, C) memory seen as [N, C, H, W] is exactly libtorch's channels_last.
        let input = input
            .f_permute([0, 3, 1, 2])?
            .f_to_kind(self.precision.kind())?;
        let output = self.forward(&input)?;
        match output.dim() {
            4 => output.f_permute([0, 2, 3, 1]),
            _ => Ok(output),
        }
    }

    /// All layers in order: [N, 3, H, W] to [N, C, h, w], or [N, 1000] probabilities with the top.
    fn forward(&self, input: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
        let mut weights = self.computing.iter();
        let mut x = input.shallow_clone();
        for layer in &self.layers {
            x = match layer.kind {
                LayerKind::Input => x,
                LayerKind::Conv2D | LayerKind::Dense => {
                    let Some(weights) = weights.next() else { break };
                    layer.apply(&x, weights)?
                }
                LayerKind::MaxPooling2D => x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?,
                // (H, W, C) order, as Keras flattens and as the weights of fc1 expect.
                LayerKind::Flatten => x.f_permute([0, 2, 3, 1])?.f_flatten(1, -1)?,
            };
        }
        Ok(x)
    }

    /// Shows the summary under a notebook cell.
    pub fn evcxr_display(&self) {
        self.summary().evcxr_display();
    }
}

impl Layer {
    /// A convolution or a dense layer with its activation.
    fn apply(
        &self,
        x: &Tensor,
        weights: &LayerWeights,
    ) -> std::result::Result<Tensor, tch::TchError> {
        let LayerWeights { kernel, bias } = weights;
        let mut sums = match self.kind {
            LayerKind::Conv2D => x.f_conv2d(kernel, Some(bias), [1, 1], [1, 1], [1, 1], 1)?,
            _ => x.f_linear(kernel, Some(bias))?,
        };
        match self.name.as_str() {
            "predictions" => sums.f_softmax(-1, Kind::Float),
            _ => sums.f_relu_(),
        }
    }
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
            crate::device::name(self.device),
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
fn channels_last(kernel: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
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
fn shape_with_batch(shape: &[usize]) -> String {
    let sizes = shape.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    format!("(None, {})", sizes.join(", "))
}

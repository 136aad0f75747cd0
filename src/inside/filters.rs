//! The kernels of a convolution, as numbers and as pictures: what a layer looks for.
//!
//! Kernels are in the lesson's order, (3, 3, in, out), f32 as they were loaded or trained.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Precision, Weights};
//! let base = Base::vgg16(150, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! assert_eq!(base.filter_shapes().num_rows(), 13);
//! let filters = base.filters("block1_conv1")?;
//! assert_eq!(filters.shape(), [3, 3, 3, 64]);
//! let figure = filters.first(6); // six columns of three grey pictures
//! # assert!(figure.to_string().contains("18 pictures"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::Array4;
use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::network::architecture::LayerKind;
use crate::network::base::{Base, LayerId};
use crate::pictures::photo::Photo;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::Table;

/// How many input channels of a filter are shown: three as in the lesson, which has all of the first
/// layer's and the first ones of deeper layers'.
const CHANNELS: usize = 3;

/// How many filters stand side by side.
const COLUMNS: usize = 6;

/// The kernels of one convolution.
#[derive(Clone)]
pub struct Filters {
    layer: String,
    /// (3, 3, in, out)
    values: Array4<f32>,
    notes: Vec<String>,
}

impl Filters {
    /// The name of the layer.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// (3, 3, in, out).
    pub fn shape(&self) -> Vec<usize> {
        self.values.shape().to_vec()
    }

    /// The values, (3, 3, in, out); a copy.
    pub fn array(&self) -> Array4<f32> {
        self.values.clone()
    }

    /// The first `n` filters, a column each (six side by side), with up to three input channels below
    /// each other: grey from the smallest value in the whole layer (black) to the largest (white), as in
    /// the lesson.
    pub fn first(&self, n: usize) -> Figure {
        self.choose(&(0..n).collect::<Vec<_>>())
    }

    /// The same for filters by their numbers, counted from 0; numbers that the layer has not are left
    /// out.
    pub fn choose(&self, numbers: &[usize]) -> Figure {
        let (low, high) = range(self.values.iter().copied());
        let &[height, width, inputs, outputs] = self.values.shape() else {
            // An array of four dimensions has four sizes.
            return Figure::grid("", Vec::new(), 1);
        };
        let channels = inputs.min(CHANNELS);
        let there = numbers.iter().copied().filter(|&number| number < outputs);
        let there = there.collect::<Vec<_>>();
        let mut tiles = Vec::new();
        for side_by_side in there.chunks(COLUMNS) {
            for channel in 0..channels {
                for &filter in side_by_side {
                    let mut bytes = Vec::with_capacity(height * width * 3);
                    for value in self.values.slice(ndarray::s![.., .., channel, filter]) {
                        bytes.extend([(share(*value, low, high) * 255.0).round() as u8; 3]);
                    }
                    let label = format!("filter {filter}, channel {channel}");
                    if let Ok(photo) = Photo::from_pixels(&label, width, height, bytes) {
                        tiles.push(Tile::new(photo, label));
                    }
                }
            }
        }
        let mut title = format!(
            "{} of {outputs} filters of {}",
            tiles.len() / channels.max(1),
            self.layer
        );
        if channels < inputs {
            title += &format!(", {channels} of {inputs} channels");
        }
        Figure::grid(
            &titled(&title, &self.notes),
            tiles,
            there.len().clamp(1, COLUMNS),
        )
    }

    /// Shows the first six filters under a notebook cell.
    pub fn evcxr_display(&self) {
        self.first(6).evcxr_display();
    }
}

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = range(self.values.iter().copied());
        let sizes = self.values.shape();
        write!(
            f,
            "{}: {sizes:?}, values from {low:.4} to {high:.4}",
            self.layer
        )
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({self})")
    }
}

impl Base {
    /// The kernel shape of each convolution, (3, 3, in, out), with its index in the network: 13 rows
    /// for VGG16.
    pub fn filter_shapes(&self) -> Table {
        let mut table =
            Table::new("Filters", &["index", "layer", "kernel shape"]).right_aligned(&[0]);
        for (index, layer) in self.layers().iter().enumerate() {
            if layer.kind == LayerKind::Conv2D {
                let sizes = layer.kernel_shape.iter().map(usize::to_string);
                let shape = format!("({})", sizes.collect::<Vec<_>>().join(", "));
                table.push([index.to_string(), layer.name.clone(), shape]);
            }
        }
        table
    }

    /// The kernels of a convolution, by its name or its index in the network.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the convolutions.
    pub fn filters(&self, layer: impl Into<LayerId>) -> Result<Filters> {
        let number = self.find_layer(&layer.into(), |layer| layer.kind == LayerKind::Conv2D)?;
        let name = self.layers()[number].name.clone();
        let kernel = self.layer_weights(&name)?.kernel;
        Ok(Filters {
            values: keras_order(&kernel)
                .map_err(Error::compute(format!("reading the filters of {name}")))?,
            layer: name,
            notes: self.origin().notes.clone(),
        })
    }
}

/// [out, in, 3, 3] to (3, 3, in, out).
fn keras_order(kernel: &Tensor) -> std::result::Result<Array4<f32>, tch::TchError> {
    let kernel = kernel.f_permute([2, 3, 1, 0])?.f_contiguous()?;
    let (height, width, inputs, outputs) = kernel.size4()?;
    let size = [height, width, inputs, outputs].map(|n| n as usize);
    let flat = Vec::<f32>::try_from(&kernel.f_to_device(Device::Cpu)?.f_view(-1)?)?;
    Array4::from_shape_vec(size, flat).map_err(|error| tch::TchError::Shape(error.to_string()))
}

/// The smallest and the largest of some numbers.
pub(crate) fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// Where a value lies between two others, 0 to 1; 0 where they are the same.
pub(crate) fn share(value: f32, low: f32, high: f32) -> f32 {
    let share = (value - low) / (high - low);
    if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_lie_between_0_and_1_whatever_the_range() {
        assert_eq!(share(2.0, 1.0, 3.0), 0.5);
        assert_eq!(share(1.0, 1.0, 1.0), 0.0);
        assert_eq!(share(f32::NAN, 0.0, 1.0), 0.0);
        assert_eq!(range([2.0, -1.0].into_iter()), (-1.0, 2.0));
    }
}

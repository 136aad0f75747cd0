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

use crate::error::{Error, Result};
use crate::network::base::Base;
use crate::network::layer::{Layer, LayerId};
use crate::network::operation::LayerKind;
use crate::pictures::photo::Photo;
use crate::show::display::displayed;
use crate::show::draw::range::Range;
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
        self.choose(&(0..n.min(self.values.shape()[3])).collect::<Vec<_>>())
    }

    /// The same for filters by their numbers, counted from 0; numbers that the layer has not are left
    /// out.
    pub fn choose(&self, numbers: &[usize]) -> Figure {
        let range = Range::of(self.values.iter().copied());
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
                        bytes.extend([(range.share(*value) * 255.0).round() as u8; 3]);
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
}

displayed!(
    Filters,
    "Shows the first six filters under a notebook cell.",
    |filters| filters.first(6).bundle()
);

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { low, high } = Range::of(self.values.iter().copied());
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
                let sizes = layer.kernel_shape().iter().map(usize::to_string);
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
        let is_convolution = |layer: &Layer| layer.kind == LayerKind::Conv2D;
        let number = self.graph().find(&layer.into(), is_convolution)?;
        let name = self.layers()[number].name.clone();
        let kernel = self.layer_weights(&name)?.array("kernel")?;
        let values = kernel
            .into_dimensionality()
            .map_err(|error| Error::Compute {
                doing: format!("reading the filters of {name}"),
                message: error.to_string(),
            })?;
        Ok(Filters {
            values,
            layer: name,
            notes: self.origin().notes.clone(),
        })
    }
}

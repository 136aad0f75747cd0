//! What a layer makes of one picture: its channels as small pictures.
//!
//! Works on every base, with its top or without, and on a classifier's: `model.base()`. Only the layers
//! up to the one that is asked for are computed.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Precision, Weights};
//! let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let maps = base.feature_maps("data/samples/train/cats/cat.0.jpg", "block1_conv1")?;
//! assert_eq!(maps.shape(), [1, 48, 48, 64]);
//! let figure = maps.grid(8, 8);
//! # assert!(figure.to_string().contains("64 pictures"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::Array3;

use crate::error::{Error, Result};
use crate::machine::arrays::array_of;
use crate::network::base::Base;
use crate::network::layer::{LayerId, shape_with_batch};
use crate::network::operation::LayerKind;
use crate::network::outputs::lesson_order;
use crate::pictures::photo::Photo;
use crate::pictures::photo_source::PhotoSource;
use crate::pictures::resize::Interpolation;
use crate::show::display::displayed;
use crate::show::draw::colour;
use crate::show::draw::range::Range;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::Table;

/// The output of one layer for one picture.
#[derive(Clone)]
pub struct FeatureMaps {
    layer: String,
    /// (H, W, C)
    values: Array3<f32>,
    photo: String,
    notes: Vec<String>,
}

impl FeatureMaps {
    /// The name of the layer.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// (1, H, W, C), as Keras has it: (1, 224, 224, 64) for `block1_conv1` at 224 pixels.
    pub fn shape(&self) -> Vec<usize> {
        [&[1], self.values.shape()].concat()
    }

    /// The values, (H, W, C); a copy.
    pub fn array(&self) -> Array3<f32> {
        self.values.clone()
    }

    /// The first `rows` x `columns` maps. Each has its own range, from its smallest value (dark blue) to
    /// its largest (yellow), as matplotlib's `imshow` does.
    pub fn grid(&self, rows: usize, columns: usize) -> Figure {
        let most = rows.saturating_mul(columns);
        self.figure(&self.first(most), columns)
    }

    /// The same for maps by their numbers, counted from 0, eight a row; numbers that the layer has not
    /// are left out.
    pub fn choose(&self, numbers: &[usize]) -> Figure {
        self.figure(numbers, 8)
    }

    fn first(&self, most: usize) -> Vec<usize> {
        (0..most.min(self.values.shape()[2])).collect()
    }

    fn figure(&self, numbers: &[usize], columns: usize) -> Figure {
        let tiles = self.tiles(numbers);
        let title = format!("{}: {}", self.photo, self.count(tiles.len()));
        Figure::grid(&titled(&title, &self.notes), tiles, columns.max(1))
    }

    /// "64 of 256 maps of block3_conv3".
    fn count(&self, shown: usize) -> String {
        format!(
            "{shown} of {} maps of {}",
            self.values.shape()[2],
            self.layer
        )
    }

    fn tiles(&self, numbers: &[usize]) -> Vec<Tile> {
        let channels = self.values.shape()[2];
        let mut tiles = Vec::new();
        for &number in numbers.iter().filter(|&&number| number < channels) {
            let map = self.values.index_axis(ndarray::Axis(2), number);
            let range = Range::of(map.iter().copied());
            let shares = map.iter().map(|&value| range.share(value));
            let colours = shares.map(colour::viridis);
            let bytes = colours.flat_map(|(red, green, blue)| [red, green, blue]);
            let (height, width) = map.dim();
            if let Ok(photo) = Photo::from_pixels("", width, height, bytes.collect()) {
                tiles.push(Tile::new(photo, ""));
            }
        }
        tiles
    }
}

displayed!(
    FeatureMaps,
    "Shows the first 64 maps under a notebook cell.",
    |maps| maps.grid(8, 8).bundle()
);

impl fmt::Display for FeatureMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { low, high } = Range::of(self.values.iter().copied());
        write!(
            f,
            "{} of {}: {:?}, values from {low:.4} to {high:.4}",
            self.layer,
            self.photo,
            self.shape()
        )
    }
}

impl fmt::Debug for FeatureMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeatureMaps({self})")
    }
}

/// The outputs of several layers for one picture, in the order in which they were asked for.
#[derive(Clone)]
pub struct LayerMaps {
    layers: Vec<FeatureMaps>,
}

impl LayerMaps {
    /// The layers, one by one.
    pub fn layers(&self) -> &[FeatureMaps] {
        &self.layers
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The first `rows` x `columns` maps of each layer, a strip a layer, each with its name.
    pub fn grid(&self, rows: usize, columns: usize) -> Figure {
        let most = rows.saturating_mul(columns);
        let strips = self.layers.iter().map(|maps| {
            let tiles = maps.tiles(&maps.first(most));
            (maps.count(tiles.len()), tiles)
        });
        let (photo, notes) = match self.layers.first() {
            None => ("", &[][..]),
            Some(maps) => (maps.photo.as_str(), maps.notes.as_slice()),
        };
        Figure::strips(&titled(photo, notes), strips.collect(), columns.max(1))
    }
}

displayed!(
    LayerMaps,
    "Shows 64 maps of each layer under a notebook cell.",
    |maps| maps.grid(4, 16).bundle()
);

impl fmt::Display for LayerMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.layers.iter().map(FeatureMaps::to_string);
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl fmt::Debug for LayerMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.layers.iter().map(FeatureMaps::layer);
        write!(f, "LayerMaps({})", names.collect::<Vec<_>>().join(", "))
    }
}

impl Base {
    /// Each convolution with its index in the network and its output shape: 13 rows for VGG16.
    pub fn convolutions(&self) -> Table {
        let columns = ["index", "layer", "output shape"];
        let mut table = Table::new("Convolutions", &columns).right_aligned(&[0]);
        for (index, layer) in self.layers().iter().enumerate() {
            if layer.kind == LayerKind::Conv2D {
                let shape = shape_with_batch(&layer.output_shape);
                table.push([index.to_string(), layer.name.clone(), shape]);
            }
        }
        table
    }

    /// What a layer makes of a picture (a path or a [`Photo`]), resized to the base's size: any
    /// convolution or pooling, by its name or its index.
    ///
    /// Keras: `Model(inputs=model.inputs, outputs=model.layers[1].output).predict(img)`.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers, [`Error::File`] or [`Error::Picture`] if the picture
    /// cannot be read.
    #[doc(alias("activations", "forward_hook"))]
    pub fn feature_maps(
        &self,
        picture: impl Into<PhotoSource>,
        layer: impl Into<LayerId>,
    ) -> Result<FeatureMaps> {
        let mut all = self.feature_maps_of(picture, &[layer.into()])?;
        all.layers.pop().ok_or_else(|| Error::Compute {
            doing: "computing feature maps".into(),
            message: "there is no output".into(),
        })
    }

    /// The same for several layers, computed in one pass, in the order in which they are asked for.
    ///
    /// # Errors
    /// As [`Base::feature_maps`].
    pub fn feature_maps_of(
        &self,
        picture: impl Into<PhotoSource>,
        layers: &[impl Into<LayerId> + Clone],
    ) -> Result<LayerMaps> {
        let mut numbers = Vec::with_capacity(layers.len());
        for layer in layers.iter().cloned() {
            numbers.push(
                self.graph()
                    .find(&layer.into(), |layer| layer.output_shape.len() == 3)?,
            );
        }
        let mut rising = numbers.clone();
        rising.sort_unstable();
        rising.dedup();
        let photo = picture.into().photo()?;
        let pixels = photo.to_tensor(self.size(), Interpolation::Nearest)?;
        let _no_grad = tch::no_grad_guard();
        let outputs = self
            .input(&pixels)
            .and_then(|input| self.outputs_of(&input, &rising))
            .map_err(Error::batch("computing feature maps", 1))?;
        let maps = |number: &usize| {
            let place = rising
                .iter()
                .position(|other| other == number)
                .unwrap_or_default();
            Ok(FeatureMaps {
                layer: self.layers()[*number].name.clone(),
                values: lesson_order(&outputs[place])
                    .and_then(|maps| array_of(&maps.f_squeeze_dim(0)?))
                    .map_err(Error::compute("reading feature maps"))?,
                photo: photo.name().to_owned(),
                notes: self.origin().notes.clone(),
            })
        };
        let layers = numbers.iter().map(maps).collect::<Result<_>>()?;
        Ok(LayerMaps { layers })
    }
}

//! Heat maps: which parts of a picture the answer of a classifier, or of a network with its top, comes from.
//!
//! Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
//! Localization", equations 1 and 2): each channel of a layer's output counts as much as its gradient
//! says, averaged over the picture; what speaks for the class is kept. Grad-CAM++ (Chattopadhay et al.
//! 2018, equations 10 and 19) weighs the places of a channel too. Works whatever is frozen.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Device, GradCam, Head, Precision, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
//! let picture = "data/samples/train/cats/cat.0.jpg";
//! let map = model.grad_cam(picture, "block5_conv3")?;
//! assert_eq!(map.array().dim(), (3, 3));
//! let dogs = model.grad_cam(picture, GradCam::at("block4_conv3").class("dogs").plus_plus())?;
//! assert_eq!(dogs.class(), "dogs");
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::Array2;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::inside::network::Network;
use crate::model::classifier::Classifier;
use crate::network::base::{Base, LayerId};
use crate::pictures::photo::{Photo, Picture};
use crate::show::draw::colour;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::training::loss;

/// How much of a heat map's colour lies over the picture.
const OPACITY: f32 = 0.5;

/// What a heat map is made of: a layer, a class, and the rule. Made from a layer's name or index where
/// one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GradCam {
    layer: LayerId,
    class: Option<String>,
    is_plus_plus: bool,
}

impl GradCam {
    /// Grad-CAM at this layer, for the class that the model takes the picture for. The last convolution,
    /// `block5_conv3`, knows most of the class and least of the place.
    pub fn at(layer: impl Into<LayerId>) -> Self {
        Self {
            layer: layer.into(),
            class: None,
            is_plus_plus: false,
        }
    }

    /// Asks for what speaks for this class instead.
    pub fn class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    /// Takes Grad-CAM++, which finds several places of one class better.
    pub fn plus_plus(mut self) -> Self {
        self.is_plus_plus = true;
        self
    }

    fn name(&self) -> &'static str {
        if self.is_plus_plus {
            "Grad-CAM++"
        } else {
            "Grad-CAM"
        }
    }
}

impl<T: Into<LayerId>> From<T> for GradCam {
    fn from(layer: T) -> Self {
        Self::at(layer)
    }
}

/// Which parts of a picture speak for a class.
#[derive(Clone)]
pub struct HeatMap {
    photo: Photo,
    /// (h, w) of the layer, 0 to 1.
    values: Array2<f32>,
    class: String,
    probability: f64,
    layer: String,
    rule: &'static str,
    notes: Vec<String>,
}

impl HeatMap {
    /// The map at the layer's own size, (h, w): 0 where nothing speaks for the class, 1 where most does;
    /// all 0 if nothing does anywhere.
    pub fn array(&self) -> Array2<f32> {
        self.values.clone()
    }

    /// The class that it is about.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The probability that the model gives this class, 0 to 1.
    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// The name of the layer.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The picture at its own size with the map over it, from dark blue (nothing) to yellow (most).
    ///
    /// # Errors
    /// [`Error::Compute`] if there is no memory for it.
    pub fn overlay(&self) -> Result<Photo> {
        laid_over(&self.photo, &self.values)
    }

    /// The picture, and beside it the same with the map over it.
    ///
    /// # Errors
    /// As [`HeatMap::overlay`].
    pub fn plot(&self) -> Result<Figure> {
        let percent = format!("{:.1} %", 100.0 * self.probability);
        let tiles = vec![
            Tile::new(self.photo.clone(), self.photo.name().to_owned()),
            Tile::new(self.overlay()?, format!("for {}: {percent}", self.class)),
        ];
        let title = format!("{} at {}", self.rule, self.layer);
        Ok(Figure::grid(&titled(&title, &self.notes), tiles, 2))
    }

    /// Shows the picture and the map under a notebook cell.
    pub fn evcxr_display(&self) {
        match self.plot() {
            Ok(figure) => figure.evcxr_display(),
            Err(error) => crate::show::notebook::Bundle::text(&error.to_string()).show(),
        }
    }
}

impl fmt::Display for HeatMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} at {} for {}, {:.1} %",
            self.rule,
            self.photo.name(),
            self.layer,
            self.class,
            100.0 * self.probability
        )
    }
}

impl fmt::Debug for HeatMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeatMap({self})")
    }
}

impl Classifier {
    /// Which parts of a picture (a path or a [`Photo`]) speak for a class, by Grad-CAM at a layer:
    /// `model.grad_cam("my_cat.jpg", "block5_conv3")`. For another class or Grad-CAM++ see [`GradCam`].
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers, [`Error::Argument`] the classes; [`Error::File`] or
    /// [`Error::Picture`] if the picture cannot be read.
    pub fn grad_cam(
        &self,
        picture: impl Into<Picture>,
        what: impl Into<GradCam>,
    ) -> Result<HeatMap> {
        heat_map(&Network::Model(self), picture.into(), &what.into())
    }
}

impl Base {
    /// The same for a network with its top, which knows ImageNet's 1,000 classes:
    /// `lab.with_top(Architecture::Vgg16)?.grad_cam("dog.jpg", "block5_conv3")`. A class is asked for by
    /// its name as [`Base::classify`] gives it, or by its number: `GradCam::at(17).class("class 281")`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the base has no top, otherwise as [`Classifier::grad_cam`].
    pub fn grad_cam(
        &self,
        picture: impl Into<Picture>,
        what: impl Into<GradCam>,
    ) -> Result<HeatMap> {
        let network = Network::whole(self, "grad_cam")?;
        heat_map(&network, picture.into(), &what.into())
    }
}

fn heat_map(network: &Network<'_>, picture: Picture, what: &GradCam) -> Result<HeatMap> {
    let base = network.base();
    let number = base.find_layer(&what.layer, |layer| layer.output_shape.len() == 3)?;
    let wanted = network.class_number(what.class.as_deref())?;
    let photo = picture.photo()?;
    let pixels = network.pixels(&photo)?;
    let (class, probability, values) = gradients(network, &pixels, number, wanted)
        .and_then(|answer| {
            let map = if what.is_plus_plus {
                plus_plus(&answer.output, &answer.gradient)?
            } else {
                plain(&answer.output, &answer.gradient)?
            };
            Ok((answer.class, answer.probability, scaled(&map)?))
        })
        .map_err(Error::batch("computing a heat map", 1))?;
    Ok(HeatMap {
        photo,
        values,
        class: network.class_name(class),
        probability,
        layer: base.layers()[number].name.clone(),
        rule: what.name(),
        notes: base.origin().notes.clone(),
    })
}

/// The output of layer `number` for one picture, and what the score of a class makes of it. The score
/// is the logit, before sigmoid or softmax, which would flatten it.
fn gradients(
    network: &Network<'_>,
    pixels: &Tensor,
    number: usize,
    wanted: Option<usize>,
) -> std::result::Result<Answer, TchError> {
    let base = network.base();
    let output = {
        let _no_grad = tch::no_grad_guard();
        base.forward_before(&base.input(pixels)?, number + 1)?
    };
    // A tensor of its own that asks for a gradient: it does not matter that all before it is frozen.
    let output = output.f_detach()?.f_set_requires_grad(true)?;
    tch::with_grad(|| {
        let logits = network.logits_after(&output, number)?;
        let probabilities = loss::probabilities(&logits.f_detach()?)?;
        let class = match wanted {
            Some(class) => class,
            None => probabilities.f_argmax(-1, false)?.f_int64_value(&[0])? as usize,
        };
        let score = match (logits.dim(), class) {
            (1, 0) => logits.f_neg()?,
            (1, _) => logits,
            _ => logits.f_select(1, class as i64)?,
        };
        let gradients = Tensor::f_run_backward(&[score], &[&output], false, false)?;
        let gradient = gradients
            .into_iter()
            .next()
            .ok_or_else(|| TchError::Shape("there is no gradient".into()))?;
        Ok(Answer {
            probability: probabilities.f_double_value(&[0, class as i64])?,
            class,
            output: output.f_detach()?.f_to_kind(Kind::Float)?,
            gradient: gradient.f_to_kind(Kind::Float)?,
        })
    })
}

/// What a layer gave for a picture, and the gradient of the score, both [1, C, h, w].
struct Answer {
    class: usize,
    probability: f64,
    output: Tensor,
    gradient: Tensor,
}

/// Grad-CAM: [h, w], not scaled yet.
fn plain(output: &Tensor, gradient: &Tensor) -> std::result::Result<Tensor, TchError> {
    let weights = gradient.f_mean_dim([2i64, 3].as_slice(), true, Kind::Float)?;
    summed(output, &weights)
}

/// Grad-CAM++, with the higher derivatives of exp(score) as powers of the gradient.
fn plus_plus(output: &Tensor, gradient: &Tensor) -> std::result::Result<Tensor, TchError> {
    // Keeps places without any gradient from dividing by zero.
    const EPSILON: f64 = 1e-6;
    let places: &[i64] = &[2, 3];
    let square = gradient.f_square()?;
    let total = output.f_sum_dim_intlist(places, true, Kind::Float)?;
    let divisor = square
        .f_mul_scalar(2.0)?
        .f_add(&total.f_mul(&square.f_mul(gradient)?)?)?
        .f_add_scalar(EPSILON)?;
    let shares = square.f_div(&divisor)?;
    let weights =
        shares
            .f_mul(&gradient.f_relu()?)?
            .f_sum_dim_intlist(places, true, Kind::Float)?;
    summed(output, &weights)
}

/// The channels by their weights [1, C, 1, 1], added up; what speaks against the class is left out.
fn summed(output: &Tensor, weights: &Tensor) -> std::result::Result<Tensor, TchError> {
    output
        .f_mul(weights)?
        .f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?
        .f_relu()?
        .f_squeeze_dim(0)
}

/// [h, w] as (h, w) with its largest value at 1.
fn scaled(map: &Tensor) -> std::result::Result<Array2<f32>, TchError> {
    let (rows, columns) = map.size2()?;
    let flat = map.f_to_device(Device::Cpu)?.f_contiguous()?.f_view(-1)?;
    let mut values = Vec::<f32>::try_from(&flat)?;
    let largest = values.iter().copied().fold(0.0, f32::max);
    if largest > 0.0 {
        values.iter_mut().for_each(|value| *value /= largest);
    }
    Array2::from_shape_vec([rows as usize, columns as usize], values)
        .map_err(|error| TchError::Shape(error.to_string()))
}

/// A picture under a map of shares, 0 (dark blue) to 1 (yellow), which is enlarged to the picture's size.
pub(crate) fn laid_over(photo: &Photo, shares: &Array2<f32>) -> Result<Photo> {
    let (height, width) = (photo.height(), photo.width());
    let enlarged = || -> std::result::Result<Vec<f32>, TchError> {
        let (rows, columns) = shares.dim();
        let flat = shares.iter().copied().collect::<Vec<_>>();
        let map = Tensor::f_from_slice(&flat)?.f_view([1, 1, rows as i64, columns as i64])?;
        let size = [height as i64, width as i64];
        let map = map.f_upsample_bilinear2d(size, false, None, None)?;
        Vec::<f32>::try_from(&map.f_view(-1)?)
    };
    let shares = enlarged().map_err(Error::compute("enlarging a heat map"))?;
    let mut bytes = Vec::with_capacity(height * width * 3);
    for (pixel, share) in photo.bytes().chunks_exact(3).zip(shares) {
        let (red, green, blue) = colour::viridis(share);
        for (&below, above) in pixel.iter().zip([red, green, blue]) {
            let mixed = f32::from(below) * (1.0 - OPACITY) + f32::from(above) * OPACITY;
            bytes.push(mixed.round() as u8);
        }
    }
    Photo::from_pixels(photo.name(), width, height, bytes)
}

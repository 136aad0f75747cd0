//! Grad-CAM: which parts of a picture the answer of a classifier, or of a network with its top, comes from.
//!
//! By gradients (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
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
use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::inside::overlay::{self, laid_over, side_by_side};
use crate::inside::scorer::Scorer;
use crate::machine::arrays::array_of;
use crate::machine::scalar::scalar;
use crate::model::classifier::Classifier;
use crate::model::probabilities::percent;
use crate::network::base::Base;
use crate::network::layer::{Layer, LayerId};
use crate::network::operation::LayerKind;
use crate::pictures::photo::Photo;
use crate::pictures::photo_source::PhotoSource;
use crate::show::display::displayed;
use crate::show::figure::{Figure, titled};

/// What a [`GradCamMap`] is made of: a layer, a class, and the rule. Made from a layer's name or index where
/// one is asked for.
///
/// [`GradCam::default()`] takes the last layer before the means or the head: `block5_conv3` of VGG16,
/// `conv5_block3_out` of ResNet50, `post_relu` of ResNet50V2, `mixed10` of InceptionV3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GradCam {
    /// The last that has places, where none is named.
    layer: Option<LayerId>,
    class: Option<String>,
    is_plus_plus: bool,
}

impl GradCam {
    /// Grad-CAM at this layer, for the class that the model takes the picture for. The last convolution,
    /// `block5_conv3`, knows most of the class and least of the place.
    pub fn at(layer: impl Into<LayerId>) -> Self {
        Self {
            layer: Some(layer.into()),
            ..Self::default()
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
pub struct GradCamMap {
    photo: Photo,
    /// (h, w) of the layer, 0 to 1.
    values: Array2<f32>,
    class: String,
    probability: f64,
    layer: String,
    rule: &'static str,
    notes: Vec<String>,
}

impl GradCamMap {
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
    /// As [`GradCamMap::overlay`].
    pub fn plot(&self) -> Result<Figure> {
        let label = format!("for {}: {}", self.class, percent(self.probability));
        let title = titled(&format!("{} at {}", self.rule, self.layer), &self.notes);
        Ok(side_by_side(&title, &self.photo, self.overlay()?, label))
    }
}

displayed!(
    GradCamMap,
    "Shows the picture and the map under a notebook cell.",
    |map| overlay::bundle(map.plot())
);

impl fmt::Display for GradCamMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} at {} for {}, {}",
            self.rule,
            self.photo.name(),
            self.layer,
            self.class,
            percent(self.probability)
        )
    }
}

impl fmt::Debug for GradCamMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GradCamMap({self})")
    }
}

impl Classifier {
    /// Which parts of a picture (a path or a [`Photo`]) speak for a class, by Grad-CAM at a layer:
    /// `model.grad_cam("my_cat.jpg", "block5_conv3")`, or `GradCam::default()` for the last. For another class or
    /// Grad-CAM++ see [`GradCam`].
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers, [`Error::Argument`] the classes; [`Error::File`] or
    /// [`Error::Picture`] if the picture cannot be read.
    pub fn grad_cam(
        &self,
        picture: impl Into<PhotoSource>,
        what: impl Into<GradCam>,
    ) -> Result<GradCamMap> {
        grad_cam_map(&Scorer::Classifier(self), picture.into(), &what.into())
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
        picture: impl Into<PhotoSource>,
        what: impl Into<GradCam>,
    ) -> Result<GradCamMap> {
        let scorer = Scorer::with_top(self, "grad_cam")?;
        grad_cam_map(&scorer, picture.into(), &what.into())
    }
}

fn grad_cam_map(scorer: &Scorer<'_>, picture: PhotoSource, what: &GradCam) -> Result<GradCamMap> {
    let base = scorer.base();
    let has_places = |layer: &Layer| layer.output_shape.len() == 3;
    let number = match &what.layer {
        Some(layer) => base.graph().find(layer, has_places)?,
        None => last_with_places(base),
    };
    let wanted = scorer.class_number(what.class.as_deref())?;
    let photo = picture.photo()?;
    let pixels = scorer.pixels(&photo)?;
    let (class, probability, values) = gradients(scorer, &pixels, number, wanted)
        .and_then(|answer| {
            let map = if what.is_plus_plus {
                plus_plus(&answer.output, &answer.gradient)?
            } else {
                plain(&answer.output, &answer.gradient)?
            };
            Ok((answer.class, answer.probability, scaled(&map)?))
        })
        .map_err(Error::batch("computing a heat map", 1))?;
    Ok(GradCamMap {
        photo,
        values,
        class: scorer.class_name(class),
        probability,
        layer: base.layers()[number].name.clone(),
        rule: what.name(),
        notes: base.origin().notes.clone(),
    })
}

/// The last layer that has places, but for a pooling: where most is known of the class.
fn last_with_places(base: &Base) -> usize {
    let is_such =
        |layer: &Layer| layer.output_shape.len() == 3 && layer.kind != LayerKind::MaxPooling2D;
    base.layers().iter().rposition(is_such).unwrap_or_default()
}

/// The output of layer `number` for one picture, and what the score of a class makes of it. The score
/// is the logit, before sigmoid or softmax, which would flatten it.
fn gradients(
    scorer: &Scorer<'_>,
    pixels: &Tensor,
    number: usize,
    wanted: Option<usize>,
) -> std::result::Result<Answer, TchError> {
    let base = scorer.base();
    let mut crossing = {
        let _no_grad = tch::no_grad_guard();
        base.outputs_before(&base.input(pixels)?, number + 1)?
    };
    // The layer's own output is the last of what crosses the border after it; what goes round the layer
    // does not vary with it. A tensor of its own that asks for a gradient: it does not matter that all
    // before it is frozen.
    let output = crossing.pop().ok_or_else(no_output)?;
    let output = output.f_detach()?.f_set_requires_grad(true)?;
    crossing.push(output.shallow_clone());
    tch::with_grad(|| {
        let logits = scorer.logits_after(&crossing, number + 1)?;
        let probabilities = scorer.target().answers(&logits.f_detach()?)?;
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
        let gradient = gradients.into_iter().next().ok_or_else(no_output)?;
        Ok(Answer {
            probability: probabilities.f_double_value(&[0, class as i64])?,
            class,
            output: output.f_detach()?.f_to_kind(Kind::Float)?,
            gradient: gradient.f_to_kind(Kind::Float)?,
        })
    })
}

fn no_output() -> TchError {
    TchError::Shape("there is no output or no gradient".into())
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
        .f_mul(&scalar(2.0)?)?
        .f_add(&total.f_mul(&square.f_mul(gradient)?)?)?
        .f_add(&scalar(EPSILON)?)?;
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
    let mut values: Array2<f32> = array_of(map)?;
    // Half precision overflows in very deep layers; such a place says nothing.
    values.mapv_inplace(|value| if value.is_finite() { value } else { 0.0 });
    let largest = values.iter().copied().fold(0.0, f32::max);
    if largest > 0.0 {
        values /= largest;
    }
    Ok(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_no_numbers_say_nothing() {
        let map = Tensor::from_slice(&[f32::NAN, 2.0, f32::INFINITY, 1.0]).view([2, 2]);
        let heat = scaled(&map).unwrap();
        assert_eq!(heat, ndarray::arr2(&[[0.0, 1.0], [0.0, 0.5]]));
        let none = Tensor::from_slice(&[f32::NAN; 4]).view([2, 2]);
        assert_eq!(scaled(&none).unwrap(), Array2::<f32>::zeros((2, 2)));
    }
}

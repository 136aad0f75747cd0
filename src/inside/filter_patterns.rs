//! What excites a filter most: pictures made by gradient ascent.
//!
//! F. Chollet, "How convolutional neural networks see the world" (The Keras Blog, 2016): a picture begins
//! as grey noise, and each step moves its pixels the way that raises the mean of the filter's map.
//!
//! ```
//! use evcxr_transfer::{Ascent, Base, Device, Precision, Progress, Weights};
//! let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! # let base = base.progress(Progress::quiet());
//! let patterns = base.filter_patterns("block2_conv1", &[0, 1, 5])?;
//! assert_eq!(patterns.array().dim(), (3, 48, 48, 3));
//! let (before, after) = patterns.activations()[0];
//! assert!(after >= before);
//! let longer = base.filter_patterns(Ascent::at("block2_conv1").steps(40).seed(7), &[5])?;
//! # assert_eq!(longer.num_steps(), 40);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::{Array4, ArrayView3, Axis};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::random::Random;
use crate::network::architecture::{Layer, LayerKind};
use crate::network::base::{Base, LayerId, check_size, in_halves};
use crate::pictures::photo::Photo;
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::significant;

/// The largest side by default: patterns repeat, and a larger picture takes longer.
const SIDE: usize = 128;

/// Keeps a gradient that is zero throughout from being divided by zero; the picture stays as it is. The
/// article adds 1e-5, which suits its pixels from 0 to 255: where they are scaled by 1/255 gradients
/// are of the order of 1e-7 themselves, and the pictures would not move.
const EPSILON: f64 = 1e-12;

/// How many patterns stand side by side at most: so few that there is room for the numbers below each.
const COLUMNS: usize = 5;

/// Pixels reach from 0 to 255; far beyond this f32 would overflow.
const LARGEST_STEP: f64 = 1e6;

/// How a filter's pattern is made: which layer, how many steps, how large. Made from a layer's name or
/// index where one is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Ascent {
    layer: LayerId,
    steps: usize,
    step_size: f64,
    size: Option<usize>,
    seed: u64,
}

impl Ascent {
    /// 20 steps of size 1 for filters of this layer, a convolution or a pooling.
    pub fn at(layer: impl Into<LayerId>) -> Self {
        Self {
            layer: layer.into(),
            steps: 20,
            step_size: 1.0,
            size: None,
            seed: 0,
        }
    }

    /// How many steps are taken; with 0 the noise stays as it is.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// How far a step moves the pixels, in units of 0 to 255, as a root mean square over the picture.
    pub fn step_size(mut self, step_size: f64) -> Self {
        self.step_size = step_size;
        self
    }

    /// The side of the pictures in pixels, whatever the base's own: by default the base's, 128 at most.
    pub fn size(mut self, size: usize) -> Self {
        self.size = Some(size);
        self
    }

    /// Another start; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The start, (N, size, size, 3): noise from 128 to 148, as the article has it. Every picture begins
    /// with the same, so that a filter's pattern is its own whichever others are asked for.
    fn start(&self, count: usize, size: usize) -> std::result::Result<Tensor, TchError> {
        let mut random = Random::new(self.seed, "filter patterns");
        let noise = (0..size * size * 3).map(|_| 128.0 + 20.0 * random.uniform());
        let side = size as i64;
        Tensor::f_from_slice(&noise.collect::<Vec<_>>())?
            .f_view([1, side, side, 3])?
            .f_repeat([count as i64, 1, 1, 1])
    }
}

impl<T: Into<LayerId>> From<T> for Ascent {
    fn from(layer: T) -> Self {
        Self::at(layer)
    }
}

/// Pictures that excite some filters of a layer, one for each.
#[derive(Clone)]
pub struct FilterPatterns {
    layer: String,
    filters: Vec<usize>,
    /// (N, H, W, 3), as the ascent left them.
    pixels: Array4<f32>,
    activations: Vec<(f64, f64)>,
    steps: usize,
    notes: Vec<String>,
}

impl FilterPatterns {
    /// The name of the layer.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The numbers of the filters, as they were asked for.
    pub fn filters(&self) -> &[usize] {
        &self.filters
    }

    /// How many steps were taken: fewer than asked for if the work was stopped.
    pub fn num_steps(&self) -> usize {
        self.steps
    }

    /// The pixels as the ascent left them, (N, H, W, 3), RGB around 0 to 255 but not held within; a copy.
    pub fn array(&self) -> Array4<f32> {
        self.pixels.clone()
    }

    /// For each filter the mean of its map, over the noise and over its pattern. Both are 0 for a filter
    /// that the noise does not reach: nothing says which way is up there.
    pub fn activations(&self) -> &[(f64, f64)] {
        &self.activations
    }

    /// The patterns as they are shown: each picture's pixels less their mean, over their standard
    /// deviation (plus 1e-5), times 0.1, plus 0.5, cut at 0 and 1, as bytes.
    pub fn pictures(&self) -> Vec<Photo> {
        let each = self.pixels.axis_iter(Axis(0)).zip(&self.filters);
        each.filter_map(|(pixels, filter)| {
            let (height, width, _) = pixels.dim();
            let name = format!("{} filter {filter}", self.layer);
            // As many bytes as the sides say: there is no error to lose.
            Photo::from_pixels(&name, width, height, as_bytes(&pixels)).ok()
        })
        .collect()
    }

    /// The patterns side by side, each with its filter's mean activation before and after; the first 100, and
    /// of more than 24 the filters' numbers alone.
    pub fn plot(&self) -> Figure {
        let pictures = self.pictures();
        let labelled = pictures.into_iter().zip(&self.filters);
        let labelled = labelled.zip(&self.activations);
        let (shown, count, mut notes) =
            grid::count(self.filters.len(), self.filters.len(), "filters");
        notes.extend(self.notes.iter().cloned());
        let tiles = labelled.map(|((photo, filter), (before, after))| {
            let (before, after) = (significant(*before), significant(*after));
            Tile::new(photo, format!("filter {filter}\n{before} → {after}"))
        });
        let tiles = tiles.take(shown).collect::<Vec<_>>();
        let steps = match self.steps {
            1 => "1 step".into(),
            steps => format!("{steps} steps"),
        };
        let title = format!(
            "What excites {count} of {}; mean activation before → after {steps}",
            self.layer
        );
        // Eight are two rows of four rather than one of five and one of three.
        let rows = tiles.len().div_ceil(COLUMNS).max(1);
        let columns = tiles.len().div_ceil(rows).max(1);
        Figure::photos(&titled(&title, &notes), tiles, columns)
    }

    /// Shows the patterns under a notebook cell.
    pub fn evcxr_display(&self) {
        self.plot().evcxr_display();
    }
}

/// A picture's pixels with a mean of 0.5 and a deviation of 0.1, from 0 to 1, as bytes.
fn as_bytes(pixels: &ArrayView3<'_, f32>) -> Vec<u8> {
    let count = pixels.len().max(1) as f64;
    let values = || pixels.iter().map(|&value| f64::from(value));
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let shown = values().map(|value| (value - mean) / (variance.sqrt() + 1e-5) * 0.1 + 0.5);
    shown
        .map(|share| (share.clamp(0.0, 1.0) * 255.0).round() as u8)
        .collect()
}

impl fmt::Display for FilterPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, filters, _) = grid::count(self.filters.len(), self.filters.len(), "filters");
        write!(
            f,
            "patterns of {filters} of {} {:?}, {} steps",
            self.layer,
            self.pixels.shape(),
            self.steps
        )
    }
}

impl fmt::Debug for FilterPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterPatterns({self})")
    }
}

impl Base {
    /// What excites some filters of a layer most, by gradient ascent from noise:
    /// `base.filter_patterns("block3_conv1", &[0, 1, 2, 3])`. For more steps, another size or start see
    /// [`Ascent`]. Works for every convolution and pooling, and for a classifier's `model.base()`.
    ///
    /// Pixels go in as the base scales them. Keras' ImageNet weights know theirs from -128 to 128, where
    /// the lesson's 1/255 leaves a step little room: [`Base::scaling`] with
    /// [`Scaling::Caffe`](crate::Scaling::Caffe) comes closest to the article.
    ///
    /// Work that is asked to stop gives the patterns of the steps so far.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers; [`Error::Argument`] if the layer has no filter of such a
    /// number, if none is asked for, or if size or step size are no such; [`Error::OutOfMemory`] the
    /// batch size to try; [`Error::Stopped`] if it was asked to stop before the first step was done.
    pub fn filter_patterns(
        &self,
        what: impl Into<Ascent>,
        filters: &[usize],
    ) -> Result<FilterPatterns> {
        let ascent = what.into();
        let number = self.find_layer(&ascent.layer, |layer| {
            matches!(layer.kind, LayerKind::Conv2D | LayerKind::MaxPooling2D)
        })?;
        let layer = &self.layers()[number];
        check_filters(layer, filters)?;
        if !(ascent.step_size > 0.0 && ascent.step_size <= LARGEST_STEP) {
            return Err(Error::Argument {
                argument: "step_size",
                value: ascent.step_size.to_string(),
                expected: format!("it must be above 0 and {LARGEST_STEP:e} at most"),
            });
        }
        let size = ascent.size.unwrap_or(self.size().min(SIDE));
        check_size(self.architecture(), size)?;
        let doing = format!("patterns of {}", layer.name);
        let numbers = filters.iter().map(|&n| n as i64).collect::<Vec<_>>();
        let prepared = || {
            let start = ascent.start(filters.len(), size)?;
            let numbers = Tensor::f_from_slice(&numbers)?;
            Ok((
                start.f_to_device(self.device())?,
                numbers.f_to_device(self.device())?,
            ))
        };
        let (start, filters_there) = prepared().map_err(Error::compute("making noise"))?;
        let hill = Hill {
            base: self,
            end: number + 1,
            filters: filters_there,
            step_size: ascent.step_size,
            doing: &doing,
        };
        let before = hill.heights(&start)?;
        let (top, steps) = hill.climb(start, ascent.steps)?;
        let after = hill.heights(&top)?;
        let mut notes = self.origin().notes.clone();
        if steps < ascent.steps {
            notes.push(format!("stopped, {} were asked for", ascent.steps));
        }
        Ok(FilterPatterns {
            layer: layer.name.clone(),
            filters: filters.to_vec(),
            pixels: array_of(&top).map_err(Error::compute("reading patterns"))?,
            activations: before.into_iter().zip(after).collect(),
            steps,
            notes,
        })
    }
}

/// Refuses filters that the layer does not have, and none at all.
fn check_filters(layer: &Layer, filters: &[usize]) -> Result<()> {
    let count = layer.output_shape.last().copied().unwrap_or_default();
    let wrong = match filters.iter().find(|&&filter| filter >= count) {
        Some(filter) => filter.to_string(),
        None if filters.is_empty() => "empty".into(),
        None => return Ok(()),
    };
    Err(Error::Argument {
        argument: "filters",
        value: wrong,
        expected: format!(
            "{} has {count} filters, numbered from 0 to {}; ask for one or more of them",
            layer.name,
            count.saturating_sub(1)
        ),
    })
}

/// What is climbed: the mean of a filter's map, over the pixels of a picture.
struct Hill<'a> {
    base: &'a Base,
    /// The number of layers that are computed.
    end: usize,
    /// The filter of each picture, [N].
    filters: Tensor,
    step_size: f64,
    doing: &'a str,
}

impl Hill<'_> {
    /// Steps upwards from `pixels`, (N, H, W, 3): where they lead, and how many they were.
    fn climb(&self, mut pixels: Tensor, steps: usize) -> Result<(Tensor, usize)> {
        let progress = self.base.shown();
        let mut task = progress.task(self.doing, "steps", Some(steps));
        let asked = || progress.check(self.doing);
        for taken in 0..steps {
            pixels = match self.in_batches(&pixels, &asked, &|part, own| self.stepped(part, own)) {
                Ok(next) => next,
                // A step that only some pictures have taken is left out.
                Err(Error::Stopped { .. }) if taken > 0 => {
                    task.finish();
                    return Ok((pixels, taken));
                }
                Err(error) => return Err(error),
            };
            task.done(taken + 1);
        }
        if steps > 0 {
            task.finish();
        }
        Ok((pixels, steps))
    }

    /// The mean of each picture's map.
    fn heights(&self, pixels: &Tensor) -> Result<Vec<f64>> {
        let _no_grad = tch::no_grad_guard();
        let heights = self.in_batches(pixels, &|| Ok(()), &|part, own| self.height(part, own));
        heights?
            .f_to_device(Device::Cpu)
            .and_then(|heights| heights.f_to_kind(Kind::Double))
            .and_then(|heights| Vec::<f64>::try_from(&heights))
            .map_err(Error::compute("reading activations"))
    }

    /// Sends pictures through `pass`, each with its filter, a few at a time, unless `asked` fails before.
    fn in_batches(
        &self,
        pixels: &Tensor,
        asked: &dyn Fn() -> Result<()>,
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        // With gradients a picture takes three times as long, and all that is computed is kept.
        // The memory grows with the number of pixels: 0.7 GB for 12 pictures of 128 pixels up to block 3.
        let at_once = (self.base.pictures_at_once() / 4) as i64;
        let side = pixels.size()[1].max(1);
        let at_once = (at_once * 128 * 128 / (side * side)).clamp(1, at_once.max(1));
        let count = pixels.size()[0];
        let place = (Kind::Int64, pixels.device());
        let mut parts = Vec::new();
        for first in (0..count).step_by(at_once as usize) {
            asked()?;
            let part = || {
                let rows = Tensor::f_arange_start(first, (first + at_once).min(count), place)?;
                in_halves(&rows, &|rows| {
                    let own = self.filters.f_index_select(0, rows)?;
                    pass(&pixels.f_index_select(0, rows)?, &own)
                })
            };
            let part = part();
            parts.push(part.map_err(Error::batch(self.doing, self.base.pictures_at_once()))?);
        }
        Tensor::f_cat(&parts, 0).map_err(Error::compute(self.doing))
    }

    /// The mean of each picture's own map, [N] in f32.
    fn height(&self, pixels: &Tensor, own: &Tensor) -> std::result::Result<Tensor, TchError> {
        let input = self.base.input(pixels)?;
        let maps = self.base.forward_before(&input, self.end)?;
        let means = maps.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?;
        means.f_gather(1, &own.f_view([-1, 1])?, false)?.f_view(-1)
    }

    /// The pixels one step further.
    fn stepped(&self, pixels: &Tensor, own: &Tensor) -> std::result::Result<Tensor, TchError> {
        let pixels = pixels.f_detach()?.f_set_requires_grad(true)?;
        let gradients = tch::with_grad(|| {
            // No picture has a part in another's height: the gradient of the sum is each one's own.
            let sum = self.height(&pixels, own)?.f_sum(Kind::Float)?;
            Tensor::f_run_backward(&[sum], &[&pixels], false, false)
        })?;
        let gradient = gradients
            .first()
            .ok_or_else(|| TchError::Shape("there is no gradient".into()))?;
        let _no_grad = tch::no_grad_guard();
        let size = gradient
            .f_square()?
            .f_mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float)?
            .f_sqrt()?
            .f_add_scalar(EPSILON)?;
        let step = gradient.f_div(&size)?.f_mul_scalar(self.step_size)?;
        pixels.f_detach()?.f_add(&step)
    }
}

/// What is done with pictures (N, H, W, 3) and the filter of each.
type Pass<'a> = dyn Fn(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError> + 'a;

/// (N, H, W, 3), f32.
fn array_of(pixels: &Tensor) -> std::result::Result<Array4<f32>, TchError> {
    let (count, height, width, channels) = pixels.size4()?;
    let flat = pixels
        .f_to_device(Device::Cpu)?
        .f_contiguous()?
        .f_view(-1)?;
    let sizes = [count, height, width, channels].map(|n| n as usize);
    Array4::from_shape_vec(sizes, Vec::<f32>::try_from(&flat)?)
        .map_err(|error| TchError::Shape(error.to_string()))
}

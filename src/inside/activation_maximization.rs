//! Activation maximization: gradient ascent to the pictures that excite filters most.
//!
//! F. Chollet, "How convolutional neural networks see the world" (The Keras Blog, 2016): a picture begins
//! as grey noise, and each step moves its pixels the way that raises the mean of the filter's map. That of
//! a convolution is climbed before its ReLU (the article: after it): a filter that the noise does not reach
//! has a map of zeros after it, which has no slope.
//! [`Base::filter_patterns`] runs it and shows what comes out.
//!
//! ```
//! use evcxr_transfer::{ActivationMaximization, Base, Device, Precision, Progress, Weights};
//! let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! # let base = base.progress(Progress::quiet());
//! let longer = ActivationMaximization::at("block2_conv1").steps(40).seed(7);
//! let patterns = base.filter_patterns(longer, &[5])?;
//! # assert_eq!(patterns.num_steps(), 40);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::cell::RefCell;

use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::arrays::numbers_of;
use crate::machine::fitting_batch::FittingBatch;
use crate::machine::memory::check_room;
use crate::machine::random::Random;
use crate::machine::scalar::{count_up_to, scalar};
use crate::network::base::Base;
use crate::network::layer::{Layer, LayerId};

/// The largest side by default: patterns repeat, and a larger picture takes longer.
const SIDE: usize = 128;

/// Keeps a gradient that is zero throughout from being divided by zero; the picture stays as it is. The
/// article adds 1e-5, which suits its pixels from 0 to 255: where they are scaled by 1/255 gradients
/// are of the order of 1e-7 themselves, and the pictures would not move.
const EPSILON: f64 = 1e-12;

/// Pixels reach from 0 to 255; far beyond this f32 would overflow.
const LARGEST_STEP: f64 = 1e6;

/// How a filter's pattern is made: which layer, how many steps, how large. Made from a layer's name or
/// index where one is asked for.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias("DeepDream", "gradient_ascent"))]
pub struct ActivationMaximization {
    pub(crate) layer: LayerId,
    pub(crate) steps: usize,
    step_size: f64,
    size: Option<usize>,
    seed: u64,
}

impl ActivationMaximization {
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

    /// Climbs from noise for each of some `filters` of the base's layer `number`.
    pub(crate) fn climb(&self, base: &Base, number: usize, filters: &[usize]) -> Result<Climbed> {
        let layer = &base.layers()[number];
        check_filters(layer, filters)?;
        if !(self.step_size > 0.0 && self.step_size <= LARGEST_STEP) {
            return Err(Error::Argument {
                argument: "step_size",
                value: self.step_size.to_string(),
                expected: format!("it must be above 0 and {LARGEST_STEP:e} at most"),
            });
        }
        let size = self.size.unwrap_or(base.size().min(SIDE));
        base.architecture().check_size(size)?;
        let bytes = (size * size * 3 * 4).saturating_mul(filters.len());
        let what = format!("{} patterns of {size} x {size} pixels", filters.len());
        // The start, the pattern, and what is made of both on the way.
        check_room(
            base.device(),
            bytes.saturating_mul(3),
            &what,
            "Ask for fewer or smaller ones",
        )?;
        let numbers = filters.iter().map(|&n| n as i64).collect::<Vec<_>>();
        let prepared = || {
            let start = self.start(filters.len(), size)?;
            let numbers = Tensor::f_from_slice(&numbers)?;
            Ok((
                start.f_to_device(base.device())?,
                numbers.f_to_device(base.device())?,
            ))
        };
        let (start, filters) = prepared().map_err(Error::compute("making noise"))?;
        let hill = Hill {
            base,
            number,
            fitting: RefCell::new(FittingBatch::new(base.pictures_at_once())),
            filters,
            step_size: self.step_size,
            doing: format!("patterns of {}", layer.name),
        };
        let before = hill.heights(&start)?;
        let (pixels, steps) = hill.climb(start, self.steps)?;
        let after = hill.heights(&pixels)?;
        Ok(Climbed {
            pixels,
            activations: before.into_iter().zip(after).collect(),
            steps,
        })
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

impl<T: Into<LayerId>> From<T> for ActivationMaximization {
    fn from(layer: T) -> Self {
        Self::at(layer)
    }
}

/// Where a climb has led.
pub(crate) struct Climbed {
    /// (N, H, W, 3), f32.
    pub(crate) pixels: Tensor,
    /// For each filter the mean of its map, over the noise and over its pattern.
    pub(crate) activations: Vec<(f64, f64)>,
    /// How many steps were taken.
    pub(crate) steps: usize,
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
    /// The number of the layer.
    number: usize,
    /// How many pictures fit at once.
    fitting: RefCell<FittingBatch>,
    /// The filter of each picture, [N].
    filters: Tensor,
    step_size: f64,
    doing: String,
}

impl Hill<'_> {
    /// Steps upwards from `pixels`, (N, H, W, 3): where they lead, and how many they were.
    fn climb(&self, mut pixels: Tensor, steps: usize) -> Result<(Tensor, usize)> {
        let progress = self.base.shown();
        let mut task = progress
            .task(&self.doing, "steps", Some(steps))
            .shown_at_once();
        let asked = || progress.check(&self.doing);
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
        numbers_of(&heights?).map_err(Error::compute("reading activations"))
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
        let numbers = count_up_to(count as usize).and_then(|all| all.f_to_device(pixels.device()));
        let numbers = numbers.map_err(Error::compute(&self.doing))?;
        let mut parts = Vec::new();
        for first in (0..count).step_by(at_once as usize) {
            asked()?;
            let part = || {
                let rows = numbers.f_narrow(0, first, at_once.min(count - first))?;
                self.fitting.borrow_mut().run(&rows, &|rows| {
                    let own = self.filters.f_index_select(0, rows)?;
                    pass(&pixels.f_index_select(0, rows)?, &own)
                })
            };
            let part = part();
            parts.push(part.map_err(Error::batch(&self.doing, self.base.pictures_at_once()))?);
        }
        Tensor::f_cat(&parts, 0).map_err(Error::compute(&self.doing))
    }

    /// The mean of each picture's own map, [N] in f32.
    fn height(&self, pixels: &Tensor, own: &Tensor) -> std::result::Result<Tensor, TchError> {
        let input = self.base.input(pixels)?;
        let maps = self.base.outputs_of(&input, &[self.number])?;
        Self::means(&maps[0], own)
    }

    /// The same before the layer's ReLU, if it has one.
    fn height_before_relu(
        &self,
        pixels: &Tensor,
        own: &Tensor,
    ) -> std::result::Result<Tensor, TchError> {
        let input = self.base.input(pixels)?;
        Self::means(&self.base.sums_of(&input, self.number)?, own)
    }

    fn means(maps: &Tensor, own: &Tensor) -> std::result::Result<Tensor, TchError> {
        let means = maps.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?;
        means.f_gather(1, &own.f_view([-1, 1])?, false)?.f_view(-1)
    }

    /// The pixels one step further.
    fn stepped(&self, pixels: &Tensor, own: &Tensor) -> std::result::Result<Tensor, TchError> {
        let pixels = pixels.f_detach()?.f_set_requires_grad(true)?;
        let gradients = tch::with_grad(|| {
            // No picture has a part in another's height: the gradient of the sum is each one's own.
            let sum = self.height_before_relu(&pixels, own)?.f_sum(Kind::Float)?;
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
            .f_add(&scalar(EPSILON)?)?;
        let step = gradient.f_div(&size)?.f_mul(&scalar(self.step_size)?)?;
        pixels.f_detach()?.f_add(&step)
    }
}

/// What is done with pictures (N, H, W, 3) and the filter of each.
type Pass<'a> = dyn Fn(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError> + 'a;

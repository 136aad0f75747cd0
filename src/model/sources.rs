//! Pictures and features in memory as the sources of batches.

use std::ops::Range;

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::device::sent;
use crate::machine::fitting_batch::FittingBatch;
use crate::machine::memory::has_room;
use crate::machine::scratch;
use crate::network::base::Base;
use crate::network::outputs::lesson_order;
use crate::pictures::augment::Augment;
use crate::pictures::dataset::Dataset;
use crate::pictures::plan::Plan;
use crate::pictures::stream::Pixels;
use crate::training::fit::Fit;
use crate::training::loss::Targets;
use crate::training::order::Draws;
use crate::training::source::{Batch, Failure, Source};

/// Outputs of the frozen layers are kept where they take no more than this: block 4's for the lesson's
/// 1,000 validation pictures take 166 MB in f32, block 1's would take 1.4 GB.
const MOST_OUTPUT_BYTES: usize = 1 << 30;

/// An epoch's pictures and how many of them have been handed over.
#[derive(Default)]
struct Epoch {
    /// Their numbers, on the device; none where they come as they lie.
    pictures: Option<Tensor>,
    /// What they should be taken for, in the epoch's order.
    targets: Option<Targets>,
    done: usize,
}

impl Epoch {
    fn begin(&mut self, pictures: &[i64], targets: &Targets) -> Result<()> {
        let lie_like_this = pictures.iter().copied().eq(0..pictures.len() as i64);
        let order = || {
            if lie_like_this {
                return Ok((None, targets.narrow(0, pictures.len())?));
            }
            let rows = Tensor::f_from_slice(pictures)?.f_to_device(targets.device())?;
            let targets = targets.select(&rows)?;
            Ok((Some(rows), targets))
        };
        let (rows, targets) =
            order().map_err(Error::compute("ordering the pictures of an epoch"))?;
        *self = Self {
            pictures: rows,
            targets: Some(targets),
            done: 0,
        };
        Ok(())
    }

    /// The rows of `count` pictures from place `first` of the epoch on; a view where they lie side by side.
    fn rows(
        &self,
        all: &Tensor,
        first: usize,
        count: usize,
    ) -> std::result::Result<Tensor, TchError> {
        let (first, count) = (first as i64, count as i64);
        match &self.pictures {
            None => all.f_narrow(0, first, count),
            Some(rows) => all.f_index_select(0, &rows.f_narrow(0, first, count)?),
        }
    }

    /// How many pictures have not been handed over.
    fn left(&self) -> usize {
        let all = self.targets.as_ref().map_or(0, Targets::len);
        all.saturating_sub(self.done)
    }

    /// Hands over the next `count` pictures: their first place, and what they should be taken for.
    fn next(&mut self, count: usize) -> std::result::Result<(usize, Targets), TchError> {
        let first = self.done;
        self.done += count;
        let targets = self.targets.as_ref();
        let targets = targets.ok_or_else(|| TchError::Shape("no epoch has begun".into()))?;
        Ok((first, targets.narrow(first, count)?))
    }
}

/// What never changes in the course of a run: features, or the outputs of frozen layers.
pub(crate) struct Stored {
    /// Rows (N, width), or outputs of layers, (N, H, W, C) each.
    inputs: Vec<Tensor>,
    targets: Targets,
    epoch: Epoch,
}

impl Stored {
    /// Each of the `inputs` has a row for each of the `targets`.
    pub(crate) fn new(inputs: Vec<Tensor>, targets: Targets) -> Self {
        Self {
            inputs,
            targets,
            epoch: Epoch::default(),
        }
    }

    /// The rows of some pictures that lie side by side; they share the memory.
    pub(crate) fn narrow(&self, pictures: Range<usize>) -> Result<Self> {
        let (first, count) = (pictures.start, pictures.len());
        let part = || -> std::result::Result<Self, TchError> {
            let inputs = self.inputs.iter();
            let inputs = inputs.map(|input| input.f_narrow(0, first as i64, count as i64));
            let inputs = inputs.collect::<std::result::Result<_, _>>()?;
            Ok(Self::new(inputs, self.targets.narrow(first, count)?))
        };
        part().map_err(Error::compute("sharing out pictures"))
    }
}

impl Source for Stored {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn begin(&mut self, pictures: &[i64], _: Option<&Draws>) -> Result<()> {
        self.epoch.begin(pictures, &self.targets)
    }

    fn next(&mut self, count: usize) -> std::result::Result<Batch, Failure> {
        let (first, targets) = self.epoch.next(count)?;
        let device = self.targets.device();
        let inputs = self.inputs.iter().map(|input| {
            // They lie elsewhere where they did not fit on the device.
            let some = sent(&self.epoch.rows(input, first, count)?, device)?;
            match some.dim() {
                // Seen as [N, C, H, W] this is libtorch's channels_last.
                4 => some.f_permute([0, 3, 1, 2]),
                _ => Ok(some),
            }
        });
        Ok(Batch {
            inputs: inputs.collect::<std::result::Result<_, TchError>>()?,
            targets,
        })
    }
}

/// Pictures as bytes, kept on the device or read ahead from the disk, which pass the frozen layers in each epoch, in a
/// new version if they are augmented.
struct Pictures<'a> {
    pixels: Pixels,
    targets: Targets,
    base: &'a Base,
    trainable_from: usize,
    augment: &'a Augment,
    /// The epoch's transforms.
    plan: Option<Plan>,
    epoch: Epoch,
    /// How many pictures pass the frozen layers at once.
    fitting: FittingBatch,
    /// What has passed them before its batch's turn.
    ahead: Ahead,
}

/// The epoch's next pictures behind the frozen layers.
#[derive(Default)]
struct Ahead {
    outputs: Vec<Tensor>,
    /// How many of them have been handed over.
    done: usize,
}

impl Ahead {
    /// How many have not been handed over.
    fn left(&self) -> usize {
        let all = self.outputs.first().map_or(0, |output| output.size()[0]);
        (all as usize).saturating_sub(self.done)
    }

    /// Adds more pictures behind those that are left.
    fn add(&mut self, outputs: Vec<Tensor>) -> std::result::Result<(), TchError> {
        let parts = match self.left() {
            0 => vec![outputs],
            left => vec![self.take(left)?, outputs],
        };
        *self = Self {
            outputs: joined(parts)?,
            done: 0,
        };
        Ok(())
    }

    fn take(&mut self, count: usize) -> std::result::Result<Vec<Tensor>, TchError> {
        let next = |output: &Tensor| output.f_narrow(0, self.done as i64, count as i64);
        let outputs = self.outputs.iter().map(next).collect();
        self.done += count;
        outputs
    }
}

impl Pictures<'_> {
    /// How many pictures go on when a batch of `count` lacks `missing`. On a GPU those of the next batches too, as many as
    /// keep it busy: for a batch of 20 it takes longer to say what is to be done than to do it.
    fn next_passage(&self, count: usize, missing: usize) -> usize {
        if !self.base.device().is_cuda() {
            return missing;
        }
        let batches = self.base.pictures_at_once() / count.max(1);
        let wanted = missing.max(batches * count);
        wanted.min(self.epoch.left().saturating_sub(self.ahead.left()))
    }

    /// Sends the next `count` pictures, from place `first` of the epoch on, through the frozen layers.
    fn pass(&mut self, first: usize, count: usize) -> std::result::Result<(), Failure> {
        let bytes = match &mut self.pixels {
            Pixels::Kept(all) => self.epoch.rows(all, first, count)?,
            Pixels::Streamed(stream) => sent(&stream.next(count)?, self.base.device())?,
        };
        let pixels = match &self.plan {
            Some(plan) => plan.apply(&bytes, first)?,
            None => bytes,
        };
        let pass = |pixels: &Tensor| {
            let input = self.base.input(pixels)?;
            self.base.outputs_before(&input, self.trainable_from)
        };
        let mut parts = Vec::new();
        if self.plan.is_some() && !self.base.device().is_cuda() {
            // A training step that does not fit names its batch size; a measurement, and what goes ahead of its batch on a
            // GPU, goes on in parts.
            parts.push(pass(&pixels)?);
        } else {
            self.fitting.each(&pixels, &mut |_, some| {
                parts.push(pass(some)?);
                Ok(())
            })?;
        }
        Ok(self.ahead.add(joined(parts)?)?)
    }
}

impl Source for Pictures<'_> {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn begin(&mut self, pictures: &[i64], draws: Option<&Draws>) -> Result<()> {
        self.epoch.begin(pictures, &self.targets)?;
        self.pixels.begin(pictures)?;
        self.ahead = Ahead::default();
        self.plan = None;
        if let Some(draws) = draws.filter(|_| !self.augment.is_none()) {
            let size = (self.base.size(), self.base.size());
            let mut random = draws.random("augmentation");
            let mut transforms = self.augment.draw(draws.pictures, size, &mut random);
            if let Some(places) = draws.places() {
                let own = places
                    .iter()
                    .filter_map(|&place| transforms.get(place as usize));
                transforms = own.cloned().collect();
            }
            let plan = self.augment.plan(&transforms, size, self.base.device());
            self.plan = Some(plan.map_err(Error::compute("drawing the augmentation of an epoch"))?);
        }
        Ok(())
    }

    fn next(&mut self, count: usize) -> std::result::Result<Batch, Failure> {
        let _no_grad = tch::no_grad_guard();
        let missing = count.saturating_sub(self.ahead.left());
        if missing > 0 {
            let passage = self.next_passage(count, missing);
            self.pass(self.epoch.done + self.ahead.left(), passage)?;
        }
        let (_, targets) = self.epoch.next(count)?;
        Ok(Batch {
            inputs: self.ahead.take(count)?,
            targets,
        })
    }
}

/// The tensors of several parts as those of the whole.
fn joined(mut parts: Vec<Vec<Tensor>>) -> std::result::Result<Vec<Tensor>, TchError> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let tensors = parts.first().map_or(0, Vec::len);
    let whole = |number: usize| {
        let of_parts = parts.iter().map(|part| &part[number]).collect::<Vec<_>>();
        Tensor::f_cat(&of_parts, 0)
    };
    (0..tensors).map(whole).collect()
}

/// The pictures of `dataset` for a base that learns from layer number `trainable_from` on, prepared for
/// a whole run as far as they can be: what is never augmented passes the frozen layers once, if their
/// outputs are no more than the pixels; everything else is kept as bytes. What does not fit into memory, or is not to
/// be kept there ([`Fit::cache`]), comes from the disk in each epoch. `name` is "training" or "validation".
///
/// The processes of `world` share the passage through the frozen layers. What is kept as bytes one process keeps; of
/// several each reads its own pictures in each epoch.
pub(crate) fn pictures<'a>(
    base: &'a Base,
    trainable_from: usize,
    name: &str,
    dataset: &Dataset,
    augment: &'a Augment,
    targets: Targets,
    fit: &Fit,
) -> Result<Box<dyn Source + 'a>> {
    let (keep, progress, world) = (fit.cache, &fit.progress, &fit.world);
    let _no_grad = tch::no_grad_guard();
    let frozen = &base.weights()[..trainable_from];
    let is_frozen = frozen.iter().any(|weights| weights.num_parameters() > 0);
    let crossing = base.graph().crossing(trainable_from);
    let shapes = crossing
        .iter()
        .map(|&number| &base.layers()[number].output_shape);
    let values = shapes.clone().map(|shape| shape.iter().product::<usize>());
    let bytes = dataset.len() * values.sum::<usize>() * base.precision().bytes();
    let pixels = dataset.len() * base.size() * base.size() * 3;
    if !augment.is_none() || !is_frozen || bytes > pixels.max(MOST_OUTPUT_BYTES) {
        return Ok(Box::new(Pictures {
            pixels: Pixels::new(
                dataset,
                base.size(),
                base.device(),
                keep && world.is_alone(),
                progress,
            )?,
            targets,
            base,
            trainable_from,
            augment,
            plan: None,
            epoch: Epoch::default(),
            fitting: FittingBatch::new(base.pictures_at_once()),
            ahead: Ahead::default(),
        }));
    }
    let what = format!("the outputs of {} pictures", dataset.len());
    let options = (base.precision().kind(), base.device());
    let in_memory = (keep || bytes <= MOST_OUTPUT_BYTES) && has_room(base.device(), bytes);
    let stored = shapes
        .map(|shape| {
            let size = [&[dataset.len()], &shape[..]].concat();
            let size = size.iter().map(|&n| n as i64).collect::<Vec<_>>();
            match in_memory {
                true => scratch::room_for(&size, options, &what),
                false => scratch::in_file(&size, options.0, &what),
            }
        })
        .collect::<Result<Vec<_>>>();
    let stored = world.agree(stored)?;
    let doing = format!("{name} pictures through the frozen layers, once");
    let share = world.share(dataset.len());
    let own = match world.is_alone() {
        true => dataset.clone(),
        false => dataset.select(&share.clone().collect::<Vec<_>>()),
    };
    let task = progress.task(&doing, "pictures", Some(own.len()));
    let mut task = task.shown_at_once();
    let at_once = base.pictures_at_once();
    let mut fitting = FittingBatch::new(at_once);
    let passed = own.for_each_tensor(base.size(), at_once, |first, pixels| {
        progress.check(&doing)?;
        let store = &mut |place: i64, pixels: &Tensor| {
            let outputs = base.outputs_before(&base.input(pixels)?, trainable_from)?;
            for (stored, output) in stored.iter().zip(&outputs) {
                let place = (share.start + first) as i64 + place;
                let mut rows = stored.f_narrow(0, place, pixels.size()[0])?;
                rows.f_copy_(&lesson_order(output)?)?;
            }
            Ok(())
        };
        fitting
            .each(&pixels, store)
            .map_err(Error::batch(doing.clone(), at_once))?;
        task.done(first + pixels.size()[0] as usize);
        Ok(())
    });
    world.agree(passed)?;
    task.finish();
    for stored in &stored {
        world
            .hand_round(stored, share.clone())
            .map_err(Error::compute(&doing))?;
    }
    Ok(Box::new(Stored::new(stored, targets)))
}

//! Pictures and features in memory as the sources of batches.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::network::base::{Base, in_halves, lesson_order};
use crate::pictures::augment::Augment;
use crate::pictures::dataset::Dataset;
use crate::pictures::plan::Plan;
use crate::show::notebook::Progress;
use crate::training::loss::Targets;
use crate::training::order::Draws;
use crate::training::source::{Batch, Source};

/// Outputs of the frozen layers are kept where they take no more than this: block 4's for the lesson's
/// 1,000 validation pictures take 166 MB in f32, block 1's would take 1.4 GB.
const MOST_OUTPUT_BYTES: usize = 1 << 30;

/// An epoch's pictures and how many of them have been handed over.
#[derive(Default)]
struct Epoch {
    /// Their numbers, on the device; none where they come as they lie.
    pictures: Option<Tensor>,
    done: usize,
}

impl Epoch {
    fn begin(&mut self, pictures: &[i64], targets: &Targets) -> Result<()> {
        let lie_like_this = pictures.iter().copied().eq(0..pictures.len() as i64);
        self.pictures = None;
        self.done = 0;
        if !lie_like_this {
            let pictures = Tensor::f_from_slice(pictures)
                .and_then(|pictures| pictures.f_to_device(targets.device()))
                .map_err(Error::compute("ordering the pictures of an epoch"))?;
            self.pictures = Some(pictures);
        }
        Ok(())
    }

    /// The next `count` pictures out of all, with their targets, and the place of the first in the epoch.
    fn next(
        &mut self,
        all: &Tensor,
        targets: &Targets,
        count: usize,
    ) -> std::result::Result<(Tensor, Targets, usize), TchError> {
        let first = self.done;
        let place = (first as i64, count as i64);
        let (some, targets) = match &self.pictures {
            // A view, no copy.
            None => (
                all.f_narrow(0, place.0, place.1)?,
                targets.narrow(first, count)?,
            ),
            Some(pictures) => {
                let rows = pictures.f_narrow(0, place.0, place.1)?;
                (all.f_index_select(0, &rows)?, targets.select(&rows)?)
            }
        };
        self.done += count;
        Ok((some, targets, first))
    }
}

/// What never changes in the course of a run: features, or the outputs of frozen layers.
pub(crate) struct Stored {
    /// Rows (N, width), or outputs of a layer (N, H, W, C).
    input: Tensor,
    targets: Targets,
    epoch: Epoch,
}

impl Stored {
    /// `input` has a row for each of the `targets`.
    pub(crate) fn new(input: Tensor, targets: Targets) -> Self {
        Self {
            input,
            targets,
            epoch: Epoch::default(),
        }
    }
}

impl Source for Stored {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn begin(&mut self, pictures: &[i64], _: Option<&Draws>) -> Result<()> {
        self.epoch.begin(pictures, &self.targets)
    }

    fn next(&mut self, count: usize) -> std::result::Result<Batch, TchError> {
        let (input, targets, _) = self.epoch.next(&self.input, &self.targets, count)?;
        Ok(Batch {
            inputs: vec![match input.dim() {
                // Seen as [N, C, H, W] this is libtorch's channels_last.
                4 => input.f_permute([0, 3, 1, 2])?,
                _ => input,
            }],
            targets,
        })
    }
}

/// Pictures as bytes on the device, which pass the frozen layers in each epoch, in a new version if they
/// are augmented.
struct Pictures<'a> {
    /// (N, H, W, 3)
    bytes: Tensor,
    targets: Targets,
    base: &'a Base,
    trainable_from: usize,
    augment: &'a Augment,
    /// The epoch's transforms.
    plan: Option<Plan>,
    epoch: Epoch,
}

impl Source for Pictures<'_> {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn begin(&mut self, pictures: &[i64], draws: Option<&Draws>) -> Result<()> {
        self.epoch.begin(pictures, &self.targets)?;
        self.plan = None;
        if let Some(draws) = draws.filter(|_| !self.augment.is_none()) {
            let size = (self.base.size(), self.base.size());
            let mut random = draws.random("augmentation");
            let transforms = self.augment.draw(draws.pictures, size, &mut random);
            let plan = self.augment.plan(&transforms, size, self.base.device());
            self.plan = Some(plan.map_err(Error::compute("drawing the augmentation of an epoch"))?);
        }
        Ok(())
    }

    fn next(&mut self, count: usize) -> std::result::Result<Batch, TchError> {
        let _no_grad = tch::no_grad_guard();
        let (bytes, targets, first) = self.epoch.next(&self.bytes, &self.targets, count)?;
        let pixels = match &self.plan {
            Some(plan) => plan.apply(&bytes, first)?,
            None => bytes,
        };
        let pass = |pixels: &Tensor| {
            let input = self.base.input(pixels)?;
            self.base.forward_before(&input, self.trainable_from)
        };
        // A training step that does not fit names its batch size; a measurement goes on in parts.
        let output = match &self.plan {
            Some(_) => pass(&pixels)?,
            None => in_halves(&pixels, &pass)?,
        };
        Ok(Batch {
            inputs: vec![output],
            targets,
        })
    }
}

/// The pictures of `dataset` for a base that learns from layer number `trainable_from` on, prepared for
/// a whole run as far as they can be: what is never augmented passes the frozen layers once, if their
/// outputs fit; everything else is kept as bytes. `name` is "training" or "validation".
pub(crate) fn pictures<'a>(
    base: &'a Base,
    trainable_from: usize,
    name: &str,
    dataset: &Dataset,
    augment: &'a Augment,
    targets: Targets,
    progress: &Progress,
) -> Result<Box<dyn Source + 'a>> {
    let _no_grad = tch::no_grad_guard();
    let frozen = base.weights_before(trainable_from);
    let before = trainable_from.saturating_sub(1);
    let (height, width, channels) = match base.layers()[before].output_shape[..] {
        [height, width, channels] => (height, width, channels),
        _ => (0, 0, 0),
    };
    let bytes = dataset.len() * height * width * channels * base.precision().bytes();
    let pixels = dataset.len() * base.size() * base.size() * 3;
    if !augment.is_none() || frozen == 0 || bytes > pixels.max(MOST_OUTPUT_BYTES) {
        return Ok(Box::new(Pictures {
            bytes: dataset.to_tensor(base.size(), base.device(), progress)?,
            targets,
            base,
            trainable_from,
            augment,
            plan: None,
            epoch: Epoch::default(),
        }));
    }
    let what = format!("the outputs of {} pictures", dataset.len());
    crate::machine::device::check_room(base.device(), bytes, &what)?;
    let size = [dataset.len(), height, width, channels].map(|n| n as i64);
    let options = (base.precision().kind(), base.device());
    let stored = Tensor::f_empty(size, options)
        .map_err(Error::compute("making room for the frozen layers' outputs"))?;
    let doing = format!("{name} pictures through the frozen layers, once");
    let mut task = progress.task(&doing, "pictures", Some(dataset.len()));
    let at_once = base.pictures_at_once();
    dataset.for_each_tensor(base.size(), at_once, |first, pixels| {
        progress.check(&doing)?;
        let count = pixels.size()[0];
        let pass = || {
            let output = in_halves(&pixels, &|pixels| {
                lesson_order(&base.forward_before(&base.input(pixels)?, trainable_from)?)
            })?;
            stored.f_narrow(0, first as i64, count)?.f_copy_(&output)
        };
        pass().map_err(Error::batch(doing.clone(), at_once))?;
        task.done(first + count as usize);
        Ok(())
    })?;
    task.finish();
    Ok(Box::new(Stored::new(stored, targets)))
}

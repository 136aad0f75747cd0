//! Training a classifier end to end: with the base frozen, or from some layer on.
//!
//! Layers before the border run without a graph, so that memory for activations is only taken where
//! gradients flow, and a step of fine-tuning costs little more than a forward pass. Pictures are decoded
//! once and kept as bytes on the device; what is never augmented, such as the validation pictures,
//! passes the frozen layers once for the whole run. Weights that learn are f32, whatever the base
//! computes in.

use std::path::Path;

use serde_json::{Value, json};
use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::fitting_batch::FittingBatch;
use crate::model::classifier::{Classifier, Unfinished, logits_of};
use crate::model::head::{Head, no_run};
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::operation::LayerKind;
use crate::network::outputs::lesson_order;
use crate::network::weights::layer_weights::LayerWeights;
use crate::pictures::augment::Augment;
use crate::pictures::dataset::{Data, Dataset};
use crate::pictures::transform::Plan;
use crate::show::notebook::Progress;
use crate::show::saved::Saved;
use crate::training::checkpoint::Run;
use crate::training::evaluation::Evaluation;
use crate::training::fit::Fit;
use crate::training::history::History;
use crate::training::learner::{self, Draws, Learner, Part, Variable};
use crate::training::loss::{Step, Targets};
use crate::training::rate_finder::{self, LearningRates};

/// Outputs of the frozen layers are kept where they take no more than this: block 4's for the lesson's
/// 1,000 validation pictures take 166 MB in f32, block 1's would take 1.4 GB.
const MOST_OUTPUT_BYTES: usize = 1 << 30;

impl Classifier {
    /// Freezes the base and trains the head end to end: the lesson's part 2.
    ///
    /// Every picture passes the base in each epoch, in a new version if `augment` makes any; without
    /// augmentation it passes once. Validation pictures are never augmented.
    ///
    /// # Errors
    /// As [`Classifier::fit`].
    pub fn train_frozen(&mut self, data: &Data, augment: &Augment, fit: &Fit) -> Result<History> {
        let border = self.base.layers().len();
        self.train(border, data, augment, fit, None)
    }

    /// Trains the base from a layer on, and the head with it: the lesson's part 3 with
    /// `block5_conv1`. Everything before the layer stays frozen. Choose a small learning rate, such as
    /// 1e-5, and train the head first.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers; otherwise as [`Classifier::fit`].
    pub fn fine_tune(
        &mut self,
        from_layer: &str,
        data: &Data,
        augment: &Augment,
        fit: &Fit,
    ) -> Result<History> {
        let border = self.base.graph().number(from_layer)?;
        self.train(border, data, augment, fit, None)
    }

    /// Trains what is trainable at the moment, and measures on the validation pictures after each
    /// epoch. Call it again to go on; the optimiser starts afresh then.
    ///
    /// A stop ends the run at the next batch: the history has the whole epochs, the model keeps what it
    /// has learned.
    ///
    /// # Errors
    /// [`Error::Argument`] for options that make no sense, [`Error::Mismatch`] if the pictures are of
    /// other classes, [`Error::Pictures`] if some cannot be decoded, [`Error::OutOfMemory`] names the
    /// batch size to try, [`Error::NotFinite`] if training diverges. The model then has the weights of
    /// its last good epoch.
    pub fn fit(&mut self, data: &Data, augment: &Augment, fit: &Fit) -> Result<History> {
        self.train(self.border, data, augment, fit, None)
    }

    /// Goes on with the run whose checkpoint this model was [loaded](Classifier::load) from, with the
    /// numbers that it would have had without the break. `fit` must have the options of that run; its
    /// `epochs` are the length of the whole. The history, too, is that of the whole run.
    ///
    /// # Errors
    /// As [`Classifier::fit`]; [`Error::Mismatch`] if there is no such run or an option differs.
    pub fn resume(&mut self, data: &Data, fit: &Fit) -> Result<History> {
        let unfinished = self.unfinished.take().ok_or_else(no_run)?;
        let (border, augment) = (unfinished.border, &unfinished.augment);
        let epochs = self.history.epochs.len();
        let outcome = self.train(border, data, augment, fit, Some(&unfinished));
        if outcome.is_err() && self.history.epochs.len() == epochs {
            // Nothing has happened yet: the next call may have better options.
            self.unfinished = Some(unfinished);
        }
        outcome
    }

    /// Head first, then the last block: the whole transfer in one line, for whoever knows the lesson.
    ///
    /// A head of 256 units learns on pictures as they are, which pass the base once; then the last
    /// block learns with it on augmented ones ([`Augment::lesson`]), at half the learning rate. Each
    /// takes the epochs of `fit`; the history has both, one after the other. A checkpoint is written in
    /// the second part only. Where that part fails the model of the first is given back, and the
    /// history's ending says so.
    ///
    /// # Errors
    /// As [`Classifier::new`] and [`Classifier::fit`].
    pub fn transfer(base: &Base, data: &Data, fit: &Fit) -> Result<(Self, History)> {
        let mut model = Self::new(base, Head::dense(256), data.train.classes())?;
        let first = Fit {
            checkpoint: None,
            ..fit.clone()
        };
        let mut history = model.train_frozen(data, &Augment::none(), &first)?;
        let is_stopped = |ending: String| ending.starts_with("stopped");
        if !history.ending().is_some_and(is_stopped) {
            let layers = base.layers().iter();
            let pools = layers
                .enumerate()
                .filter(|(_, layer)| layer.kind == LayerKind::MaxPooling2D);
            let pools = pools.map(|(number, _)| number).collect::<Vec<_>>();
            // The layer after the last pooling but one.
            let border = pools.iter().rev().nth(1).map_or(0, |number| number + 1);
            let border = base.layers()[border].name.clone();
            let second = Fit {
                learning_rate: fit.learning_rate / 2.0,
                head_learning_rate: fit.head_learning_rate.map(|rate| rate / 2.0),
                ..fit.clone()
            };
            match model.fine_tune(&border, data, &Augment::lesson(), &second) {
                Ok(tuned) => history.extend(&tuned),
                Err(error) => {
                    let ending = format!("fine-tuning failed: {error}");
                    fit.progress.line(&format!("Note: {ending}"));
                    history.end(ending);
                }
            }
        }
        Ok((model, history))
    }

    /// Tries learning rates from tiny to huge on what is trainable at the moment and suggests one; the
    /// model stays as it is. Batch size, optimiser and seed are those of `fit`; its `steps` say how many
    /// rates are tried, 100 unless set.
    ///
    /// # Errors
    /// As [`Classifier::fit`]; [`Error::Stopped`] if the work was asked to stop.
    pub fn lr_find(&self, data: &Data, augment: &Augment, fit: &Fit) -> Result<LearningRates> {
        let nothing = data.validation.take(1);
        let mut tuner = self.tuner(self.border, &data.train, &nothing, augment, fit)?;
        rate_finder::find(fit, &mut tuner)
    }

    fn train(
        &mut self,
        border: usize,
        data: &Data,
        augment: &Augment,
        fit: &Fit,
        from: Option<&Unfinished>,
    ) -> Result<History> {
        fit.check()?.check_place()?;
        augment.check()?;
        self.check_pictures(&data.train, &data.validation)?;
        let run = from.map(|unfinished| &unfinished.run);
        // Before minutes are spent on the pictures.
        if let Some(run) = run {
            run.check(fit, &self.facts(&data.train, &data.validation))?;
        }
        let precision = self.base.precision();
        self.base
            .set_precision(fit.precision.unwrap_or(precision))?;
        let mut open = self.base.layers().iter().skip(border);
        let opens_base = open.any(|layer| layer.has_weights());
        let is_new = self.base.architecture() == Architecture::SmallConvNet;
        if opens_base && !is_new && !self.head.is_trained() {
            fit.progress.line(
                "Note: the head has not learned anything yet. Its first, large gradients will spoil the \
                 pretrained layers that learn with it: call `train_frozen` before this",
            );
        }
        let notes = data.train.notes().iter().chain(data.validation.notes());
        let mut history = History::new(notes.chain(&self.base.origin().notes));
        let mut tuner = match self.tuner(border, &data.train, &data.validation, augment, fit) {
            Ok(tuner) => tuner,
            // Stopped while the pictures were read: a run without epochs.
            Err(Error::Stopped { .. }) if from.is_none() => {
                history.end("stopped before epoch 1".into());
                fit.progress.line("Note: stopped before epoch 1");
                return Ok(history);
            }
            Err(error) => {
                self.base.set_precision(precision)?;
                return Err(error);
            }
        };
        let outcome = learner::run(fit, &mut tuner, &mut history, run);
        let trained = tuner.computing_weights()?;
        drop(tuner);
        // Also after an error: the loop has put the last good weights back.
        let kept = self.base.set_weights(border, &trained);
        // The epochs of an earlier run that this one goes on with were counted when it was loaded.
        let learned = history.after(run.map_or(0, |stored| stored.epochs.len()));
        if learned.steps > 0 || outcome.is_ok() {
            self.border = border;
            self.interpolation = data.train.interpolation;
            self.head.count(&learned);
            self.history.extend(&learned);
            if from.is_none() {
                // The weights have moved away from what a checkpoint could go on with.
                self.unfinished = None;
            }
        } else {
            self.base.set_precision(precision)?;
        }
        outcome.and(kept).map(|()| history)
    }

    /// Refuses pictures that no run can use.
    fn check_pictures(&self, train: &Dataset, validation: &Dataset) -> Result<()> {
        for dataset in [train, validation] {
            self.check_classes(dataset)?;
            if dataset.is_empty() {
                return Err(Error::Mismatch {
                    what: "pictures".into(),
                    expected: "some to train and some to validate on".into(),
                    found: "none".into(),
                    remedy: "Take at least one of each".into(),
                });
            }
        }
        if train.interpolation != validation.interpolation {
            return Err(Error::Mismatch {
                what: "the interpolation of the validation pictures".into(),
                expected: format!("{}, as for training", train.interpolation),
                found: validation.interpolation.to_string(),
                remedy: "Set the same with `interpolation` on both".into(),
            });
        }
        Ok(())
    }

    /// What a run that goes on must have in common with its beginning beside the options.
    fn facts(&self, train: &Dataset, validation: &Dataset) -> Value {
        let counts = |dataset: &Dataset| dataset.counts().into_iter().map(|(_, n)| n).collect();
        let [train_counts, validation_counts]: [Vec<usize>; 2] = [train, validation].map(counts);
        json!({
            "precision": self.base.precision(),
            "interpolation": train.interpolation,
            "training pictures": train_counts,
            "validation pictures": validation_counts,
        })
    }

    fn tuner<'a>(
        &'a self,
        border: usize,
        train: &Dataset,
        validation: &Dataset,
        augment: &'a Augment,
        fit: &'a Fit,
    ) -> Result<Tuner<'a>> {
        fit.check()?;
        augment.check()?;
        self.check_pictures(train, validation)?;
        let masters = self.base.weights()[border..]
            .iter()
            .map(|weights| Master::new(weights, self.base.device()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("copying the layers that learn"))?;
        let base = &self.base;
        let read = |name, dataset, keep_bytes| {
            let _no_grad = tch::no_grad_guard();
            Pictures::read(base, border, name, dataset, keep_bytes, &fit.progress)
        };
        Ok(Tuner {
            model: self,
            border,
            masters,
            targets: self.head.targets(train.labels(), &fit.class_weights)?,
            train: read("training", train, !augment.is_none())?,
            validation_targets: self.head.targets(validation.labels(), &[])?,
            validation: read("validation", validation, false)?,
            facts: self.facts(train, validation),
            augment,
            progress: &fit.progress,
            plan: None,
            masks: None,
        })
    }
}

/// The weights of a layer that learns: f32, contiguous, a kernel as [out, 3, 3, in], which seen as
/// [out, in, 3, 3] is libtorch's channels_last.
struct Master(LayerWeights);

impl Master {
    /// A copy on the device.
    fn new(weights: &LayerWeights, device: Device) -> std::result::Result<Self, TchError> {
        let copied = |tensor: &Tensor| {
            let there = match tensor.dim() {
                4 => tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?,
                _ => tensor.shallow_clone(),
            };
            there.f_to_device(device)?.f_detach_copy()
        };
        weights.map(copied).map(Self)
    }

    /// The layer as convolutions take it, in f32: a view.
    fn weights(&self) -> std::result::Result<LayerWeights, TchError> {
        self.0.map(|tensor| match tensor.dim() {
            4 => tensor.f_permute([0, 3, 1, 2]),
            _ => Ok(tensor.shallow_clone()),
        })
    }
}

/// Pictures on the device, as far as they can be prepared for a whole run.
enum Pictures {
    /// (N, H, W, 3) bytes.
    Bytes(Tensor),
    /// What crosses the border from the frozen layers, (N, h, w, C) each, in the precision of the base.
    Outputs(Vec<Tensor>),
}

impl Pictures {
    fn read(
        base: &Base,
        border: usize,
        name: &str,
        dataset: &Dataset,
        keep_bytes: bool,
        progress: &Progress,
    ) -> Result<Self> {
        let is_frozen = base.weights()[..border]
            .iter()
            .any(|weights| weights.num_parameters() > 0);
        let crossing = base.graph().crossing(border);
        let shapes = crossing
            .iter()
            .map(|&number| &base.layers()[number].output_shape);
        let values = shapes.clone().map(|shape| shape.iter().product::<usize>());
        let bytes = dataset.len() * values.sum::<usize>() * base.precision().bytes();
        let pixels = dataset.len() * base.size() * base.size() * 3;
        if keep_bytes || !is_frozen || bytes > pixels.max(MOST_OUTPUT_BYTES) {
            let bytes = dataset.to_tensor(base.size(), base.device(), progress)?;
            return Ok(Self::Bytes(bytes));
        }
        let what = format!("the outputs of {} pictures", dataset.len());
        crate::machine::device::check_room(base.device(), bytes, &what)?;
        let options = (base.precision().kind(), base.device());
        let stored = shapes
            .map(|shape| {
                let size = [&[dataset.len()], &shape[..]].concat();
                Tensor::f_empty(size.iter().map(|&n| n as i64).collect::<Vec<_>>(), options)
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("making room for the frozen layers' outputs"))?;
        let doing = format!("{name} pictures through the frozen layers, once");
        let mut task = progress.task(&doing, "pictures", Some(dataset.len()));
        let at_once = base.pictures_at_once();
        let mut fitting = FittingBatch::new(at_once);
        dataset.for_each_tensor(base.size(), at_once, |first, pixels| {
            progress.check(&doing)?;
            let store = &mut |place: i64, pixels: &Tensor| {
                let outputs = base.outputs_before(&base.input(pixels)?, border)?;
                for (stored, output) in stored.iter().zip(&outputs) {
                    let mut rows = stored.f_narrow(0, first as i64 + place, pixels.size()[0])?;
                    rows.f_copy_(&lesson_order(output)?)?;
                }
                Ok(())
            };
            fitting
                .each(&pixels, store)
                .map_err(Error::batch(doing.clone(), at_once))?;
            task.done(first + pixels.size()[0] as usize);
            Ok(())
        })?;
        task.finish();
        Ok(Self::Outputs(stored))
    }
}

/// A classifier with the pictures that it learns from.
struct Tuner<'a> {
    model: &'a Classifier,
    /// The number of the first layer that learns.
    border: usize,
    /// The weights of each layer from there on.
    masters: Vec<Master>,
    train: Pictures,
    targets: Targets,
    validation: Pictures,
    validation_targets: Targets,
    facts: Value,
    augment: &'a Augment,
    progress: &'a Progress,
    /// The epoch's transforms.
    plan: Option<Plan>,
    /// The epoch's dropout.
    masks: Option<Tensor>,
}

impl Tuner<'_> {
    /// The layers that learn, f32, as convolutions take them.
    fn computing_weights(&self) -> Result<Vec<LayerWeights>> {
        let all = self.masters.iter().map(Master::weights);
        all.collect::<std::result::Result<_, _>>()
            .map_err(Error::compute("reading the layers that learn"))
    }

    /// What crosses the border from the frozen layers, without a graph. `first` is their place in the epoch,
    /// for their transforms; nothing is augmented without it.
    fn frozen(
        &self,
        pictures: &Pictures,
        rows: &Tensor,
        first: Option<usize>,
    ) -> std::result::Result<Vec<Tensor>, TchError> {
        let _no_grad = tch::no_grad_guard();
        let base = &self.model.base;
        let bytes = match pictures {
            Pictures::Outputs(outputs) => {
                let chosen = outputs
                    .iter()
                    .map(|output| output.f_index_select(0, rows)?.f_permute([0, 3, 1, 2]));
                return chosen.collect();
            }
            Pictures::Bytes(bytes) => bytes.f_index_select(0, rows)?,
        };
        let pixels = match (first, &self.plan) {
            (Some(first), Some(plan)) => plan.apply(&bytes, first)?,
            _ => bytes,
        };
        base.outputs_before(&base.input(&pixels)?, self.border)
    }

    /// The layers that learn and the head, on what the frozen ones gave.
    fn learning(
        &self,
        crossing: &[Tensor],
        mask: Option<&Tensor>,
    ) -> std::result::Result<Tensor, TchError> {
        let Classifier { base, head, .. } = self.model;
        let kind = base.precision().kind();
        let weights = self
            .masters
            .iter()
            .map(|master| master.weights()?.map(|tensor| tensor.f_to_kind(kind)))
            .collect::<std::result::Result<Vec<_>, TchError>>()?;
        let output = base.outputs_after(crossing, self.border, Some(&weights))?;
        logits_of(head, &output, mask)
    }
}

impl Learner for Tuner<'_> {
    fn num_pictures(&self) -> usize {
        self.targets.len()
    }

    fn device(&self) -> Device {
        self.model.base.device()
    }

    fn variables(&self) -> Vec<Variable> {
        let layers = self.model.base.layers().iter().skip(self.border);
        let mut variables = Vec::new();
        for (layer, Master(weights)) in layers.zip(&self.masters) {
            for (role, tensor) in weights.iter() {
                variables.push(Variable {
                    name: format!("{}.{}", layer.stored_name, role.torch()),
                    tensor: tensor.shallow_clone(),
                    part: Part::Base,
                });
            }
        }
        variables.extend(self.model.head.variables());
        variables
    }

    fn start_epoch(&mut self, draws: &Draws) -> Result<()> {
        self.masks = self.model.head.masks(draws)?;
        if !self.augment.is_none() {
            let size = (self.model.base.size(), self.model.base.size());
            let mut random = draws.random("augmentation");
            let transforms = self.augment.draw(draws.pictures, size, &mut random);
            let plan = self.augment.plan(&transforms, size, self.device());
            self.plan = Some(plan.map_err(Error::compute("drawing the augmentation of an epoch"))?);
        }
        Ok(())
    }

    fn step(&self, rows: &Tensor, first: usize) -> std::result::Result<Step, TchError> {
        let mask = match &self.masks {
            Some(masks) => Some(masks.f_narrow(0, first as i64, rows.size()[0])?),
            None => None,
        };
        let input = self.frozen(&self.train, rows, Some(first))?;
        let logits = self.learning(&input, mask.as_ref())?;
        self.targets.select(rows)?.measure(&logits)
    }

    fn validate(&self) -> Result<Evaluation> {
        let _no_grad = tch::no_grad_guard();
        let (pictures, at_once) = (
            self.validation_targets.len(),
            self.model.base.pictures_at_once(),
        );
        let failed = || Error::batch("validating", at_once);
        let mut sums: Option<Tensor> = None;
        let mut fitting = FittingBatch::new(at_once);
        let mut first = 0;
        while first < pictures {
            self.progress.check("validating")?;
            let count = at_once.min(pictures - first);
            let mut batch = || {
                let range = (first as i64, (first + count) as i64);
                let rows =
                    Tensor::f_arange_start(range.0, range.1, (tch::Kind::Int64, self.device()))?;
                let logits = fitting.run(&rows, &|rows| {
                    self.learning(&self.frozen(&self.validation, rows, None)?, None)
                })?;
                let step = self
                    .validation_targets
                    .narrow(first, count)?
                    .measure(&logits)?;
                let loss = step
                    .loss
                    .f_to_kind(tch::Kind::Double)?
                    .f_mul_scalar(count as f64)?;
                Tensor::f_stack(&[loss, step.correct.f_to_kind(tch::Kind::Double)?], 0)
            };
            let batch = batch().map_err(failed())?;
            sums = Some(match sums {
                None => batch,
                Some(sums) => sums.f_add(&batch).map_err(failed())?,
            });
            first += count;
        }
        let sums = match sums {
            None => vec![0.0; 2],
            Some(sums) => sums
                .f_to_device(Device::Cpu)
                .and_then(|sums| Vec::<f64>::try_from(&sums))
                .map_err(failed())?,
        };
        Ok(Evaluation {
            loss: sums[0] / pictures as f64,
            accuracy: sums[1] / pictures as f64,
        })
    }

    fn epochs_before(&self) -> usize {
        self.model.head.epochs()
    }

    fn facts(&self) -> Value {
        self.facts.clone()
    }

    fn checkpoint(&self, path: &Path, run: &Run<'_>) -> Result<Saved> {
        let mut weights = self.model.base.weights()[..self.border]
            .iter()
            .map(LayerWeights::shared)
            .collect::<Vec<_>>();
        weights.extend(self.computing_weights()?);
        let learned = run.learned();
        let mut history = self.model.history.clone();
        history.extend(&learned);
        let epochs = self
            .model
            .head
            .epochs()
            .saturating_add(learned.epochs.len());
        let mut store = self.model.store(&weights, &history);
        let border = self.model.base.layers().get(self.border);
        for (key, value) in [
            ("augment", json!(self.augment)),
            ("epochs", json!(epochs)),
            ("trainable_from", json!(border.map(|layer| &layer.name))),
        ] {
            store.metadata.insert(key.to_owned(), value.to_string());
        }
        run.write(&mut store);
        store.save(path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::machine::device::Precision;
    use crate::network::weights::weights::Weights;

    fn model() -> (Classifier, Data, Fit) {
        let data = Data::open("data/samples").unwrap().take(4, 2);
        let weights = Weights::seeded(0);
        let base = Base::vgg16(32, &weights, Device::Cpu, Precision::F32).unwrap();
        let model = Classifier::new(&base, Head::dense(4), data.train.classes()).unwrap();
        let fit = Fit::default().epochs(1).progress(Progress::keeping());
        (model, data, fit)
    }

    #[test]
    fn fine_tuning_a_head_that_knows_nothing_is_warned_of_before_the_run() {
        let (mut model, data, fit) = model();
        let none = Augment::none();
        let lines = |fit: &Fit| fit.progress.kept();
        model.fine_tune("block5_conv1", &data, &none, &fit).unwrap();
        let first = lines(&fit).remove(0);
        assert!(first.contains("call `train_frozen` before"), "{first}");
        // It has learned now, be it little.
        let again = fit.clone().progress(Progress::keeping());
        model.fit(&data, &none, &again).unwrap();
        // The small network has nothing that could be spoiled, nor has a border without weights after it.
        let classes = data.train.classes();
        let mut small =
            Classifier::small_conv_net(46, classes, 0, Device::Cpu, Precision::F32).unwrap();
        small.fit(&data, &none, &again).unwrap();
        let (mut new, ..) = self::model();
        new.fine_tune("block5_pool", &data, &none, &again).unwrap();
        assert!(
            !lines(&again)
                .iter()
                .any(|line| line.contains("train_frozen"))
        );
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_costs_a_line_and_not_the_run() {
        let (mut model, data, fit) = model();
        // A folder where the file should be.
        let folder = tempfile::tempdir().unwrap();
        let fit = fit.checkpoint(folder.path());
        let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
        assert_eq!(history.epochs.len(), 1);
        let lines = fit.progress.kept();
        let note = lines.last().unwrap();
        assert!(
            note.contains("no checkpoint after epoch 1") && note.contains("rename"),
            "{note}"
        );
        let nowhere = fit.checkpoint("no/such/folder/run.safetensors");
        let error = model.train_frozen(&data, &Augment::none(), &nowhere);
        assert!(matches!(error, Err(Error::File { .. })));
    }
}

//! Training a classifier end to end: with the base frozen, or from some layer on.
//!
//! Layers before the first that learns run without a graph, so that memory for activations is only taken where
//! gradients flow, and a step of fine-tuning costs little more than a forward pass. Pictures are decoded
//! once and kept as bytes on the device, where they fit; what is never augmented, such as the validation pictures,
//! passes the frozen layers once for the whole run. Weights that learn are f32, whatever the base
//! computes in.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::machine::world::World;
use crate::model::classifier::{Classifier, Unfinished};
use crate::model::learner::ModelLearner;
use crate::model::provenance::{Provenance, hash_of_weights};
use crate::model::sources;
use crate::network::architecture::Architecture;
use crate::network::operation::LayerKind;
use crate::network::weights::layer_weights::LayerWeights;
use crate::pictures::augment::Augment;
use crate::pictures::data::Data;
use crate::pictures::dataset::Dataset;
use crate::training::backup::{Backup, found_again, not_a_backup};
use crate::training::beginning::{BASE, EPOCHS, HEAD, beginning, lasting};
use crate::training::checkpoint::{Checkpoint, no_run};
use crate::training::fit::Fit;
use crate::training::history::History;
use crate::training::rate_finder::{self, LearningRates};
use crate::training::run::{self, Sources};
use crate::training::source::Source;

/// A call to train, as a user made it.
#[derive(Clone, Copy)]
struct Call<'a> {
    /// The first layer that learns.
    trainable_from: usize,
    data: &'a Data,
    augment: &'a Augment,
    fit: &'a Fit,
}

impl Classifier {
    /// Freezes the base and trains the head end to end: the lesson's part 2.
    ///
    /// Every picture passes the base in each epoch, in a new version if `augment` makes any; without
    /// augmentation it passes once. Validation pictures are never augmented.
    ///
    /// # Errors
    /// As [`Classifier::fit`].
    #[doc(alias = "feature_extraction")]
    pub fn train_frozen(&mut self, data: &Data, augment: &Augment, fit: &Fit) -> Result<History> {
        let call = Call {
            trainable_from: self.base.layers().len(),
            data,
            augment,
            fit,
        };
        self.train(call, None, None)
    }

    /// Trains the base from a layer on, and the head with it: the lesson's part 3 with
    /// `block5_conv1`. Everything before the layer stays frozen. Choose a small learning rate, such as
    /// 1e-5, and train the head first.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers; otherwise as [`Classifier::fit`].
    #[doc(alias = "fit_one_cycle")]
    pub fn fine_tune(
        &mut self,
        from_layer: &str,
        data: &Data,
        augment: &Augment,
        fit: &Fit,
    ) -> Result<History> {
        self.fine_tune_after(None, from_layer, data, augment, fit)
    }

    /// The same as the second run of two: its curves go on with those of the one `before`.
    pub(crate) fn fine_tune_after(
        &mut self,
        before: Option<&History>,
        from_layer: &str,
        data: &Data,
        augment: &Augment,
        fit: &Fit,
    ) -> Result<History> {
        let call = Call {
            trainable_from: self.base.graph().number(from_layer)?,
            data,
            augment,
            fit,
        };
        self.train(call, None, before)
    }

    /// Trains what is trainable at the moment, and measures on the validation pictures after each
    /// epoch. Call it again to go on; the optimiser starts afresh then.
    ///
    /// A stop ends the run at the next batch: the history has the whole epochs, the model keeps what it
    /// has learned, and the next call goes on from there.
    ///
    /// # Errors
    /// [`Error::Argument`] for options that make no sense, [`Error::Mismatch`] if the pictures are of
    /// other classes, [`Error::Pictures`] if some cannot be decoded, [`Error::OutOfMemory`] names the
    /// batch size to try, [`Error::NotFinite`] if training diverges in the first epoch. What goes wrong in
    /// a later one ends the run and stands in [`History::ending`]. The model then has the weights of its
    /// last good epoch.
    #[doc(alias("model.fit", "train"))]
    pub fn fit(&mut self, data: &Data, augment: &Augment, fit: &Fit) -> Result<History> {
        let call = Call {
            trainable_from: self.trainable_from,
            data,
            augment,
            fit,
        };
        self.train(call, None, None)
    }

    /// Goes on with the run whose checkpoint this model was [loaded](Classifier::load) from, with the
    /// numbers that it would have had without the break. `fit` must have the options of that run; its
    /// `epochs` are the length of the whole. The history, too, is that of the whole run.
    ///
    /// # Errors
    /// As [`Classifier::fit`]; [`Error::Mismatch`] if there is no such run or an option differs.
    pub fn resume(&mut self, data: &Data, fit: &Fit) -> Result<History> {
        self.go_on(data, fit, None)
    }

    fn go_on(&mut self, data: &Data, fit: &Fit, before: Option<&History>) -> Result<History> {
        let Unfinished {
            run,
            trainable_from,
            trains_batch_norm,
            augment,
        } = self.unfinished.take().ok_or_else(no_run)?;
        self.trains_batch_norm = trains_batch_norm;
        let call = Call {
            trainable_from,
            data,
            augment: &augment,
            fit,
        };
        let outcome = self.train(call, Some(&run), before);
        self.unfinished = run.unless_moved(&outcome).map(|run| Unfinished {
            run,
            trainable_from,
            trains_batch_norm,
            augment,
        });
        outcome
    }

    /// Tries learning rates from tiny to huge on what is trainable at the moment and suggests one; the
    /// model stays as it is. Batch size, optimiser and seed are those of `fit`; its `steps_per_epoch` say
    /// how many rates are tried, 100 unless set.
    ///
    /// # Errors
    /// As [`Classifier::fit`]; [`Error::Stopped`] if the work was asked to stop.
    #[doc(alias = "learning_rate_finder")]
    pub fn lr_find(&self, data: &Data, augment: &Augment, fit: &Fit) -> Result<LearningRates> {
        fit.check()?;
        augment.check()?;
        self.check_pictures(&data.train, &data.validation)?;
        // Each process tries all rates by itself, on whole batches.
        let fit = &fit.of_this_process().world(&World::alone());
        let from = self.trainable_from;
        let learner = ModelLearner::of_classifier(self, from, augment, json!(null))?;
        let mut source = self.source(from, "training", &data.train, augment, fit)?;
        rate_finder::find(fit, &learner, &mut *source)
    }

    fn train(
        &mut self,
        call: Call<'_>,
        from: Option<&Checkpoint>,
        before: Option<&History>,
    ) -> Result<History> {
        let told = call.fit.world.agree(self.told(call))?;
        let (name, now) = (self.name_of_run(call.trainable_from), lasting(&told));
        let backup = Backup {
            name: &name,
            now: from.map_or(&now, Checkpoint::begun),
            last: &self.head.begun,
        };
        let of_all = backup.placed(call.fit);
        let fit = &of_all.of_this_process();
        let call = Call { fit, ..call };
        let Call {
            trainable_from,
            data,
            ..
        } = call;
        // Before minutes are spent on the pictures.
        let unknown = fit.world.agree(self.check_run(call, from))?;
        if let Some(path) = backup.found(&of_all).filter(|_| from.is_none()) {
            let saved = fit.world.agree(self.saved_run(&path, &backup, fit))?;
            return self.go_on_as(saved, data, &of_all, before);
        }
        let begun = backup.now.clone();
        fit.world.check_same(&told)?;
        let precision = self.base.precision();
        self.base
            .set_precision(fit.precision.unwrap_or(precision))?;
        self.warn_of_a_new_head(trainable_from, fit);
        if let Some(few) = data.train.too_few() {
            fit.progress.line(&format!("Note: {few}"));
        }
        let notes = data.train.notes().iter().chain(data.validation.notes());
        let notes = notes.chain(&self.base.origin().notes);
        let mut history = History::new(notes.chain(&unknown))
            .named(self.name_of_run(trainable_from))
            .following(before);
        let outcome = match self.learn(call, &mut history, from, &begun) {
            // While the pictures were read.
            Err(Error::Stopped { .. }) => {
                run::stopped_before(fit, &mut history, from);
                Ok(())
            }
            Ok((trained, outcome)) => {
                // Also after an error: the loop has put the last good weights back.
                let kept = self.base.set_weights(trainable_from, &trained);
                outcome.and(kept)
            }
            Err(error) => Err(error),
        };
        if history.steps == 0 {
            self.base.set_precision(precision)?;
            return outcome.map(|()| history);
        }
        // The epochs of an earlier run that this one goes on with were counted when it was loaded.
        let learned = history.after(from.map_or(0, |run| run.epochs().len()));
        self.trainable_from = trainable_from;
        self.interpolation = data.train.interpolation;
        self.head.count(&learned);
        self.head.begun = begun;
        self.history.extend(&learned);
        if from.is_none() {
            // The weights have moved away from what a checkpoint could go on with.
            self.unfinished = None;
        }
        outcome.map(|()| history)
    }

    /// The model as the file of a backup has it, if it is of this run.
    fn saved_run(&self, path: &Path, backup: &Backup<'_>, fit: &Fit) -> Result<Self> {
        let mut saved = Self::load(path, self.base.device())?;
        let run = saved.unfinished.as_ref().map(|unfinished| &unfinished.run);
        let run = run.ok_or_else(|| not_a_backup(path))?;
        backup.check(run, path)?;
        fit.progress.line(&found_again(path, run, fit));
        saved.head.begun = run.begun().clone();
        Ok(saved)
    }

    /// Goes on with the run of `saved`, and becomes it.
    fn go_on_as(
        &mut self,
        mut saved: Self,
        data: &Data,
        fit: &Fit,
        before: Option<&History>,
    ) -> Result<History> {
        let history = saved.go_on(data, fit, before)?;
        *self = saved;
        Ok(history)
    }

    /// Refuses what no run can use; what cannot be told from the checkpoint that it goes on from comes back as a note.
    fn check_run(&self, call: Call<'_>, from: Option<&Checkpoint>) -> Result<Option<String>> {
        let (data, fit) = (call.data, call.fit);
        fit.check()?.check_place()?;
        call.augment.check()?;
        self.check_pictures(&data.train, &data.validation)?;
        fit.check_world(data.train.len(), data.validation.len())?;
        let mut open = self.base.layers().iter().skip(call.trainable_from);
        if !fit.world.is_alone()
            && self.trains_batch_norm
            && open.any(|layer| layer.kind == LayerKind::BatchNormalization)
        {
            return Err(Error::Argument {
                argument: "train_batch_norm",
                value: "true".into(),
                expected: "several processes see a share of each batch each, whose means are not those of the batch: let batch normalisation keep its averages, or train with one process"
                    .into(),
            });
        }
        from.map_or(Ok(None), |run| run.check(fit, &self.facts(data, fit)))
    }

    /// What all processes must begin with alike.
    fn told(&self, call: Call<'_>) -> Result<BTreeMap<String, Value>> {
        let (data, fit) = (call.data, call.fit);
        let base = Provenance::new(&self.base, data.train.interpolation)?;
        let more = [
            ("augmentation", json!(call.augment)),
            (BASE, json!(base)),
            (HEAD, json!(hash_of_weights(&self.head.layers)?)),
            ("first layer that learns", json!(call.trainable_from)),
            ("train_batch_norm", json!(self.trains_batch_norm)),
            (EPOCHS, json!(self.head.epochs())),
        ];
        Ok(beginning(fit, &self.facts(data, fit), &more))
    }

    /// Trains copies of the layers that learn: what has become of them, and how the run has ended.
    fn learn(
        &self,
        call: Call<'_>,
        history: &mut History,
        from: Option<&Checkpoint>,
        begun: &Value,
    ) -> Result<(Vec<LayerWeights>, Result<()>)> {
        let Call {
            trainable_from,
            data,
            augment,
            fit,
        } = call;
        let none = Augment::none();
        let facts = self.facts(data, fit);
        let learner =
            ModelLearner::of_classifier(self, trainable_from, augment, facts)?.begun(begun);
        if from.is_some_and(|run| run.is_over(fit)) {
            let outcome = run::run(fit, &learner, &mut Sources::none(), history, from);
            return Ok((learner.trained_layers()?, outcome));
        }
        let world = &fit.world;
        // A process has its share of the validation pictures for itself.
        let validation = Fit {
            class_weights: Vec::new(),
            world: World::alone(),
            ..fit.clone()
        };
        let share = world.share(data.validation.len()).collect::<Vec<_>>();
        let share = data.validation.select(&share);
        let mut sources = Sources {
            train: self.source(trainable_from, "training", &data.train, augment, fit)?,
            validation: world.agree(self.source(
                trainable_from,
                "validation",
                &share,
                &none,
                &validation,
            ))?,
        };
        let outcome = run::run(fit, &learner, &mut sources, history, from);
        Ok((learner.trained_layers()?, outcome))
    }

    /// Labelled pictures as a source of batches.
    fn source<'a>(
        &'a self,
        trainable_from: usize,
        name: &str,
        dataset: &Dataset,
        augment: &'a Augment,
        fit: &Fit,
    ) -> Result<Box<dyn Source + 'a>> {
        let targets = self
            .head
            .targets(dataset.all_labels(), &fit.class_weights)?;
        let base = &self.base;
        sources::pictures(base, trainable_from, name, dataset, augment, targets, fit)
    }

    /// What a run with the layers from `trainable_from` on is called.
    pub(crate) fn name_of_run(&self, trainable_from: usize) -> String {
        let layers = self.base.layers();
        let mut open = layers.iter().skip(trainable_from);
        match layers.get(trainable_from) {
            Some(layer) if open.any(|layer| layer.has_weights()) => match trainable_from {
                0 => "all layers".into(),
                _ => format!("fine-tuning from {} on", layer.name),
            },
            _ => "head on the frozen base".into(),
        }
    }

    /// A head that knows nothing spoils the pretrained layers that learn with it.
    fn warn_of_a_new_head(&self, trainable_from: usize, fit: &Fit) {
        let mut open = self.base.layers().iter().skip(trainable_from);
        let opens_base = open.any(|layer| layer.has_weights());
        let is_new = self.base.architecture() == Architecture::SmallConvNet;
        if opens_base && !is_new && !self.head.is_trained() {
            fit.progress.line(
                "Note: the head has not learned anything yet. Its first, large gradients will spoil the \
                 pretrained layers that learn with it: call `train_frozen` before this",
            );
        }
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
    fn facts(&self, data: &Data, fit: &Fit) -> Value {
        let counts = |dataset: &Dataset| {
            let counts = dataset.counts().into_iter();
            counts.map(|(_, count)| count).collect::<Vec<_>>()
        };
        json!({
            "precision": fit.precision.unwrap_or(self.base.precision()),
            "interpolation": data.train.interpolation,
            "training pictures": counts(&data.train),
            "validation pictures": counts(&data.validation),
            "files of the training pictures": data.train.digest(),
            "files of the validation pictures": data.validation.digest(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::machine::precision::Precision;
    use crate::machine::stop::Stop;
    use crate::model::head::Head;
    use crate::network::base::Base;
    use crate::network::weights::weights::Weights;
    use crate::show::progress::Progress;
    use tch::Device;

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
        // The small network has nothing that could be spoiled, nor has a trainable_from without weights after it.
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
    fn transfer_names_its_parts_before_they_begin() {
        let (_, data, fit) = model();
        let weights = Weights::seeded(0);
        let base = Base::vgg16(32, &weights, Device::Cpu, Precision::F32).unwrap();
        Classifier::transfer(&base, &data, &fit).unwrap();
        let lines = fit.progress.kept();
        let names = lines.iter().filter(|line| line.starts_with("Part "));
        let expected = [
            "Part 1 of 2: head on the frozen base",
            "Part 2 of 2: fine-tuning from block5_conv1 on",
        ];
        assert_eq!(names.collect::<Vec<_>>(), expected, "{lines:?}");
    }

    #[test]
    fn a_stop_says_that_the_model_is_kept_and_how_to_go_on() {
        let (mut model, data, fit) = model();
        let stop = Stop::new();
        let progress = Progress::keeping().stop(&stop);
        let fit = fit.progress(progress).epochs(1_000_000);
        let asker = std::thread::spawn({
            let (stop, progress) = (stop.clone(), fit.progress.clone());
            move || {
                // Once something has been learned.
                while !progress.kept().iter().any(|line| line.starts_with("Epoch")) {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                stop.request();
            }
        });
        let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
        asker.join().unwrap();
        let note = fit.progress.kept().pop().unwrap();
        let end = "; the model keeps what it has learned, and its `fit` goes on from there";
        assert!(
            note.starts_with("Note: stopped ") && note.ends_with(end),
            "{note}"
        );
        assert!(!history.ending().unwrap().contains(';'), "{history}");
        // Nothing has been learned before the first batch.
        model.train_frozen(&data, &Augment::none(), &fit).unwrap();
        assert_eq!(
            fit.progress.kept().pop().unwrap(),
            "Note: stopped before epoch 1"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_checkpoint_that_cannot_be_written_costs_a_line_and_not_the_run() {
        let (mut model, data, fit) = model();
        // The device that answers every write with "no space left".
        let fit = fit.checkpoint("/dev/full");
        let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
        assert_eq!(history.epochs.len(), 1);
        let lines = fit.progress.kept();
        let note = lines.last().unwrap();
        assert!(
            note.contains("no checkpoint after epoch 1") && note.contains("Make room"),
            "{note}"
        );
    }

    #[test]
    fn a_place_where_no_checkpoint_can_be_is_told_before_the_first_epoch() {
        let (mut model, data, fit) = model();
        let folder = tempfile::tempdir().unwrap();
        let places = [
            folder.path().to_owned(),
            folder.path().join("no/run.safetensors"),
        ];
        for place in places {
            let fit = fit.clone().checkpoint(place);
            let error = model.train_frozen(&data, &Augment::none(), &fit);
            assert!(matches!(error, Err(Error::File { .. })));
        }
        assert!(fit.progress.kept().is_empty());
        assert!(model.history().epochs.is_empty());
    }
}

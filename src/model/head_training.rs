//! Training a head on features, and measuring it on others.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::machine::world::World;
use crate::model::features::Features;
use crate::model::head::Head;
use crate::model::head_model::HeadModel;
use crate::model::learner::ModelLearner;
use crate::model::provenance::hash_of_weights;
use crate::model::sources::Stored;
use crate::show::progress::Progress;
use crate::training::backup::{Backup, found_again, not_a_backup};
use crate::training::beginning::{BASE, EPOCHS, HEAD, beginning, lasting};
use crate::training::checkpoint::{Checkpoint, no_run};
use crate::training::evaluation::Evaluation;
use crate::training::fit::Fit;
use crate::training::history::History;
use crate::training::rate_finder::{self, LearningRates};
use crate::training::run::{self, Sources};
use crate::training::validation::evaluate;

impl HeadModel {
    /// Trains on `train` and measures on `validation` after each epoch. Call it again to go on from
    /// where it stopped; the optimiser starts afresh then.
    ///
    /// Keras: `model.fit(train_features, train_labels, validation_data=...)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or have other classes,
    /// [`Error::Argument`] for options that make no sense, [`Error::NotFinite`] if training
    /// diverges in the first epoch. What goes wrong in a later one ends the run and stands in
    /// [`History::ending`]. The weights are then those of the last good epoch.
    pub fn fit(&mut self, train: &Features, validation: &Features, fit: &Fit) -> Result<History> {
        self.train(train, validation, fit, None)
    }

    /// Goes on with the run whose checkpoint this head was [loaded](HeadModel::load) from. `fit` must
    /// have the options of that run; its `epochs` are the length of the whole. The history, too, is
    /// that of the whole run.
    ///
    /// # Errors
    /// As [`HeadModel::fit`]; [`Error::Mismatch`] if there is no such run or an option differs.
    pub fn resume(
        &mut self,
        train: &Features,
        validation: &Features,
        fit: &Fit,
    ) -> Result<History> {
        self.go_on(train, validation, fit)
    }

    fn go_on(&mut self, train: &Features, validation: &Features, fit: &Fit) -> Result<History> {
        let run = self.unfinished.take().ok_or_else(no_run)?;
        let outcome = self.train(train, validation, fit, Some(&run));
        self.unfinished = run.unless_moved(&outcome);
        outcome
    }

    fn train(
        &mut self,
        train: &Features,
        validation: &Features,
        fit: &Fit,
        from: Option<&Checkpoint>,
    ) -> Result<History> {
        let facts = facts(train, validation);
        let weights = fit.world.agree(hash_of_weights(&self.layers))?;
        let more = [
            (BASE, json!(self.provenance)),
            (HEAD, json!(weights)),
            (EPOCHS, json!(self.epochs())),
        ];
        let told = beginning(fit, &facts, &more);
        let now = lasting(&told);
        let backup = Backup {
            name: "head",
            now: from.map_or(&now, Checkpoint::begun),
            last: &self.begun,
        };
        let of_all = backup.placed(fit);
        let fit = &of_all.of_this_process();
        let world = &fit.world;
        let unknown = world.agree(self.check_run(train, validation, fit, from, &facts))?;
        if let Some(path) = backup.found(&of_all).filter(|_| from.is_none()) {
            let mut saved = world.agree(self.saved_run(&path, &backup, fit))?;
            let history = saved.go_on(train, validation, &of_all)?;
            *self = saved;
            return Ok(history);
        }
        let begun = backup.now.clone();
        world.check_same(&told)?;
        let notes = train.notes().iter().chain(validation.notes());
        let mut history = History::new(notes.chain(&self.notes).chain(&unknown));
        let learner = ModelLearner::of_head(self, facts, validation.len()).begun(&begun);
        let whole = self.source(train, &fit.class_weights);
        let share = self.source(validation, &[]);
        let share = share.and_then(|all| all.narrow(world.share(validation.len())));
        let mut sources = Sources {
            train: Box::new(world.agree(whole)?),
            validation: Box::new(world.agree(share)?),
        };
        let outcome = run::run(fit, &learner, &mut sources, &mut history, from);
        // The epochs of an earlier run that this one goes on with were counted when it was loaded.
        let earlier = from.map_or(0, |run| run.epochs().len());
        self.count(&history.after(earlier));
        if history.steps > 0 {
            self.begun = begun;
        }
        if from.is_none() && history.steps > 0 {
            // The weights have moved away from what a checkpoint could go on with.
            self.unfinished = None;
        }
        outcome.map(|()| history)
    }

    /// The head as the file of a backup has it, if it is of this run.
    fn saved_run(&self, path: &Path, backup: &Backup<'_>, fit: &Fit) -> Result<Self> {
        let mut saved = Self::load(path, self.device)?;
        let run = saved.unfinished.as_ref();
        let run = run.ok_or_else(|| not_a_backup(path))?;
        backup.check(run, path)?;
        fit.progress.line(&found_again(path, run, fit));
        saved.begun = run.begun().clone();
        Ok(saved)
    }

    /// Refuses what no run can use; what cannot be told from the checkpoint that it goes on from comes back as a note.
    fn check_run(
        &self,
        train: &Features,
        validation: &Features,
        fit: &Fit,
        from: Option<&Checkpoint>,
        facts: &Value,
    ) -> Result<Option<String>> {
        self.check(train, "training features")?;
        self.check(validation, "validation features")?;
        fit.check()?.check_place()?;
        fit.check_world(train.len(), validation.len())?;
        from.map_or(Ok(None), |run| run.check(fit, facts))
    }

    /// Features as a source of batches.
    fn source(&self, features: &Features, class_weights: &[f64]) -> Result<Stored> {
        let rows = self
            .rows(features)
            .map_err(Error::compute("preparing features for training"))?;
        let targets = self.targets(features.all_labels(), class_weights)?;
        Ok(Stored::new(vec![rows], targets))
    }

    /// Tries learning rates from tiny to huge on `train` and suggests one; the head stays as it is.
    /// Batch size, optimiser and seed are those of `fit`; its `steps_per_epoch` say how many rates
    /// are tried, 100 unless set.
    ///
    /// # Errors
    /// As [`HeadModel::fit`].
    pub fn lr_find(&self, train: &Features, fit: &Fit) -> Result<LearningRates> {
        self.check(train, "training features")?;
        fit.check()?;
        // Each process tries all rates by itself, on whole batches.
        let fit = &fit.of_this_process().world(&World::alone());
        let learner = ModelLearner::of_head(self, json!(null), train.len());
        rate_finder::find(fit, &learner, &mut self.source(train, &fit.class_weights)?)
    }

    /// Loss and accuracy (of numbers the mean absolute error) on other features, dropout off.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or make, or have other classes.
    pub fn evaluate(&self, features: &Features) -> Result<Evaluation> {
        self.check(features, "features")?;
        let learner = ModelLearner::of_head(self, json!(null), features.len());
        let mut source = self.source(features, &[])?;
        evaluate(
            &World::alone(),
            &learner,
            &mut source,
            &Progress::quiet(),
            "evaluating the head",
            |_| {},
        )
    }
}

/// What a run that goes on must have in common with its beginning beside the options.
fn facts(train: &Features, validation: &Features) -> Value {
    let mut facts = json!({
        "training pictures": train.len(),
        "validation pictures": validation.len(),
    });
    for (name, features) in [("training", train), ("validation", validation)] {
        // Files of an earlier version do not tell.
        if let Some(digest) = features.digest() {
            facts[format!("files of the {name} pictures")] = digest.into();
        }
    }
    facts
}

/// Trains the lesson's head (Dense 512, dropout 0.5) on `train` and measures it on `validation`.
///
/// Another head: `Head::dense(128).build(&train, 0)?.fit(&train, &validation, &fit)?`.
///
/// # Errors
/// As [`HeadModel::fit`].
#[doc(alias("model.fit", "linear_probe"))]
pub fn train_head(
    train: &Features,
    validation: &Features,
    fit: &Fit,
) -> Result<(HeadModel, History)> {
    let mut model = Head::lesson().build(train, fit.seed)?;
    let history = model.fit(train, validation, fit)?;
    Ok((model, history))
}

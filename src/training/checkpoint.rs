//! A run between two epochs: what a checkpoint holds beside the model, so that training goes on with
//! the same numbers as if it had never ended.
//!
//! What a later version of the crate writes beside these is passed over; options that an older one did
//! not know count as their defaults. In the file: tensors `optimizer.VARIABLE.SLOT`, and `best.VARIABLE` with early stopping; the metadata
//! `run` with the epochs so far and the options that shape the numbers. Random numbers need no place:
//! they follow from the seed and the number of the epoch.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::files::tensors::Store;
use crate::training::epoch::Epoch;
use crate::training::fit::Fit;
use crate::training::history::History;
use crate::training::optimizer::OptimizerState;
use crate::training::step::Step;
use crate::training::variable::Variable;

/// The best epoch so far, for early stopping.
pub(crate) struct Best {
    pub(crate) epoch: usize,
    pub(crate) val_loss: f64,
    /// In the order of the run's state.
    pub(crate) weights: Vec<Tensor>,
}

/// A run as it stands, about to be written.
pub(crate) struct Run<'a> {
    pub(crate) fit: &'a Fit,
    /// What shapes the numbers beside the options: precision, pictures.
    pub(crate) facts: Value,
    /// What tells the run from others ([`beginning`](super::beginning::beginning)).
    pub(crate) begun: &'a Value,
    /// How many epochs the model had learned before this run.
    pub(crate) before: usize,
    pub(crate) history: &'a History,
    /// How many of the history's epochs the model counted when it was loaded.
    pub(crate) earlier: usize,
    /// The variables, which the optimiser knows by their numbers, then what moves with them.
    pub(crate) state: &'a [Variable],
    pub(crate) optimizer: &'a OptimizerState,
    pub(crate) best: Option<&'a Best>,
}

/// The part of a run that is written as JSON.
#[derive(Serialize, Deserialize)]
struct Words {
    epochs: Vec<Epoch>,
    options: Value,
    facts: Value,
    /// Files of earlier versions do not tell.
    #[serde(default)]
    begun: Value,
    before: usize,
    steps_taken: usize,
    best: Option<(usize, f64)>,
    #[serde(default)]
    steps: Vec<Step>,
}

impl Run<'_> {
    /// What the model has learned since it was made or loaded: the run without its earlier part.
    pub(crate) fn learned(&self) -> History {
        self.history.after(self.earlier)
    }

    /// Adds the run to what is about to be saved.
    pub(crate) fn write(&self, store: &mut Store) {
        for (number, slot, tensor) in self.optimizer.memory() {
            let variable = &self.state[number].name;
            let name = format!("optimizer.{variable}.{slot}");
            store.tensors.insert(name, tensor.shallow_clone());
        }
        if let Some(best) = self.best {
            for (variable, tensor) in self.state.iter().zip(&best.weights) {
                let name = format!("best.{}", variable.name);
                store.tensors.insert(name, tensor.shallow_clone());
            }
        }
        let words = serde_json::json!(Words {
            epochs: self.history.epochs.clone(),
            options: self.fit.shaping(),
            facts: self.facts.clone(),
            begun: self.begun.clone(),
            before: self.before,
            steps_taken: self.optimizer.taken,
            best: self.best.map(|best| (best.epoch, best.val_loss)),
            steps: self.history.steps().to_vec(),
        });
        store.metadata.insert("run".into(), words.to_string());
    }
}

/// A run as a file holds it.
pub(crate) struct Checkpoint {
    words: Words,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Takes the run out of a file that was read; there is none in a file that `save` wrote.
    pub(crate) fn take(store: &mut Store, path: &Path, what: &str) -> Result<Option<Self>> {
        if !store.metadata.contains_key("run") {
            return Ok(None);
        }
        let words: Words = store.read_json("run", path, what)?;
        let best = words.best.map_or(0, |(epoch, _)| epoch);
        // Counts that no run reaches; sums of them would overflow.
        if best > words.epochs.len() || words.before.max(words.steps_taken) > usize::MAX / 2 {
            return Err(tensors::not_saved_here(path, what));
        }
        let belongs = |name: &String| name.starts_with("optimizer.") || name.starts_with("best.");
        let all = std::mem::take(&mut store.tensors);
        let (own, others): (BTreeMap<String, Tensor>, _) =
            all.into_iter().partition(|(name, _)| belongs(name));
        store.tensors = others;
        // These become the model's. What an optimiser remembers may be infinite.
        for (name, tensor) in own.iter().filter(|(name, _)| name.starts_with("best.")) {
            tensors::check_finite(tensor, path, name)?;
        }
        Ok(Some(Self {
            words,
            tensors: own,
        }))
    }

    /// The epochs of the run so far.
    pub(crate) fn epochs(&self) -> &[Epoch] {
        &self.words.epochs
    }

    /// Gives a history the epochs so far, and their steps if they were kept.
    pub(crate) fn begin(&self, history: &mut History) {
        history.epochs.extend(self.epochs());
        history.kept_steps.extend(&self.words.steps);
    }

    /// The run itself, unless `outcome` has moved the weights away from it: it can still be gone on with
    /// then, with other options if these were refused.
    pub(crate) fn unless_moved(self, outcome: &Result<History>) -> Option<Self> {
        // After an error the weights are those that the run began with.
        let has_moved = outcome.as_ref().is_ok_and(|history| history.steps > 0);
        (!has_moved).then_some(self)
    }

    /// What tells the run from others.
    pub(crate) fn begun(&self) -> &Value {
        &self.words.begun
    }

    /// Whether there is nothing left to train for these options.
    pub(crate) fn is_over(&self, fit: &Fit) -> bool {
        let waited = self
            .words
            .best
            .map_or(0, |(best, _)| self.epochs().len() - best);
        let has_waited = fit
            .early_stopping
            .is_some_and(|patience| waited >= patience);
        has_waited || self.epochs().len() >= fit.epochs
    }

    /// How many epochs the model had learned before the run.
    pub(crate) fn before(&self) -> usize {
        self.words.before
    }

    /// Gives the run back to an optimiser, after making sure that it goes on as it began.
    pub(crate) fn recall(
        &self,
        fit: &Fit,
        facts: &Value,
        state: &[Variable],
        optimizer: &mut OptimizerState,
    ) -> Result<Option<Best>> {
        let _known = self.check(fit, facts)?;
        let find = |name: String, like: &Tensor| {
            let stored = self.tensors.get(&name);
            stored
                .filter(|tensor| tensor.numel() == like.numel())
                .map(Tensor::shallow_clone)
                .ok_or_else(|| Error::Mismatch {
                    what: "the checkpoint".into(),
                    expected: format!("a tensor {name} with {} values", like.numel()),
                    found: match stored {
                        None => "none".into(),
                        Some(tensor) => format!("{:?}", tensors::shape(tensor)),
                    },
                    remedy: "Load a checkpoint that this crate wrote".into(),
                })
        };
        optimizer.recall(self.words.steps_taken, |number, slot| {
            let Variable { name, tensor, .. } = &state[number];
            find(format!("optimizer.{name}.{slot}"), tensor)
        })?;
        let Some((epoch, val_loss)) = self.words.best else {
            return Ok(None);
        };
        let weights = state.iter().map(|Variable { name, tensor, .. }| {
            let stored = find(format!("best.{name}"), tensor)?;
            stored
                .f_view_as(tensor)
                .and_then(|stored| stored.f_to_device(tensor.device()))
                .map_err(Error::compute("reading a checkpoint"))
        });
        Ok(Some(Best {
            epoch,
            val_loss,
            weights: weights.collect::<Result<_>>()?,
        }))
    }

    /// Refuses options and pictures other than those that the run began with. What cannot be told from the
    /// checkpoint comes back as a note.
    pub(crate) fn check(&self, fit: &Fit, facts: &Value) -> Result<Option<String>> {
        let epochs = self.epochs().len();
        // One that has them all comes from its backup as it is.
        if epochs > fit.epochs || (epochs == fit.epochs && !fit.restores) {
            return Err(Error::Argument {
                argument: "epochs",
                value: fit.epochs.to_string(),
                expected: format!(
                    "the run has {epochs} already, and this is the length of the whole run"
                ),
            });
        }
        let defaults = Fit::default().shaping();
        for (then, now, remedy) in [
            (
                &self.words.options,
                &fit.shaping(),
                "Give the options that the run began with, or start a new one with `fit`",
            ),
            (
                &self.words.facts,
                facts,
                "Go on with the pictures (the same files, and the same seed of `Data::split`) and the \
                 precision that the run began with, or start a new one with `fit`",
            ),
        ] {
            let then = |name: &str| then.get(name).or(defaults.get(name));
            // What the file does not tell cannot differ.
            let differs =
                |name: &&String| then(name).is_some_and(|then| Some(then) != now.get(*name));
            if let Some(name) = now.as_object().and_then(|all| all.keys().find(differs)) {
                return Err(Error::Mismatch {
                    what: format!("{name} of a run that goes on"),
                    expected: then(name).map_or("nothing".into(), Value::to_string),
                    found: now[name].to_string(),
                    remedy: remedy.into(),
                });
            }
        }
        let is_untold = |name: &String| self.words.facts.get(name).is_none();
        let mut named = facts.as_object().into_iter().flat_map(|all| all.keys());
        let note = "the checkpoint is of an earlier version and does not tell which pictures its run began with";
        Ok(named.any(is_untold).then(|| note.to_owned()))
    }
}

/// There is nothing to go on with.
pub(crate) fn no_run() -> Error {
    Error::Mismatch {
        what: "a run to go on with".into(),
        expected: "a model that was loaded from a checkpoint".into(),
        found: "one without an unfinished run".into(),
        remedy: "Load the file that `Fit::checkpoint` named, or train with `fit`".into(),
    }
}

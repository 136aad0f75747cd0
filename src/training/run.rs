//! The crate's only training loop, for heads and whole classifiers alike.
//!
//! Keras' ways: a new seeded order for each pass over the pictures, the short last batch counted by its
//! size, accuracy and loss averaged over the epoch while the weights move. On a GPU nothing waits for the
//! device inside an epoch: sums stay there until its end.

use std::time::Instant;

use serde_json::Value;
use tch::Tensor;

use crate::error::{Error, Result};
use crate::show::table::counted;
use crate::training::averages::check_finite;
use crate::training::checkpoint::{Best, Checkpoint, Run};
use crate::training::epoch::Epoch;
use crate::training::evaluation::Evaluation;
use crate::training::fit::Fit;
use crate::training::history::History;
use crate::training::learner::{self, Learner};
use crate::training::optimizer::OptimizerState;
use crate::training::pass::Pass;
use crate::training::reporter::Reporter;
use crate::training::source::{NoPictures, Source};
use crate::training::step::Step;
use crate::training::validation::evaluate;
use crate::training::variable::{self, Variable, copies_of, tensors_of};

/// The pictures of a run, as a learner takes them.
pub(crate) struct Sources<'a> {
    pub(crate) train: Box<dyn Source + 'a>,
    pub(crate) validation: Box<dyn Source + 'a>,
}

impl Sources<'_> {
    /// For a run that has no epoch left.
    pub(crate) fn none() -> Self {
        Self {
            train: Box::new(NoPictures),
            validation: Box::new(NoPictures),
        }
    }
}

/// Trains `learner` and adds an entry to `history` for each epoch; `from` is a run to go on with.
///
/// # Errors
/// What ends the first epoch. A later one is the run's ending in `history`, which would be lost with an
/// error. The weights are those of the last whole epoch in either case.
pub(crate) fn run(
    fit: &Fit,
    learner: &dyn Learner,
    sources: &mut Sources<'_>,
    history: &mut History,
    from: Option<&Checkpoint>,
) -> Result<()> {
    learner::learning(fit, learner, |variables| {
        let begun = Loop::new(fit, learner, variables, history, from);
        fit.world.agree(begun)?.epochs(sources, history)
    })
}

/// The history of a run that was stopped before its first batch.
pub(crate) fn stopped_before(fit: &Fit, history: &mut History, from: Option<&Checkpoint>) {
    if let Some(checkpoint) = from {
        checkpoint.begin(history);
    }
    let ending = format!("stopped before epoch {}", history.epochs.len() + 1);
    fit.progress.line(&format!("Note: {ending}"));
    history.cut(ending);
}

/// A run between its epochs.
struct Loop<'a> {
    fit: &'a Fit,
    learner: &'a dyn Learner,
    variables: &'a [Variable],
    tensors: Vec<Tensor>,
    /// The variables, and what moves with them.
    state: Vec<Variable>,
    optimizer: OptimizerState,
    best: Option<Best>,
    /// The state after the last whole epoch.
    good: Vec<Tensor>,
    /// What tells the run from others.
    begun: Value,
    /// How many epochs an earlier run had that this one goes on with.
    earlier: usize,
    /// How many epochs the model had learned before either.
    before: usize,
    doing: String,
    reporter: Reporter,
}

impl<'a> Loop<'a> {
    fn new(
        fit: &'a Fit,
        learner: &'a dyn Learner,
        variables: &'a [Variable],
        history: &mut History,
        from: Option<&Checkpoint>,
    ) -> Result<Self> {
        let doing = format!(
            "training on {}",
            crate::machine::device::name(learner.device())
        );
        let failed = || Error::batch(doing.clone(), fit.batch_size);
        let tensors = tensors_of(variables);
        let state = learner::state_of(learner);
        let mut optimizer = OptimizerState::new(fit.optimizer, &tensors).map_err(failed())?;
        let mut best = None;
        let mut before = learner.epochs_before();
        if let Some(checkpoint) = from {
            best = checkpoint.recall(fit, &learner.facts(), &state, &mut optimizer)?;
            checkpoint.begin(history);
            before = checkpoint.before();
        }
        Ok(Self {
            fit,
            learner,
            variables,
            good: copies_of(&tensors_of(&state)).map_err(failed())?,
            tensors,
            state,
            optimizer,
            best,
            begun: from.map_or(learner.begun(), Checkpoint::begun).clone(),
            earlier: from.map_or(0, |checkpoint| checkpoint.epochs().len()),
            before,
            doing,
            reporter: Reporter::new(fit, history),
        })
    }

    fn epochs(mut self, sources: &mut Sources<'_>, history: &mut History) -> Result<()> {
        let first = self.earlier + 1;
        // The run may have been over when its checkpoint was written.
        let mut is_over = self.has_waited(first - 1, history);
        let mut number = first;
        while !is_over && number <= self.fit.epochs {
            let steps_before = (history.steps, history.kept_steps.len());
            match self.whole_epoch(sources, history, number) {
                Ok(goes_on) => is_over = !goes_on,
                Err(error) => {
                    variable::put_back(&tensors_of(&self.state), &self.good)?;
                    history.steps = steps_before.0;
                    history.kept_steps.truncate(steps_before.1);
                    if number == first {
                        return Err(error);
                    }
                    history.cut(match error {
                        Error::Stopped { .. } => format!("stopped in epoch {number}, at a picture"),
                        error => format!("epoch {number} failed: {error}"),
                    });
                    if self.best.is_none() {
                        history.keep(number - 1);
                    }
                    is_over = true;
                }
            }
            number += 1;
        }
        self.finish(history)
    }

    /// An epoch with its validation, line and checkpoint; whether there may be another.
    fn whole_epoch(
        &mut self,
        sources: &mut Sources<'_>,
        history: &mut History,
        number: usize,
    ) -> Result<bool> {
        let fit = self.fit;
        let start = Instant::now();
        let pass = Pass {
            fit,
            learner: self.learner,
            variables: self.variables,
            tensors: &self.tensors,
            optimizer: &mut self.optimizer,
            before: self.before,
            doing: &self.doing,
            reporter: &mut self.reporter,
        };
        let passed = pass.take(&mut *sources.train, number)?;
        history.steps += passed.steps;
        if fit.keep_steps {
            let each = passed.each.iter().map(|&step| Step::new(number, step));
            history.kept_steps.extend(each);
        }
        if let Some(steps) = passed.stopped_after {
            history.cut(match steps {
                0 => format!("stopped before epoch {number}"),
                _ => format!(
                    "stopped in epoch {number}, after {}",
                    counted(steps, "step")
                ),
            });
            return Ok(false);
        }
        let source = &mut *sources.validation;
        let reporter = &mut self.reporter;
        reporter.begin_validation(passed.trained, source.len());
        let each = |done| reporter.validated(done);
        let (world, progress) = (&fit.world, &fit.progress);
        let validation = match evaluate(world, self.learner, source, progress, "validating", each) {
            Ok(evaluation) => Some(evaluation),
            Err(Error::Stopped { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some(validation) = validation {
            // The last step has gone too far; its own loss was measured before it.
            check_finite(validation.loss, number, passed.steps)?;
        }
        // The history is the same on all processes, the clock of the first included.
        let seconds = fit.world.of_first(start.elapsed().as_secs_f64());
        let epoch = Epoch::new(passed.trained, validation, seconds);
        self.reporter.end_epoch(epoch);
        self.good = copies_of(&tensors_of(&self.state))
            .map_err(Error::compute("keeping the last good weights"))?;
        history.epochs.push(epoch);
        let Some(validation) = validation else {
            // No checkpoint: a run that goes on does this epoch again, with its validation.
            history.cut(format!(
                "stopped after epoch {number}, before its validation"
            ));
            return Ok(false);
        };
        self.watch(number, validation);
        let has_waited = self.has_waited(number, history);
        let is_last = has_waited || number == fit.epochs;
        if is_last || number.is_multiple_of(fit.checkpoint_every) {
            self.save(history, number);
        }
        Ok(!is_last)
    }

    /// Puts the best weights back, if they are watched, and says how the run has ended.
    fn finish(mut self, history: &mut History) -> Result<()> {
        if let Some(best) = &self.best {
            variable::put_back(&tensors_of(&self.state), &best.weights)?;
            history.keep(best.epoch);
        }
        if let Some(ending) = history.ending() {
            let advice = self.advice(history);
            self.reporter.note(&format!("{ending}{advice}"));
        }
        self.reporter.finish();
        Ok(())
    }

    /// How to go on after a stop.
    fn advice(&self, history: &History) -> &'static str {
        let was_stopped = history.is_cut && self.fit.progress.is_stopped();
        match self.best {
            // Nothing has moved.
            _ if !was_stopped || history.steps == 0 => "",
            // The ending says which weights it has.
            Some(_) => "; `fit` goes on from there",
            None => "; the model keeps what it has learned, and its `fit` goes on from there",
        }
    }

    /// Remembers the best weights for early stopping.
    fn watch(&mut self, number: usize, validation: Evaluation) {
        let is_better = |best: &Best| validation.loss < best.val_loss;
        if self.fit.early_stopping.is_some() && self.best.as_ref().is_none_or(is_better) {
            self.best = Some(Best {
                epoch: number,
                val_loss: validation.loss,
                weights: self.good.iter().map(Tensor::shallow_clone).collect(),
            });
        }
    }

    /// Whether no epoch up to `number` has been the best one for as long as the run waits for a better
    /// one, which is then its ending.
    fn has_waited(&self, number: usize, history: &mut History) -> bool {
        let watched = self.best.as_ref().zip(self.fit.early_stopping);
        let waited = watched.map(|(best, patience)| (number - best.epoch, patience));
        match waited {
            Some((waited, patience)) if waited >= patience => {
                history.end(format!("not better for {}", counted(waited, "epoch")));
                true
            }
            _ => false,
        }
    }

    /// Writes the checkpoint, if one is asked for. A full disk must not cost a run of hours: it is
    /// reported, and the run goes on.
    fn save(&mut self, history: &History, number: usize) {
        let fit = self.fit;
        let Some(path) = &fit.checkpoint else { return };
        let run = Run {
            fit,
            facts: self.learner.facts(),
            begun: &self.begun,
            before: self.before,
            history,
            earlier: self.earlier,
            state: &self.state,
            optimizer: &self.optimizer,
            best: self.best.as_ref(),
        };
        if let Err(error) = self.learner.checkpoint(path, &run) {
            let note = format!("no checkpoint after epoch {number}: {error}");
            self.reporter.note(&note);
        }
    }
}

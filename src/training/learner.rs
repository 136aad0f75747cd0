//! The crate's only training loop, for heads and whole classifiers alike.
//!
//! Keras' ways: a new seeded order for each pass over the pictures, the short last batch counted by its
//! size, accuracy and loss averaged over the epoch while the weights move. Everything random follows
//! from the seed and the number of the epoch, so that a run can go on from a checkpoint with the same
//! numbers. On a GPU nothing waits for the device inside an epoch: sums stay there until its end.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::random::Random;
use crate::show::saved::Saved;
use crate::training::checkpoint::{Best, Run, Stored};
use crate::training::evaluation::Evaluation;
use crate::training::fit::Fit;
use crate::training::history::{Epoch, History};
use crate::training::loss::Step;
use crate::training::optimizer::Steps;

/// A weight that learns. The tensor shares its memory with the model and is contiguous.
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) tensor: Tensor,
    pub(crate) part: Part,
}

/// To which part of a model a variable belongs: they may have learning rates of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Base,
    Head,
}

/// What the random choices of an epoch follow from.
pub(crate) struct Draws {
    seed: u64,
    epoch: usize,
    /// How many pictures the epoch shows, counted as often as they come.
    pub(crate) pictures: usize,
}

impl Draws {
    pub(crate) fn new(seed: u64, epoch: usize, pictures: usize) -> Self {
        Self {
            seed,
            epoch,
            pictures,
        }
    }

    /// The numbers for one purpose, such as dropout.
    pub(crate) fn random(&self, purpose: &str) -> Random {
        Random::new(self.seed, &format!("{purpose} of epoch {}", self.epoch))
    }
}

/// A model with the pictures that it learns from, as the loop sees them.
pub(crate) trait Learner {
    /// The number of training pictures.
    fn num_pictures(&self) -> usize;
    /// Where the weights are.
    fn device(&self) -> Device;
    /// The weights that learn.
    fn variables(&self) -> Vec<Variable>;
    /// Draws what an epoch needs at once, such as its dropout.
    fn start_epoch(&mut self, draws: &Draws) -> Result<()>;
    /// Loss and hits for the pictures `rows` (a tensor of indices), the `first`.. of this epoch.
    fn step(&self, rows: &Tensor, first: usize) -> std::result::Result<Step, TchError>;
    /// Loss and accuracy on the validation pictures.
    fn validate(&self) -> Result<Evaluation>;
    /// How many epochs the model had learned before this run. Random choices go on from there, so that a
    /// second call of `fit` shows other versions of the pictures than the first.
    fn epochs_before(&self) -> usize;
    /// What a run that goes on must have in common with its beginning beside the options.
    fn facts(&self) -> Value;
    /// Writes the model as it is now, with all that it takes to go on.
    fn checkpoint(&self, path: &Path, run: &Run<'_>) -> Result<Saved>;
}

/// Trains `learner` and adds an entry to `history` for each epoch; `from` is a run to go on with.
///
/// On an error the weights are those of the last whole epoch.
pub(crate) fn run(
    fit: &Fit,
    learner: &mut dyn Learner,
    history: &mut History,
    from: Option<&Stored>,
) -> Result<()> {
    fit.check()?;
    let variables = learner.variables();
    let tensors = tensors_of(&variables);
    set_gradients(&tensors, true)?;
    let outcome = Loop::new(fit, learner, &variables, from)
        .and_then(|mut training| training.epochs(learner, history));
    // Whatever happened: outside of a run no weight asks for gradients.
    set_gradients(&tensors, false)?;
    outcome
}

/// Loss and gradients of one batch, and the change of the weights that they ask for.
pub(crate) fn step(
    learner: &dyn Learner,
    rows: &Tensor,
    first: usize,
    variables: &[Tensor],
    optimizer: &mut Steps,
    rates: &[f64],
) -> std::result::Result<Step, TchError> {
    // Set here, not left to the caller: a panic that a cell survived may have left it off.
    let (step, gradients) = tch::with_grad(|| {
        let step = learner.step(rows, first)?;
        let gradients = Tensor::f_run_backward(&[&step.loss], variables, false, false)?;
        Ok::<_, TchError>((step, gradients))
    })?;
    let _no_grad = tch::no_grad_guard();
    optimizer.step(variables, &gradients, rates)?;
    Ok(Step {
        loss: step.loss.f_detach()?,
        correct: step.correct,
    })
}

/// The learning rate of each variable at a step of the run.
pub(crate) fn rates(fit: &Fit, variables: &[Variable], factor: f64) -> Vec<f64> {
    // A head that learns alone has no use for a rate beside the base's.
    let has_base = variables.iter().any(|variable| variable.part == Part::Base);
    let of_head = fit.head_learning_rate.filter(|_| has_base);
    let rate = |variable: &Variable| match variable.part {
        Part::Head => of_head.unwrap_or(fit.learning_rate) * factor,
        Part::Base => fit.learning_rate * factor,
    };
    variables.iter().map(rate).collect()
}

/// The pictures of an epoch (counted from 0), in order, and how many of them each step takes.
///
/// Steps are cut from an endless row of passes, each over all pictures in an order of its own; `before`
/// is the number of epochs that the model had learned before the run.
pub(crate) fn batches(
    fit: &Fit,
    pictures: usize,
    epoch: usize,
    before: usize,
) -> (Vec<i64>, Vec<usize>) {
    let in_pass = pictures.div_ceil(fit.batch_size).max(1);
    let steps = fit.steps.unwrap_or(in_pass);
    let (mut rows, mut sizes) = (Vec::new(), Vec::new());
    let mut pass: Option<(usize, Vec<i64>)> = None;
    for step in epoch * steps..(epoch + 1) * steps {
        let number = step / in_pass;
        if pass.as_ref().is_none_or(|(current, _)| *current != number) {
            let mut order = (0..pictures as i64).collect::<Vec<_>>();
            Random::new(fit.seed, &format!("order of pass {}", number + before))
                .shuffle(&mut order);
            pass = Some((number, order));
        }
        let first = step % in_pass * fit.batch_size;
        let order = pass.as_ref().map_or(&[][..], |(_, order)| order.as_slice());
        let batch = order.iter().skip(first).take(fit.batch_size);
        sizes.push(batch.len());
        rows.extend(batch);
    }
    (rows, sizes)
}

/// How an epoch went.
struct Passed {
    steps: usize,
    trained: Evaluation,
    /// After how many steps it was stopped, if it was.
    stopped_after: Option<usize>,
}

/// A run between its epochs.
struct Loop<'a> {
    fit: &'a Fit,
    variables: &'a [Variable],
    tensors: Vec<Tensor>,
    optimizer: Steps,
    best: Option<Best>,
    /// The weights after the last whole epoch.
    good: Vec<Tensor>,
    /// The epochs of an earlier run that this one goes on with.
    earlier: Vec<Epoch>,
    /// How many epochs the model had learned before either.
    before: usize,
    doing: String,
}

impl<'a> Loop<'a> {
    fn new(
        fit: &'a Fit,
        learner: &dyn Learner,
        variables: &'a [Variable],
        from: Option<&Stored>,
    ) -> Result<Self> {
        let doing = format!(
            "training on {}",
            crate::machine::device::name(learner.device())
        );
        let failed = || Error::batch(doing.clone(), fit.batch_size);
        let tensors = tensors_of(variables);
        let mut optimizer = Steps::new(fit.optimizer, &tensors).map_err(failed())?;
        let mut best = None;
        let mut earlier = Vec::new();
        let mut before = learner.epochs_before();
        if let Some(stored) = from {
            best = stored.recall(fit, &learner.facts(), variables, &mut optimizer)?;
            earlier = stored.epochs.clone();
            before = stored.before();
        }
        Ok(Self {
            fit,
            variables,
            good: copies_of(&tensors).map_err(failed())?,
            tensors,
            optimizer,
            best,
            earlier,
            before,
            doing,
        })
    }

    fn epochs(&mut self, learner: &mut dyn Learner, history: &mut History) -> Result<()> {
        let fit = self.fit;
        history.epochs.extend(&self.earlier);
        let waited = self
            .best
            .as_ref()
            .map_or(0, |best| self.earlier.len() - best.epoch);
        if fit
            .early_stopping
            .is_some_and(|patience| waited >= patience)
        {
            // The run was over when its checkpoint was written.
            history.end(format!("not better for {waited} epochs"));
            return self.finish(history);
        }
        for number in self.earlier.len() + 1..=fit.epochs {
            let start = Instant::now();
            let passed = match self.epoch(learner, number) {
                Ok(passed) => passed,
                Err(error) => {
                    self.put_back(&self.good)?;
                    return Err(error);
                }
            };
            history.steps += passed.steps;
            if let Some(steps) = passed.stopped_after {
                let ending = match steps {
                    0 => format!("stopped before epoch {number}"),
                    1 => format!("stopped in epoch {number}, after 1 step"),
                    _ => format!("stopped in epoch {number}, after {steps} steps"),
                };
                history.end(ending);
                break;
            }
            let validation = match learner.validate() {
                Ok(evaluation) => Some(evaluation),
                Err(Error::Stopped { .. }) => None,
                Err(error) => {
                    self.put_back(&self.good)?;
                    return Err(error);
                }
            };
            if let Some(loss) = validation.map(|v| v.loss).filter(|loss| !loss.is_finite()) {
                // The last step has gone too far; its own loss was measured before it.
                self.put_back(&self.good)?;
                return check_finite(loss, number, passed.steps);
            }
            let epoch = Epoch {
                loss: passed.trained.loss,
                accuracy: passed.trained.accuracy,
                val_loss: validation.map(|v| v.loss),
                val_accuracy: validation.map(|v| v.accuracy),
                seconds: start.elapsed().as_secs_f64(),
            };
            fit.progress
                .line(&epoch.line(number, fit.epochs, passed.steps));
            history.epochs.push(epoch);
            self.good = copies_of(&self.tensors)
                .map_err(Error::compute("keeping the last good weights"))?;
            if validation.is_none() {
                // No checkpoint: a run that goes on does this epoch again, with its validation.
                history.end(format!(
                    "stopped after epoch {number}, before its validation"
                ));
                break;
            }
            let waited = self.watch(number, validation);
            let is_last = number == fit.epochs
                || fit
                    .early_stopping
                    .is_some_and(|patience| waited >= patience);
            if is_last || number.is_multiple_of(fit.checkpoint_every) {
                self.save(learner, history, number);
            }
            if fit
                .early_stopping
                .is_some_and(|patience| waited >= patience)
            {
                history.end(format!("not better for {waited} epochs"));
                break;
            }
        }
        self.finish(history)
    }

    /// Puts the best weights back, if they are watched, and says how the run has ended.
    fn finish(&self, history: &mut History) -> Result<()> {
        if let Some(best) = &self.best {
            self.put_back(&best.weights)?;
            history.end(format!("the weights are those of epoch {}", best.epoch));
        }
        if let Some(ending) = history.ending() {
            self.fit.progress.line(&format!("Note: {ending}"));
        }
        Ok(())
    }

    /// One pass over an epoch's batches. On a GPU reads from the device once, at the end.
    fn epoch(&mut self, learner: &mut dyn Learner, number: usize) -> Result<Passed> {
        let fit = self.fit;
        let doing = self.doing.clone();
        let failed = || Error::batch(doing.clone(), fit.batch_size);
        let device = learner.device();
        let (rows, sizes) = batches(fit, learner.num_pictures(), number - 1, self.before);
        learner.start_epoch(&Draws::new(fit.seed, self.before + number, rows.len()))?;
        let rows = Tensor::f_from_slice(&rows)
            .and_then(|rows| rows.f_to_device(device))
            .map_err(failed())?;
        let name = format!("Epoch {number}/{}", fit.epochs);
        let mut task = fit
            .progress
            .slower()
            .task(&name, "steps", Some(sizes.len()));
        let mut first = 0;
        let mut steps = Vec::with_capacity(sizes.len());
        for (done, &count) in sizes.iter().enumerate() {
            if fit.progress.is_stopped() {
                break;
            }
            let factor =
                fit.schedule
                    .factor((number - 1) * sizes.len() + done, sizes.len(), fit.epochs);
            let rates = rates(fit, self.variables, factor);
            let batch = rows
                .f_narrow(0, first as i64, count as i64)
                .and_then(|rows| {
                    step(
                        learner,
                        &rows,
                        first,
                        &self.tensors,
                        &mut self.optimizer,
                        &rates,
                    )
                })
                .map_err(failed())?;
            if device == Device::Cpu {
                // Free here; on a GPU it would make the host wait in every step.
                let loss = batch.loss.f_double_value(&[]).map_err(failed())?;
                check_finite(loss, number, done + 1)?;
            }
            steps.push(numbers_of(&batch).map_err(failed())?);
            first += count;
            task.done(done + 1);
        }
        let stopped_after = (steps.len() < sizes.len()).then_some(steps.len());
        let numbers = if steps.is_empty() {
            Vec::new()
        } else {
            Tensor::f_stack(&steps, 0)
                .and_then(|all| Vec::<f64>::try_from(&all.f_to_device(Device::Cpu)?.f_view(-1)?))
                .map_err(failed())?
        };
        // The loss is a mean over the batch: weighed by its size, so that a short last one counts less.
        let (mut loss, mut correct) = (0.0, 0.0);
        for (done, (step, &count)) in numbers.chunks_exact(2).zip(&sizes).enumerate() {
            check_finite(step[0], number, done + 1)?;
            loss += step[0] * count as f64;
            correct += step[1];
        }
        let pictures = first.max(1) as f64;
        Ok(Passed {
            steps: steps.len(),
            trained: Evaluation {
                loss: loss / pictures,
                accuracy: correct / pictures,
            },
            stopped_after,
        })
    }

    /// Remembers the best weights for early stopping, and tells how many epochs ago they were.
    fn watch(&mut self, number: usize, validation: Option<Evaluation>) -> usize {
        let Some((_, validation)) = self.fit.early_stopping.zip(validation) else {
            return 0;
        };
        let is_better = |best: &Best| validation.loss < best.val_loss;
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(Best {
                epoch: number,
                val_loss: validation.loss,
                weights: self.good.iter().map(Tensor::shallow_clone).collect(),
            });
        }
        self.best.as_ref().map_or(0, |best| number - best.epoch)
    }

    /// Writes the checkpoint, if one is asked for. A full disk must not cost a run of hours: it is
    /// reported, and the run goes on.
    fn save(&self, learner: &dyn Learner, history: &History, number: usize) {
        let fit = self.fit;
        let Some(path) = &fit.checkpoint else { return };
        let run = Run {
            fit,
            facts: learner.facts(),
            before: self.before,
            history,
            earlier: self.earlier.len(),
            variables: self.variables,
            optimizer: &self.optimizer,
            best: self.best.as_ref(),
        };
        if let Err(error) = learner.checkpoint(path, &run) {
            fit.progress.line(&format!(
                "Note: no checkpoint after epoch {number}: {error}"
            ));
        }
    }

    fn put_back(&self, weights: &[Tensor]) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (variable, good) in self.tensors.iter().zip(weights) {
            variable
                .f_detach()
                .and_then(|mut variable| variable.f_copy_(good))
                .map_err(Error::compute("putting the last good weights back"))?;
        }
        Ok(())
    }
}

/// Loss and hits of a step in one small tensor, on the device.
fn numbers_of(step: &Step) -> std::result::Result<Tensor, TchError> {
    let numbers = [
        step.loss.f_to_kind(Kind::Double)?,
        step.correct.f_to_kind(Kind::Double)?,
    ];
    Tensor::f_stack(&numbers, 0)
}

fn check_finite(loss: f64, epoch: usize, step: usize) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { loss, epoch, step })
}

pub(crate) fn set_gradients(tensors: &[Tensor], on: bool) -> Result<()> {
    for tensor in tensors {
        let _ = tensor
            .f_set_requires_grad(on)
            .map_err(Error::compute("preparing the weights for training"))?;
    }
    Ok(())
}

pub(crate) fn tensors_of(variables: &[Variable]) -> Vec<Tensor> {
    variables
        .iter()
        .map(|variable| variable.tensor.shallow_clone())
        .collect()
}

/// Copies that no graph knows of.
pub(crate) fn copies_of(tensors: &[Tensor]) -> std::result::Result<Vec<Tensor>, TchError> {
    // Detached first: a copy made in one go would keep a way back to the variable.
    let copy = |tensor: &Tensor| tensor.f_detach()?.f_detach_copy();
    tensors.iter().map(copy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shows_each_picture_once_and_steps_cut_an_endless_row() {
        let fit = Fit::default().batch_size(4);
        let (mut rows, sizes) = batches(&fit, 10, 0, 0);
        assert_eq!(sizes, [4, 4, 2]);
        rows.sort_unstable();
        assert_eq!(rows, (0..10).collect::<Vec<_>>());
        // Two steps an epoch: the second epoch begins with the last batch of the first pass.
        let fit = fit.steps(2);
        let halves = (0..3).map(|epoch| batches(&fit, 10, epoch, 0));
        let (rows, sizes): (Vec<_>, Vec<_>) = halves.unzip();
        assert_eq!(sizes, [[4, 4], [2, 4], [4, 2]]);
        let all = rows.concat();
        for pass in [&all[..10], &all[10..]] {
            let mut pass = pass.to_vec();
            pass.sort_unstable();
            assert_eq!(pass, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(all[..10], all[10..], "each pass has an order of its own");
        let again = batches(&fit, 10, 0, 3).0;
        assert_ne!(all[..8], again, "and so has each run of the same model");
    }
}

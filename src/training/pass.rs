//! One pass over the batches of an epoch, alone or with other processes.

use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::training::averages::{Averages, read};
use crate::training::dropout;
use crate::training::evaluation::Evaluation;
use crate::training::fit::Fit;
use crate::training::learner::{self, Learner};
use crate::training::loss::Measured;
use crate::training::optimizer::OptimizerState;
use crate::training::order::{Draws, Order};
use crate::training::reporter::Reporter;
use crate::training::source::Source;
use crate::training::together;
use crate::training::variable::{self, Variable};

/// How an epoch went.
pub(crate) struct Passed {
    pub(crate) steps: usize,
    pub(crate) trained: Evaluation,
    /// What each step gave.
    pub(crate) each: Vec<Evaluation>,
    /// After how many steps it was stopped, if it was.
    pub(crate) stopped_after: Option<usize>,
}

/// What a pass changes and what it goes by.
pub(crate) struct Pass<'a> {
    pub(crate) fit: &'a Fit,
    pub(crate) learner: &'a dyn Learner,
    pub(crate) variables: &'a [Variable],
    pub(crate) tensors: &'a [Tensor],
    pub(crate) optimizer: &'a mut OptimizerState,
    /// How many epochs the model had learned before the run.
    pub(crate) before: usize,
    pub(crate) doing: &'a str,
    pub(crate) reporter: &'a mut Reporter,
}

/// A step of a pass.
struct Next<'a> {
    /// How many pictures this process takes of how many.
    own: usize,
    of: usize,
    mask: Option<&'a Tensor>,
    rates: &'a [f64],
    is_stopped: bool,
}

impl Pass<'_> {
    /// Takes every step of epoch `number` of the run. On a GPU, alone, it reads from the device once, at the end.
    pub(crate) fn take(mut self, source: &mut dyn Source, number: usize) -> Result<Passed> {
        let fit = self.fit;
        let doing = self.doing;
        let failed = || Error::batch(doing, fit.batch_size);
        let device = self.learner.device();
        let order = Order::shuffled(fit, source.len(), number - 1, self.before);
        let mut draws = Draws::new(fit.seed, self.before + number, order.pictures.len());
        let is_alone = fit.world.is_alone();
        let share = (!is_alone).then(|| order.share(&fit.world));
        let own = match share {
            None => &order,
            Some((ref own, ref places)) => {
                draws = draws.at(places.clone());
                own
            }
        };
        let masks = self.learner.dropout().masks(&draws, device);
        let masks = masks.and_then(|masks| {
            source.begin(&own.pictures, Some(&draws))?;
            Ok(masks)
        });
        let masks = fit.world.agree(masks)?;
        let steps_in_all = order.sizes.len();
        self.reporter
            .begin_epoch(number, steps_in_all, order.pictures.len());
        let mut first = 0;
        let mut steps = 0;
        let mut so_far = Averages::new(self.learner.target());
        // What was measured on a GPU, until the epoch's end.
        let mut there = Vec::new();
        for (done, (&of, &own)) in order.sizes.iter().zip(&own.sizes).enumerate() {
            let is_stopped = fit.progress.is_stopped();
            if is_stopped && is_alone {
                break;
            }
            let step = (number - 1) * steps_in_all + done;
            let factor = fit.schedule.factor(step, steps_in_all, fit.epochs);
            let rates = variable::rates(fit, self.variables, factor);
            let mask = dropout::rows_of(masks.as_ref(), first, own).map_err(failed())?;
            let next = Next {
                own,
                of,
                mask: mask.as_ref(),
                rates: &rates,
                is_stopped,
            };
            let taken = match is_alone {
                true => Some(self.step(source, &next)?),
                false => self.step_together(source, &next)?,
            };
            let Some(measured) = taken else { break };
            steps += 1;
            first += own;
            // Free here; on a GPU it would make the host wait in every step.
            let is_known = measured.loss.device() == Device::Cpu;
            if is_known {
                so_far.add(&read(&[measured]).map_err(failed())?, &[of], number)?;
            } else {
                there.push(measured);
            }
            self.reporter
                .step(steps, is_known.then(|| so_far.evaluation()));
        }
        so_far.add(&read(&there).map_err(failed())?, &order.sizes, number)?;
        Ok(Passed {
            steps,
            trained: so_far.evaluation(),
            each: so_far.each(),
            stopped_after: (steps < steps_in_all).then_some(steps),
        })
    }

    /// A step of this process alone: loss and measure, on the device.
    fn step(&mut self, source: &mut dyn Source, next: &Next<'_>) -> Result<Measured> {
        source
            .next(next.of)
            .and_then(|batch| {
                Ok(learner::step(
                    self.learner,
                    &batch,
                    next.mask,
                    self.tensors,
                    self.optimizer,
                    next.rates,
                )?)
            })
            .map_err(|failure| failure.or(Error::batch(self.doing, self.fit.batch_size)))
    }

    /// The same with the other processes; nothing if one of them wishes to stop.
    fn step_together(
        &mut self,
        source: &mut dyn Source,
        next: &Next<'_>,
    ) -> Result<Option<Measured>> {
        let failed = || Error::batch(self.doing, self.fit.batch_size);
        let learned = match next.own {
            own if own > 0 && !next.is_stopped => source
                .next(own)
                .and_then(|batch| {
                    let (learner, mask) = (self.learner, next.mask);
                    let learned = learner::gradients(learner, &batch, mask, self.tensors)?;
                    Ok(Some(learned))
                })
                .map_err(|failure| failure.or(failed())),
            _ => Ok(None),
        };
        let share = next.own as f64 / next.of as f64;
        let (world, is_stopped) = (&self.fit.world, next.is_stopped);
        let sum = together::exchange(world, self.tensors, learned, share, is_stopped)?;
        let Some((measured, gradients)) = sum else {
            return Ok(None);
        };
        let _no_grad = tch::no_grad_guard();
        self.optimizer
            .step(self.tensors, &gradients, next.rates)
            .map_err(failed())?;
        Ok(Some(measured))
    }
}

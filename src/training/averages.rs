//! Loss and measure of a running epoch, from what its steps have given.

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::pictures::target::Target;
use crate::training::evaluation::Evaluation;
use crate::training::loss::Measured;

/// What an epoch's steps have given so far.
pub(crate) struct Averages {
    target: Target,
    steps: usize,
    pictures: usize,
    loss: f64,
    measure: f64,
    /// Each step by itself.
    each: Vec<Evaluation>,
}

impl Averages {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            steps: 0,
            pictures: 0,
            loss: 0.0,
            measure: 0.0,
            each: Vec::new(),
        }
    }

    /// Adds steps of these sizes by their losses and sums of the measure.
    pub(crate) fn add(
        &mut self,
        numbers: &[[f64; 2]],
        sizes: &[usize],
        epoch: usize,
    ) -> Result<()> {
        for (&[loss, measure], &count) in numbers.iter().zip(sizes) {
            self.steps += 1;
            check_finite(loss, epoch, self.steps)?;
            // The loss is a mean over the batch: weighed by its size, so that a short last one counts less.
            self.loss += loss * count as f64;
            self.measure += measure;
            self.each
                .push(self.target.evaluation(loss, measure / count as f64));
            self.pictures += count;
        }
        Ok(())
    }

    /// What each step gave, in their order.
    pub(crate) fn each(self) -> Vec<Evaluation> {
        self.each
    }

    /// Both 0 without any.
    pub(crate) fn evaluation(&self) -> Evaluation {
        let pictures = self.pictures.max(1) as f64;
        self.target
            .evaluation(self.loss / pictures, self.measure / pictures)
    }
}

/// The numbers of some steps, read from the device at once.
pub(crate) fn read(steps: &[Measured]) -> std::result::Result<Vec<[f64; 2]>, TchError> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let all = |number: fn(&Measured) -> &Tensor| {
        let numbers = steps.iter().map(number).collect::<Vec<_>>();
        let numbers = Tensor::f_stack(&numbers, 0)?.f_to_device(Device::Cpu)?;
        Vec::<f64>::try_from(&numbers.f_to_kind(Kind::Double)?)
    };
    let losses = all(|step| &step.loss)?;
    let measures = all(|step| &step.measure)?;
    let pairs = losses.into_iter().zip(measures);
    Ok(pairs.map(|(loss, measure)| [loss, measure]).collect())
}

/// Refuses a loss that is no number: training has diverged.
pub(crate) fn check_finite(loss: f64, epoch: usize, step: usize) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { loss, epoch, step })
}

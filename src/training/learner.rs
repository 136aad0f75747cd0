//! What learns, as the training loop sees it, and one step of its learning.

use std::path::Path;

use serde_json::Value;
use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::pictures::target::Target;
use crate::show::saved::Saved;
use crate::training::checkpoint::Run;
use crate::training::dropout::Dropout;
use crate::training::fit::Fit;
use crate::training::loss::Measured;
use crate::training::optimizer::OptimizerState;
use crate::training::source::Batch;
use crate::training::variable::Variable;

/// A model that learns from the batches of a [`Source`](crate::training::source::Source).
pub(crate) trait Learner {
    /// Where the weights are.
    fn device(&self) -> Device;

    /// The weights that learn.
    fn variables(&self) -> Vec<Variable>;

    /// What it answers, which says how it is measured.
    fn target(&self) -> Target;

    /// What moves while they learn, without a gradient: the averages of batch normalisation.
    fn buffers(&self) -> Vec<Variable> {
        Vec::new()
    }

    /// The dropout of its hidden layer.
    fn dropout(&self) -> Dropout;

    /// Logits [N] or [N, names] for a batch's inputs.
    fn logits(&self, inputs: &[Tensor], mode: Mode<'_>) -> std::result::Result<Tensor, TchError>;

    /// How many epochs the model had learned before this run. Random choices go on from there, so that a
    /// second call of `fit` shows other versions of the pictures than the first.
    fn epochs_before(&self) -> usize;

    /// How many pictures it measures itself on at once.
    fn pictures_at_once(&self) -> usize;

    /// What a run that goes on must have in common with its beginning beside the options.
    fn facts(&self) -> Value;

    /// What tells its run from others.
    fn begun(&self) -> &Value;

    /// Writes the model as it is now, with all that it takes to go on.
    fn checkpoint(&self, path: &Path, run: &Run<'_>) -> Result<Saved>;
}

/// What a batch passes a learner for.
#[derive(Clone, Copy)]
pub(crate) enum Mode<'a> {
    /// To learn from it; the mask (N, units) says what dropout keeps.
    Training(Option<&'a Tensor>),
    /// To be answered.
    Inference,
}

/// Everything that a run changes, in the memory of the model: the weights that learn, then what moves with them.
pub(crate) fn state_of(learner: &dyn Learner) -> Vec<Variable> {
    let mut state = learner.variables();
    state.extend(learner.buffers());
    state
}

/// Loss and gradients of one batch, and the change of the weights that they ask for.
pub(crate) fn step(
    learner: &dyn Learner,
    batch: &Batch,
    mask: Option<&Tensor>,
    variables: &[Tensor],
    optimizer: &mut OptimizerState,
    rates: &[f64],
) -> std::result::Result<Measured, TchError> {
    let (measured, gradients) = gradients(learner, batch, mask, variables)?;
    let _no_grad = tch::no_grad_guard();
    optimizer.step(variables, &gradients, rates)?;
    Ok(measured)
}

/// Loss and gradients of one batch.
pub(crate) fn gradients(
    learner: &dyn Learner,
    batch: &Batch,
    mask: Option<&Tensor>,
    variables: &[Tensor],
) -> std::result::Result<(Measured, Vec<Tensor>), TchError> {
    // Set here, not left to the caller: a panic that a cell survived may have left it off.
    tch::with_grad(|| {
        let logits = learner.logits(&batch.inputs, Mode::Training(mask))?;
        let Measured { loss, measure } = batch.targets.measure(&logits)?;
        let gradients = Tensor::f_run_backward(&[&loss], variables, false, false)?;
        let loss = loss.f_detach()?;
        Ok((Measured { loss, measure }, gradients))
    })
}

/// Lets `work` change the weights of `learner`, which ask for gradients meanwhile, whatever comes of it.
pub(crate) fn learning<T>(
    fit: &Fit,
    learner: &dyn Learner,
    work: impl FnOnce(&[Variable]) -> Result<T>,
) -> Result<T> {
    fit.check()?;
    let variables = learner.variables();
    let set_gradients = |on: bool| {
        for variable in &variables {
            let _ = variable
                .tensor
                .f_set_requires_grad(on)
                .map_err(Error::compute("preparing the weights for training"))?;
        }
        Ok(())
    };
    set_gradients(true)?;
    let outcome = work(&variables);
    set_gradients(false)?;
    outcome
}

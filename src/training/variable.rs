//! A weight that learns.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::training::fit::Fit;

/// A weight that learns. The tensor shares its memory with the model and is contiguous.
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) tensor: Tensor,
    pub(crate) group: ParameterGroup,
}

/// The weights that share a learning rate: a head may have another one than the base below it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterGroup {
    Base,
    Head,
}

/// The tensors of some variables, which share their memory.
pub(crate) fn tensors_of(variables: &[Variable]) -> Vec<Tensor> {
    variables
        .iter()
        .map(|variable| variable.tensor.shallow_clone())
        .collect()
}

/// The learning rate of each variable at a step of the run, where the schedule says `factor`.
pub(crate) fn rates(fit: &Fit, variables: &[Variable], factor: f64) -> Vec<f64> {
    // A head that learns alone has no use for a rate beside the base's.
    let is_base = |variable: &Variable| variable.group == ParameterGroup::Base;
    let of_head = fit
        .head_learning_rate
        .filter(|_| variables.iter().any(is_base));
    let rate = |variable: &Variable| match variable.group {
        ParameterGroup::Head => of_head.unwrap_or(fit.learning_rate) * factor,
        ParameterGroup::Base => fit.learning_rate * factor,
    };
    variables.iter().map(rate).collect()
}

/// Copies that no graph knows of.
pub(crate) fn copies_of(tensors: &[Tensor]) -> std::result::Result<Vec<Tensor>, TchError> {
    // Detached first: a copy made in one go would keep a way back to the variable.
    let copy = |tensor: &Tensor| tensor.f_detach()?.f_detach_copy();
    tensors.iter().map(copy).collect()
}

/// Gives `tensors` the values that `copies_of` kept.
pub(crate) fn put_back(tensors: &[Tensor], kept: &[Tensor]) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    for (tensor, kept) in tensors.iter().zip(kept) {
        tensor
            .f_detach()
            .and_then(|mut tensor| tensor.f_copy_(kept))
            .map_err(Error::compute("putting weights back"))?;
    }
    Ok(())
}

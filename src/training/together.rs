//! A step of several processes: each brings the gradients of its share of the batch, and all take the sum away.
//!
//! One exchange a step, of one row of f32: the gradients of all variables, weighed by the share, loss and measure, and
//! whether somebody has failed or wishes to stop, so that nobody waits for a process that is gone. A sum of numbers that
//! are none is none on all.

use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::scalar::scalar;
use crate::machine::world::World;
use crate::training::loss::Measured;

/// What stands behind the gradients: loss, measure, how many have failed, how many wish to stop.
const SAID: usize = 4;

/// What one process has learned from its share of a batch; nothing where the share is.
pub(crate) type Learned = Option<(Measured, Vec<Tensor>)>;

/// Loss and measure of a whole batch, on the CPU, and its gradients.
pub(crate) type Sum = (Measured, Vec<Tensor>);

/// Adds up what the processes have learned of a batch of which this one had the share `share`, 0 to 1; nothing if one
/// of them wishes to stop.
///
/// # Errors
/// What one of them has failed with, on all.
pub(crate) fn exchange(
    world: &World,
    variables: &[Tensor],
    learned: Result<Learned>,
    share: f64,
    is_stopped: bool,
) -> Result<Option<Sum>> {
    let failed = || Error::compute("exchanging gradients");
    let values = variables.iter().map(Tensor::numel).sum::<usize>();
    let mut row = vec![0.0; values + SAID];
    let filled = learned.and_then(|learned| match learned {
        None => Ok(()),
        Some(learned) => fill(&mut row, &learned, share).map_err(failed()),
    });
    if filled.is_err() {
        row[values + 2] = 1.0;
    }
    if is_stopped {
        row[values + 3] = 1.0;
    }
    world.sum(&mut row);
    let said = row.split_off(values);
    if said[2] > 0.0 {
        world.agree(filled)?;
    }
    if said[3] > 0.0 {
        return Ok(None);
    }
    let numbers = [f64::from(said[0]), f64::from(said[1])];
    sum(&numbers, &row, variables).map(Some).map_err(failed())
}

/// Writes what was learned into the row.
fn fill(
    row: &mut [f32],
    (measured, gradients): &(Measured, Vec<Tensor>),
    share: f64,
) -> std::result::Result<(), TchError> {
    let values = row.len() - SAID;
    let flat = gradients.iter().map(|gradient| gradient.f_reshape(-1));
    let flat = Tensor::f_cat(&flat.collect::<std::result::Result<Vec<_>, _>>()?, 0)?;
    // Each is a mean over its share: weighed by it they add up to that over the batch.
    let weighed = flat.f_mul(&scalar(share)?)?.f_to_device(Device::Cpu)?;
    weighed.f_copy_data(&mut row[..values], values)?;
    row[values] = (measured.loss.f_double_value(&[])? * share) as f32;
    row[values + 1] = measured.measure.f_double_value(&[])? as f32;
    Ok(())
}

/// Cuts the row into gradients.
fn sum(numbers: &[f64], row: &[f32], variables: &[Tensor]) -> std::result::Result<Sum, TchError> {
    let flat = Tensor::f_from_slice(row)?;
    let mut first = 0;
    let mut gradients = Vec::with_capacity(variables.len());
    for variable in variables {
        let count = variable.numel() as i64;
        let part = flat.f_narrow(0, first, count)?;
        gradients.push(part.f_to_device(variable.device())?.f_view_as(variable)?);
        first += count;
    }
    let numbers = Tensor::f_from_slice(numbers)?;
    let measured = Measured {
        loss: numbers.f_get(0)?,
        measure: numbers.f_get(1)?,
    };
    Ok((measured, gradients))
}

//! Measuring a learner on pictures that it does not learn from.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::fitting_batch::FittingBatch;
use crate::machine::scalar::count_up_to;
use crate::machine::world::World;
use crate::show::progress::Progress;
use crate::training::evaluation::{Evaluation, Sums};
use crate::training::learner::{Learner, Mode};
use crate::training::order::Order;
use crate::training::source::{Batch, Source};

/// Loss and measure of `learner` on all pictures of `source`, as they are, together with those of the other processes of
/// `world`. `each` hears how many are done, as far as the host knows: a GPU may be behind.
pub(crate) fn evaluate(
    world: &World,
    learner: &dyn Learner,
    source: &mut dyn Source,
    progress: &Progress,
    doing: &str,
    each: impl FnMut(usize),
) -> Result<Evaluation> {
    let own = measured(learner, source, progress, doing, each);
    let failed = Error::batch(doing, learner.pictures_at_once());
    world.agree(own)?.read_with(world).map_err(failed)
}

/// What this process measures on its pictures.
fn measured(
    learner: &dyn Learner,
    source: &mut dyn Source,
    progress: &Progress,
    doing: &str,
    mut each: impl FnMut(usize),
) -> Result<Sums> {
    let _no_grad = tch::no_grad_guard();
    let at_once = learner.pictures_at_once();
    let order = Order::straight(source.len(), at_once);
    source.begin(&order.pictures, None)?;
    let mut sums = Sums::new(learner.target());
    let mut fitting = FittingBatch::new(at_once);
    let mut done = 0;
    for count in order.sizes {
        progress.check(doing)?;
        source
            .next(count)
            .and_then(|batch| {
                let logits = logits_in_parts(learner, &batch, &mut fitting)?;
                Ok(sums.add(&batch.targets.measure(&logits)?, count)?)
            })
            .map_err(|failure| failure.or(Error::batch(doing, at_once)))?;
        done += count;
        each(done);
    }
    Ok(sums)
}

/// The logits of a batch, in parts where memory does not suffice for the whole.
fn logits_in_parts(
    learner: &dyn Learner,
    batch: &Batch,
    fitting: &mut FittingBatch,
) -> std::result::Result<Tensor, TchError> {
    let rows = count_up_to(batch.targets.len())?;
    let whole = rows.numel();
    fitting.run(&rows, &|rows| {
        if rows.numel() == whole {
            return learner.logits(&batch.inputs, Mode::Inference);
        }
        let select = |input: &Tensor| input.f_index_select(0, &rows.f_to_device(input.device())?);
        let part = batch.inputs.iter().map(select);
        let part = part.collect::<std::result::Result<Vec<_>, _>>()?;
        learner.logits(&part, Mode::Inference)
    })
}

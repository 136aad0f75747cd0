//! The learning rate finder: a short run in which the rate grows at each step, and what the loss makes
//! of it (Smith 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3).
//!
//! ```
//! use evcxr_transfer::{Features, Fit, Head, Progress, ndarray::Array4};
//! let values = Array4::from_shape_fn((8, 1, 1, 2), |(n, _, _, c)| if c == 0 { (n % 2) as f32 } else { 0.5 });
//! let features = Features::from_array(&values, &[0, 1, 0, 1, 0, 1, 0, 1], &["cats", "dogs"])?;
//! let head = Head::dense(16).build(&features, 0)?;
//! let found = head.lr_find(&features, &Fit::default().progress(Progress::quiet()))?;
//! assert!(found.suggestion().is_some_and(|rate| rate > 1e-7 && rate < 1.0));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};
use crate::show::figure::Figure;
use crate::show::table::Table;
use crate::training::fit::Fit;
use crate::training::learner::{self, Draws, Learner};
use crate::training::optimizer::Steps;

/// The first and the last learning rate that is tried.
const RANGE: (f64, f64) = (1e-7, 1.0);
/// How much of the last loss the next smoothed one keeps.
const SMOOTHING: f64 = 0.9;
/// A smoothed loss this many times the best one ends the search: it has begun to diverge.
const DIVERGED: f64 = 4.0;

/// The loss at each learning rate that was tried, and the one to take.
#[derive(Clone, PartialEq)]
pub struct LearningRates {
    rates: Vec<f64>,
    losses: Vec<f64>,
}

impl LearningRates {
    /// The learning rates, rising.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// The training loss at each rate, smoothed over some steps.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// A good learning rate: the middle of the longest stretch over which the loss falls, in steps of
    /// the search. Nothing if it never falls.
    pub fn suggestion(&self) -> Option<f64> {
        let (first, last) = longest_fall(&self.losses)?;
        Some(self.rates[(first + last) / 2])
    }

    /// The loss by learning rate, with the suggestion.
    pub fn plot(&self) -> Figure {
        let points = self.rates.iter().copied().zip(self.losses.iter().copied());
        let mut series = vec![Series {
            name: "training loss, smoothed".into(),
            points: points.collect(),
            ..Series::default()
        }];
        if let Some(rate) = self.suggestion() {
            let finite = self.losses.iter().copied();
            let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), loss| {
                (low.min(loss), high.max(loss))
            });
            series.push(Series {
                name: format!("suggestion: {rate:.1e}"),
                // Three points, since two are drawn as dots.
                points: [low, (low + high) / 2.0, high].map(|y| (rate, y)).to_vec(),
                mark: Mark::Dashed,
                colour: 1,
            });
        }
        let panel = Panel {
            x_label: "learning rate".into(),
            y_label: "mean cross-entropy".into(),
            series,
            is_log: true,
            ..Panel::default()
        };
        Figure::lines("Learning rate finder", vec![panel])
    }

    /// The numbers, a rate a row.
    pub fn table(&self) -> Table {
        let table = Table::new("Learning rate finder", &["learning rate", "loss"]);
        let mut table = table.right_aligned(&[0, 1]);
        for (rate, loss) in self.rates.iter().zip(&self.losses) {
            table.push([format!("{rate:.2e}"), format!("{loss:.4}")]);
        }
        table.note(&self.to_string())
    }

    /// Shows the plot under a notebook cell.
    pub fn evcxr_display(&self) {
        self.plot().evcxr_display();
    }
}

impl fmt::Display for LearningRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} learning rates tried, ", self.rates.len())?;
        match self.suggestion() {
            Some(rate) => write!(f, "suggestion: {rate:.1e}"),
            None => write!(f, "no suggestion: the loss never falls"),
        }
    }
}

impl fmt::Debug for LearningRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LearningRates({self})")
    }
}

/// First and last place of the longest falling row that can be picked out of `values`, gaps allowed,
/// so that noise does not end it.
fn longest_fall(values: &[f64]) -> Option<(usize, usize)> {
    // For each place: the length of the longest such row that ends there, and where it begins.
    let mut rows: Vec<(usize, usize)> = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        let before = rows.iter().zip(values);
        let longer = before.filter(|(_, earlier)| *earlier > value);
        let best = longer
            .map(|(&row, _)| row)
            .reduce(|best, row| if row.0 > best.0 { row } else { best });
        rows.push(best.map_or((1, place), |(length, first)| (length + 1, first)));
    }
    let all = rows.into_iter().enumerate();
    let best = all.reduce(|best, row| if row.1.0 > best.1.0 { row } else { best });
    best.filter(|(_, (length, _))| *length > 1)
        .map(|(last, (_, first))| (first, last))
}

/// Tries the rates on `learner`, whose weights are the same afterwards.
pub(crate) fn find(fit: &Fit, learner: &mut dyn Learner) -> Result<LearningRates> {
    let tries = fit.steps.unwrap_or(100).max(2);
    let fit = &fit.clone().steps(tries);
    fit.check()?;
    let variables = learner.variables();
    let tensors = learner::tensors_of(&variables);
    let failed = || Error::batch("trying learning rates", fit.batch_size);
    let kept = learner::copies_of(&tensors).map_err(failed())?;
    learner::set_gradients(&tensors, true)?;
    let outcome = grow(fit, learner, &tensors);
    let _no_grad = tch::no_grad_guard();
    for (tensor, kept) in tensors.iter().zip(&kept) {
        tensor
            .f_detach()
            .and_then(|mut tensor| tensor.f_copy_(kept))
            .map_err(Error::compute("putting the weights back"))?;
    }
    learner::set_gradients(&tensors, false)?;
    outcome
}

fn grow(fit: &Fit, learner: &mut dyn Learner, tensors: &[Tensor]) -> Result<LearningRates> {
    let failed = || Error::batch("trying learning rates", fit.batch_size);
    let (rows, sizes) = learner::batches(fit, learner.num_pictures(), 0, 0);
    learner.start_epoch(&Draws::new(fit.seed, 1, rows.len()))?;
    let rows = Tensor::f_from_slice(&rows)
        .and_then(|rows| rows.f_to_device(learner.device()))
        .map_err(failed())?;
    let mut optimizer = Steps::new(fit.optimizer, tensors).map_err(failed())?;
    let task = fit.progress.slower();
    let mut task = task.task("trying learning rates", "steps", Some(sizes.len()));
    let mut found = LearningRates {
        rates: Vec::new(),
        losses: Vec::new(),
    };
    let (mut first, mut mean, mut best) = (0, 0.0, f64::INFINITY);
    for (step, &count) in sizes.iter().enumerate() {
        fit.progress.check("trying learning rates")?;
        let share = step as f64 / (sizes.len() - 1) as f64;
        let rate = RANGE.0 * (RANGE.1 / RANGE.0).powf(share);
        let loss = rows
            .f_narrow(0, first as i64, count as i64)
            .and_then(|rows| {
                let rates = vec![rate; tensors.len()];
                let step = learner::step(learner, &rows, first, tensors, &mut optimizer, &rates)?;
                step.loss.f_to_device(Device::Cpu)?.f_double_value(&[])
            })
            .map_err(failed())?;
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
        // The mean starts at zero: divided by the weight that it has gathered so far.
        let smoothed = mean / (1.0 - SMOOTHING.powi(step as i32 + 1));
        if !smoothed.is_finite() || smoothed > DIVERGED * best {
            break;
        }
        best = best.min(smoothed);
        found.rates.push(rate);
        found.losses.push(smoothed);
        first += count;
        task.done(step + 1);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_fall_is_found_through_noise() {
        assert_eq!(longest_fall(&[]), None);
        assert_eq!(longest_fall(&[1.0, 2.0]), None);
        // 5, 4, 3, 1 with a bump in it; the rise at the end belongs to no fall.
        assert_eq!(longest_fall(&[5.0, 4.0, 4.5, 3.0, 1.0, 9.0]), Some((0, 4)));
    }
}

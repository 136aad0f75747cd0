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
use crate::show::display::displayed;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};
use crate::show::figure::Figure;
use crate::show::table::Table;
use crate::training::dropout;
use crate::training::fit::Fit;
use crate::training::learner::{self, Learner};
use crate::training::optimizer::OptimizerState;
use crate::training::order::{Draws, Order};
use crate::training::smoothing::Smoothing;
use crate::training::source::Source;
use crate::training::variable::{self, copies_of, tensors_of};

/// What is done, for progress and errors.
const DOING: &str = "trying learning rates";
/// The first and the last learning rate that is tried.
const RANGE: (f64, f64) = (1e-7, 1.0);
/// How much of the last loss the next smoothed one keeps.
const SMOOTHING: f64 = 0.9;
/// A smoothed loss this many times the best one ends the search: it has begun to diverge.
const DIVERGED: f64 = 4.0;
/// The least share of the loss that a fall must take away.
const LEAST_FALL: f64 = 0.05;
/// How many standard errors it must have. Of 300 flat curves made of normal noise none passed; of 300 that
/// fall from 0.69 to 0.3 through noise of 0.08 none was missed, be it with 40 rates.
const SURE: f64 = 3.5;

/// The loss at each learning rate that was tried, and the one to take.
#[derive(Clone, Default, PartialEq)]
#[doc(alias = "LRFinder")]
pub struct LearningRates {
    rates: Vec<f64>,
    losses: Vec<f64>,
    /// The loss of each step by itself.
    measured: Vec<f64>,
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

    /// A good learning rate: the one at which the loss has done half of its longest fall. Nothing if no fall
    /// is clear: one that takes less than 5 % of the loss away, or that the noise between batches
    /// explains, as with a model that has learned all it can.
    pub fn suggestion(&self) -> Option<f64> {
        let (first, last) = longest_fall(&self.losses)?;
        let (top, bottom) = (self.losses[first], self.losses[last]);
        let is_half = |&place: &usize| self.losses[place] <= (top + bottom) / 2.0;
        let half = (first..=last).find(is_half)?;
        // All losses up to there: the smoothed one has as much noise as a single one at first.
        let before = &self.measured[..=half];
        let start = before.iter().sum::<f64>() / before.len() as f64;
        let variances = 1.0 / before.len() as f64 + share(last);
        let error = scatter(&self.measured[..=last]) * variances.sqrt();
        let fall = start - bottom;
        let is_clear = top - bottom >= LEAST_FALL * top.abs() && fall > SURE * error;
        is_clear.then(|| self.rates[half])
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
            y_label: "loss".into(),
            series,
            are_log: (true, false),
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
}

displayed!(
    LearningRates,
    "Shows the plot under a notebook cell.",
    |found| found.plot().bundle()
);

impl fmt::Display for LearningRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} learning rates tried, ", self.rates.len())?;
        match self.suggestion() {
            Some(rate) => write!(f, "suggestion: {rate:.1e}"),
            None => write!(f, "no suggestion: the loss has no clear fall"),
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

/// The standard deviation of values around their course, from the differences of neighbours: a course that
/// rises or falls adds little to it.
fn scatter(values: &[f64]) -> f64 {
    let squares = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2));
    let count = values.len().saturating_sub(1).max(1);
    (squares.sum::<f64>() / count as f64 / 2.0).sqrt()
}

/// What is left of the variance of single losses in the smoothed one of step `step`: all at the first.
fn share(step: usize) -> f64 {
    let kept = SMOOTHING.powi(step as i32 + 1);
    (1.0 - SMOOTHING) / (1.0 + SMOOTHING) * (1.0 + kept) / (1.0 - kept)
}

/// Tries the rates on `learner`, whose weights are the same afterwards.
pub(crate) fn find(
    fit: &Fit,
    learner: &dyn Learner,
    source: &mut dyn Source,
) -> Result<LearningRates> {
    let tries = fit.steps_per_epoch.unwrap_or(100).max(2);
    let fit = &fit.clone().steps_per_epoch(tries);
    learner::learning(fit, learner, |variables| {
        let tensors = tensors_of(variables);
        let state = tensors_of(&learner::state_of(learner));
        let kept = copies_of(&state).map_err(Error::batch(DOING, fit.batch_size))?;
        let outcome = grow(fit, learner, source, &tensors);
        variable::put_back(&state, &kept)?;
        outcome
    })
}

fn grow(
    fit: &Fit,
    learner: &dyn Learner,
    source: &mut dyn Source,
    tensors: &[Tensor],
) -> Result<LearningRates> {
    let failed = || Error::batch(DOING, fit.batch_size);
    let Order { pictures, sizes } = Order::shuffled(fit, source.len(), 0, 0);
    let draws = Draws::new(fit.seed, 1, pictures.len());
    let masks = learner.dropout().masks(&draws, learner.device())?;
    source.begin(&pictures, Some(&draws))?;
    let mut optimizer = OptimizerState::new(fit.optimizer, tensors).map_err(failed())?;
    let mut task = fit
        .progress
        .slower()
        .task(DOING, "steps", Some(sizes.len()));
    let mut found = LearningRates::default();
    let mut mean = Smoothing::new(SMOOTHING);
    let (mut first, mut best) = (0, f64::INFINITY);
    for (step, &count) in sizes.iter().enumerate() {
        fit.progress.check(DOING)?;
        let share = step as f64 / (sizes.len() - 1) as f64;
        let rate = RANGE.0 * (RANGE.1 / RANGE.0).powf(share);
        let mask = dropout::rows_of(masks.as_ref(), first, count).map_err(failed())?;
        let loss = source
            .next(count)
            .and_then(|batch| {
                let rates = vec![rate; tensors.len()];
                let mask = mask.as_ref();
                let loss =
                    learner::step(learner, &batch, mask, tensors, &mut optimizer, &rates)?.loss;
                Ok(loss.f_to_device(Device::Cpu)?.f_double_value(&[])?)
            })
            .map_err(|failure| failure.or(failed()))?;
        let smoothed = mean.add(loss);
        if !smoothed.is_finite() || smoothed > DIVERGED * best {
            break;
        }
        best = best.min(smoothed);
        found.rates.push(rate);
        found.losses.push(smoothed);
        found.measured.push(loss);
        first += count;
        task.done(step + 1);
    }
    task.over();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::random::Random;

    const STEPS: usize = 100;

    /// A search whose losses at each step are `course`, with noise of this standard deviation.
    fn search(course: impl Fn(f64) -> f64, noise: f64, seed: u64) -> LearningRates {
        let mut random = Random::new(seed, "made-up losses");
        let mut found = LearningRates::default();
        let mut mean = Smoothing::new(SMOOTHING);
        for step in 0..STEPS {
            let share = step as f64 / (STEPS - 1) as f64;
            // Twelve uniform numbers have a variance of 1, and a sum that is nearly normal.
            let normal = (0..12)
                .map(|_| f64::from(random.uniform()) - 0.5)
                .sum::<f64>();
            let loss = course(share) + noise * normal;
            found.rates.push(RANGE.0 * (RANGE.1 / RANGE.0).powf(share));
            found.losses.push(mean.add(loss));
            found.measured.push(loss);
        }
        found
    }

    /// The suggestions of 100 searches.
    fn suggestions(course: fn(f64) -> f64, noise: f64) -> Vec<f64> {
        let all = (0..100).map(|seed| search(course, noise, seed).suggestion());
        all.flatten().collect()
    }

    #[test]
    fn a_flat_curve_deserves_no_suggestion() {
        // Level, rising at the end, and falling by 3 %, with a little noise or as much as a tuned model has.
        assert!(suggestions(|_| 0.1, 0.0).is_empty());
        assert!(suggestions(|share| 0.5 - 0.015 * share, 0.0).is_empty());
        assert!(suggestions(|_| 0.1, 0.05).len() <= 3);
        assert!(suggestions(|_| 0.69, 0.03).len() <= 3);
        let late = |share: f64| 0.1 + (share - 0.7).max(0.0) * 10.0;
        assert!(suggestions(late, 0.05).len() <= 3);
        let none = search(|_| 0.1, 0.0, 0).to_string();
        assert!(
            none.ends_with("no suggestion: the loss has no clear fall"),
            "{none}"
        );
    }

    #[test]
    fn a_fall_is_seen_through_noise_and_its_rate_suggested() {
        // Falls around the rate of 1.6e-3 (0.6 of the way), and explodes in the end.
        let course = |share: f64| {
            let fall = 0.39 / (1.0 + (-(share - 0.6) * 20.0).exp());
            0.69 - fall + (share - 0.9).max(0.0) * 20.0
        };
        for noise in [0.0, 0.02, 0.08] {
            let found = suggestions(course, noise);
            assert!(found.len() >= 98, "{noise}: {}", found.len());
            assert!(
                found.iter().all(|rate| (1e-4..1e-2).contains(rate)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_longest_fall_is_found_through_noise() {
        assert_eq!(longest_fall(&[]), None);
        assert_eq!(longest_fall(&[1.0, 2.0]), None);
        // 5, 4, 3, 1 with a bump in it; the rise at the end belongs to no fall.
        assert_eq!(longest_fall(&[5.0, 4.0, 4.5, 3.0, 1.0, 9.0]), Some((0, 4)));
    }
}

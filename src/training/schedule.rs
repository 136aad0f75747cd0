//! How the learning rate moves in the course of a run.
//!
//! ```
//! use evcxr_transfer::Schedule;
//! // Half-way through a run of 10 epochs with 100 steps each, a cosine is half-way down.
//! assert!((Schedule::Cosine.factor(500, 100, 10) - 0.5).abs() < 1e-12);
//! assert_eq!(Schedule::StepDecay { every: 3, factor: 0.1 }.factor(299, 100, 10), 1.0);
//! ```

use std::f64::consts::PI;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::show::table;

/// What the learning rate is multiplied with at each step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[doc(alias("lr_scheduler", "LearningRateSchedule"))]
pub enum Schedule {
    /// Always 1: the lesson's choice.
    #[default]
    Constant,
    /// Half a cosine wave, from 1 at the first step to 0 after the last (Loshchilov and Hutter 2016;
    /// Keras' `CosineDecay`).
    Cosine,
    /// Falls by `per_epoch` in the course of each epoch, step by step (Keras' `ExponentialDecay`).
    Exponential {
        /// What is left of it after one epoch: 0.9 takes a tenth off.
        per_epoch: f64,
    },
    /// Multiplied by `factor` after every so many epochs (Keras' `ExponentialDecay`, staircase).
    #[serde(alias = "steps")]
    StepDecay {
        /// How many epochs it stays the same.
        every: usize,
        /// What it is then multiplied with.
        factor: f64,
    },
    /// Rises from 1/25 to 1 over the first 30 % of the steps and falls to 1/250,000 at the last, both
    /// as half a cosine wave (Smith and Topin 2017; PyTorch's `OneCycleLR`, without its momentum).
    OneCycle,
}

impl Schedule {
    /// What the learning rate is multiplied with at `step` (counted from 0 over the whole run) of
    /// `epochs` epochs with `steps_per_epoch` steps.
    pub fn factor(&self, step: usize, steps_per_epoch: usize, epochs: usize) -> f64 {
        let total = steps_per_epoch as f64 * epochs as f64;
        let epoch = step as f64 / steps_per_epoch.max(1) as f64;
        // From `start` to `end` while `share` goes from 0 to 1.
        let wave = |start: f64, end: f64, share: f64| {
            end + (start - end) / 2.0 * (1.0 + (PI * share).cos())
        };
        match *self {
            Self::Constant => 1.0,
            Self::Cosine => wave(1.0, 0.0, (step as f64 / total.max(1.0)).min(1.0)),
            Self::Exponential { per_epoch } => per_epoch.powf(epoch),
            Self::StepDecay { every, factor } => {
                factor.powi((epoch / every.max(1) as f64).floor() as i32)
            }
            Self::OneCycle => {
                const FIRST: f64 = 1.0 / 25.0;
                const LAST: f64 = FIRST / 1e4;
                let top = 0.3 * total - 1.0;
                let step = step as f64;
                if step <= top {
                    wave(FIRST, 1.0, step / top.max(1.0))
                } else {
                    let down = (total - 1.0 - top).max(1.0);
                    wave(1.0, LAST, ((step - top) / down).clamp(0.0, 1.0))
                }
            }
        }
    }

    /// Refuses values that no run can use.
    pub(crate) fn check(self) -> Result<()> {
        let (argument, value) = match self {
            Self::Exponential { per_epoch } => ("per_epoch", per_epoch),
            Self::StepDecay { every: 0, .. } => {
                return Err(Error::Argument {
                    argument: "every",
                    value: "0".into(),
                    expected: "it must be 1 epoch or more".into(),
                });
            }
            Self::StepDecay { factor, .. } => ("factor", factor),
            _ => return Ok(()),
        };
        if value > 0.0 && value.is_finite() {
            return Ok(());
        }
        Err(Error::Argument {
            argument,
            value: value.to_string(),
            expected: "it must be above 0".into(),
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine => f.write_str("cosine"),
            Self::Exponential { per_epoch } => write!(f, "exponential, {per_epoch} an epoch"),
            Self::StepDecay { every, factor } => {
                write!(f, "times {factor} {}", table::every(*every, "epoch"))
            }
            Self::OneCycle => f.write_str("one cycle"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_those_of_keras_and_pytorch() {
        // Keras 3.15: CosineDecay(1, 20)(k), ExponentialDecay(1, 4, 0.9)(k) and with staircase and
        // decay_steps 8, rate 0.1; PyTorch 2.11: OneCycleLR(max_lr=1, total_steps=20); k = 0, 3, 5,
        // 6, 10, 19, for 5 epochs of 4 steps. Printed with 6 decimals.
        const STEPS: [usize; 6] = [0, 3, 5, 6, 10, 19];
        let cases: [(Schedule, [f64; 6]); 4] = [
            (
                Schedule::Cosine,
                [1.0, 0.945503, 0.853553, 0.793893, 0.5, 0.006156],
            ),
            (
                Schedule::Exponential { per_epoch: 0.9 },
                [1.0, 0.924021, 0.876603, 0.853815, 0.768433, 0.606250],
            ),
            (
                Schedule::StepDecay {
                    every: 2,
                    factor: 0.1,
                },
                [1.0, 1.0, 1.0, 1.0, 0.1, 0.01],
            ),
            (
                Schedule::OneCycle,
                [0.04, 0.668328, 1.0, 0.987464, 0.716943, 0.000004],
            ),
        ];
        for (schedule, expected) in cases {
            for (step, expected) in STEPS.into_iter().zip(expected) {
                let factor = schedule.factor(step, 4, 5);
                assert!(
                    (factor - expected).abs() < 1e-6,
                    "{schedule} at {step}: {factor}"
                );
            }
        }
    }
}

//! The optimisers, step by step as Keras takes them, on plain tensors.
//!
//! libtorch's own differ: its RMSprop has epsilon outside the root, which drifts away from Keras by
//! 0.02 in the loss within 20 steps, and tch can neither save nor load their state.
//!
//! ```
//! use evcxr_transfer::{Fit, Optimizer};
//! let fit = Fit::default().optimizer(Optimizer::adam()).learning_rate(1e-3);
//! assert_eq!(fit.optimizer.to_string(), "Adam");
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::scalar::scalar;

/// Which rule turns gradients into changes of the weights. Formulas and defaults are those of
/// Keras 3 (keras/src/optimizers), `g` the gradient, `w` a weight, `r` the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Optimizer {
    /// `v = 0.9 v + 0.1 g^2`, `w -= r g / sqrt(v + 1e-7)`: the lesson's choice.
    #[default]
    RmsProp,
    /// `m = 0.9 m + 0.1 g`, `v = 0.999 v + 0.001 g^2`, `w -= a m / (sqrt(v) + 1e-7)`, where at step t
    /// `a = r sqrt(1 - 0.999^t) / (1 - 0.9^t)` corrects both for their start at zero (Kingma and Ba
    /// 2014, end of section 2).
    Adam,
    /// Adam, and before each step `w -= r weight_decay w` (Loshchilov and Hutter 2017).
    AdamW {
        /// The pull of each weight towards zero.
        weight_decay: f64,
    },
    /// `v = momentum v - r g`, `w += v`; without momentum `w -= r g`.
    Sgd {
        /// How much of the last change is kept, 0 up to (not) 1.
        momentum: f64,
    },
}

impl Optimizer {
    /// RMSprop with rho 0.9 and epsilon 1e-7, as in the lesson.
    pub fn rms_prop() -> Self {
        Self::RmsProp
    }

    /// Adam with Keras' beta_1 0.9, beta_2 0.999 and epsilon 1e-7.
    pub fn adam() -> Self {
        Self::Adam
    }

    /// AdamW with Keras' weight decay of 0.004.
    pub fn adam_w() -> Self {
        Self::AdamW {
            weight_decay: 0.004,
        }
    }

    /// Plain stochastic gradient descent with this momentum; Keras' default is 0.
    pub fn sgd(momentum: f64) -> Self {
        Self::Sgd { momentum }
    }

    /// Refuses values that no run can use.
    pub(crate) fn check(self) -> Result<()> {
        let (argument, value, fits, expected) = match self {
            Self::RmsProp | Self::Adam => return Ok(()),
            Self::AdamW { weight_decay: x } => {
                ("weight_decay", x, x >= 0.0, "it must be 0 or more")
            }
            Self::Sgd { momentum: x } => (
                "momentum",
                x,
                (0.0..1.0).contains(&x),
                "it must be at least 0 and below 1",
            ),
        };
        if fits && value.is_finite() {
            return Ok(());
        }
        Err(Error::Argument {
            argument,
            value: value.to_string(),
            expected: expected.into(),
        })
    }

    /// What it remembers of each weight, by name.
    fn slots(self) -> &'static [&'static str] {
        match self {
            Self::RmsProp => &["velocity"],
            Self::Adam | Self::AdamW { .. } => &["momentum", "velocity"],
            Self::Sgd { momentum } if momentum > 0.0 => &["momentum"],
            Self::Sgd { .. } => &[],
        }
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RmsProp => f.write_str("RMSprop"),
            Self::Adam => f.write_str("Adam"),
            Self::AdamW { weight_decay } => write!(f, "AdamW, weight decay {weight_decay}"),
            Self::Sgd { momentum } if *momentum == 0.0 => f.write_str("SGD"),
            Self::Sgd { momentum } => write!(f, "SGD, momentum {momentum}"),
        }
    }
}

/// An optimiser at work: its rule and what it remembers of each variable.
pub(crate) struct OptimizerState {
    optimizer: Optimizer,
    /// How many steps were taken.
    pub(crate) taken: usize,
    /// For each slot that the optimiser has what it remembers of all variables, one after the other.
    slots: Vec<Tensor>,
    /// For each variable its part of every slot, flat, in the same memory.
    memory: Vec<Vec<Tensor>>,
}

impl OptimizerState {
    /// On the CPU a step works through pieces of so many values for each of libtorch's threads, which stay in its core's
    /// cache between the operations; whole tensors would travel to memory and back each time. libtorch gives no thread
    /// fewer (`at::internal::GRAIN_SIZE`).
    const PIECE: i64 = 32_768;

    pub(crate) fn new(
        optimizer: Optimizer,
        variables: &[Tensor],
    ) -> std::result::Result<Self, TchError> {
        let lengths = variables.iter().map(|variable| variable.numel() as i64);
        let total = lengths.clone().sum::<i64>();
        let options = variables
            .first()
            .map_or((Kind::Float, Device::Cpu), |one| (one.kind(), one.device()));
        let slots = optimizer.slots().iter();
        let slots = slots.map(|_| Tensor::f_zeros([total], options));
        let slots = slots.collect::<std::result::Result<Vec<_>, _>>()?;
        let mut start = 0;
        let memory = lengths.map(|length| {
            let part = |slot: &Tensor| slot.f_narrow(0, start, length);
            let parts = slots.iter().map(part).collect();
            start += length;
            parts
        });
        let memory = memory.collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            optimizer,
            taken: 0,
            slots,
            memory,
        })
    }

    /// Everything remembered: the number of the variable, the slot's name, its values.
    pub(crate) fn memory(&self) -> Vec<(usize, &'static str, &Tensor)> {
        let mut all = Vec::new();
        for (number, tensors) in self.memory.iter().enumerate() {
            for (&slot, tensor) in self.optimizer.slots().iter().zip(tensors) {
                all.push((number, slot, tensor));
            }
        }
        all
    }

    /// Takes over what an earlier optimiser remembered; `find` gives it by number and slot.
    pub(crate) fn recall(
        &mut self,
        taken: usize,
        mut find: impl FnMut(usize, &'static str) -> Result<Tensor>,
    ) -> Result<()> {
        for (number, tensors) in self.memory.iter_mut().enumerate() {
            for (tensor, slot) in tensors.iter_mut().zip(self.optimizer.slots()) {
                let stored = find(number, slot)?;
                tensor
                    .f_copy_(&stored)
                    .map_err(Error::compute("taking over an optimiser's state"))?;
            }
        }
        self.taken = taken;
        Ok(())
    }

    /// One step: each variable, contiguous in memory, with its gradient and its learning rate.
    /// Gradient mode must be off.
    pub(crate) fn step(
        &mut self,
        variables: &[Tensor],
        gradients: &[Tensor],
        rates: &[f64],
    ) -> std::result::Result<(), TchError> {
        self.taken += 1;
        let is_on_gpu = variables.iter().any(|variable| variable.device().is_cuda());
        match is_on_gpu {
            true => self.step_at_once(variables, gradients, rates),
            false => self.step_by_pieces(variables, gradients, rates),
        }
    }

    /// All variables of one rate in the same operations: starting one costs a GPU's host more than its work takes.
    fn step_at_once(
        &self,
        variables: &[Tensor],
        gradients: &[Tensor],
        rates: &[f64],
    ) -> std::result::Result<(), TchError> {
        let (mut first, mut start) = (0, 0);
        while let (Some(&rate), Some(some)) = (rates.get(first), variables.get(first..)) {
            let same = rates.iter().skip(first).take_while(|&&next| next == rate);
            let some = some.iter().take(same.count()).collect::<Vec<_>>();
            let of_some = gradients.iter().skip(first).take(some.len());
            let flat = of_some.map(|gradient| gradient.f_reshape(-1));
            let flat = flat.collect::<std::result::Result<Vec<_>, _>>()?;
            let gradient = Tensor::f_cat(&flat, 0)?;
            let total = gradient.numel() as i64;
            let slots = self.slots.iter().map(|slot| slot.f_narrow(0, start, total));
            let slots = slots.collect::<std::result::Result<Vec<_>, _>>()?;
            let change = self.change(&gradient, slots, rate)?;
            let mut place = 0;
            for variable in &some {
                let length = variable.numel() as i64;
                let flat = variable.f_detach()?.f_view(-1)?;
                self.apply(flat, &change.f_narrow(0, place, length)?, rate)?;
                place += length;
            }
            first += some.len();
            start += total;
        }
        Ok(())
    }

    fn step_by_pieces(
        &self,
        variables: &[Tensor],
        gradients: &[Tensor],
        rates: &[f64],
    ) -> std::result::Result<(), TchError> {
        let piece = Self::PIECE * i64::from(tch::get_num_threads()).max(1);
        let all = variables.iter().zip(gradients).zip(rates);
        for (((variable, gradient), &rate), memory) in all.zip(&self.memory) {
            let variable = variable.f_detach()?.f_view(-1)?;
            let gradient = gradient.f_reshape(-1)?;
            let total = variable.numel() as i64;
            let mut start = 0;
            while start < total {
                let length = piece.min(total - start);
                let part = |tensor: &Tensor| tensor.f_narrow(0, start, length);
                let slots = memory
                    .iter()
                    .map(part)
                    .collect::<std::result::Result<Vec<_>, _>>()?;
                let change = self.change(&part(&gradient)?, slots, rate)?;
                self.apply(part(&variable)?, &change, rate)?;
                start += length;
            }
        }
        Ok(())
    }

    /// Takes a change off some values of variables.
    fn apply(
        &self,
        mut variable: Tensor,
        change: &Tensor,
        rate: f64,
    ) -> std::result::Result<(), TchError> {
        if let Optimizer::AdamW { weight_decay } = self.optimizer {
            let _ = variable.f_mul_scalar_(1.0 - rate * weight_decay)?;
        }
        let _ = variable.f_sub_(change)?;
        Ok(())
    }

    /// What a gradient takes off its values, and what is remembered of it.
    fn change(
        &self,
        gradient: &Tensor,
        mut slots: Vec<Tensor>,
        rate: f64,
    ) -> std::result::Result<Tensor, TchError> {
        const RHO: f64 = 0.9;
        const BETAS: [f64; 2] = [0.9, 0.999];
        const EPSILON: f64 = 1e-7;
        match (self.optimizer, slots.as_mut_slice()) {
            (Optimizer::RmsProp, [velocity]) => {
                let _ = velocity.f_lerp_(&gradient.f_square()?, 1.0 - RHO)?;
                let mut change = velocity.f_add(&scalar(EPSILON)?)?;
                let _ = change.f_rsqrt_()?;
                let _ = change.f_mul_(gradient)?;
                change.f_mul_scalar_(rate)
            }
            (Optimizer::Adam | Optimizer::AdamW { .. }, [momentum, velocity]) => {
                let _ = momentum.f_lerp_(gradient, 1.0 - BETAS[0])?;
                let _ = velocity.f_lerp_(&gradient.f_square()?, 1.0 - BETAS[1])?;
                let [first, second] = BETAS.map(|beta| 1.0 - beta.powf(self.taken as f64));
                let mut divisor = velocity.f_sqrt()?;
                let _ = divisor.f_add_scalar_(EPSILON)?;
                let mut change = momentum.f_div(&divisor)?;
                change.f_mul_scalar_(rate * second.sqrt() / first)
            }
            (Optimizer::Sgd { momentum }, [last]) => {
                let _ = last.f_mul_scalar_(momentum)?;
                let _ = last.f_sub_(&gradient.f_mul(&scalar(rate)?)?)?;
                last.f_neg()
            }
            _ => gradient.f_mul(&scalar(rate)?),
        }
    }
}

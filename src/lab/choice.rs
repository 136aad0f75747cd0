//! What the machine chooses, each choice with its reason.

use tch::Device;

use crate::lab::named_weights::NamedWeights;
use crate::machine::cuda::{Cuda, cuda};
use crate::machine::device;
use crate::machine::precision::Precision;

/// A choice with its reason, as the cell shows it.
#[derive(Debug, Clone)]
pub(crate) struct Choice<T> {
    pub(crate) value: T,
    pub(crate) reason: String,
    /// Whether a setter made it, so that no later choice of the machine's replaces it.
    pub(crate) is_asked_for: bool,
}

impl<T> Choice<T> {
    pub(crate) fn new(value: T, reason: impl Into<String>) -> Self {
        Self {
            value,
            reason: reason.into(),
            is_asked_for: false,
        }
    }

    /// The reason of every choice that a setter made.
    pub(crate) fn asked_for(value: T) -> Self {
        Self {
            is_asked_for: true,
            ..Self::new(value, "asked for in this cell")
        }
    }

    /// The same with the value in words.
    pub(crate) fn named(&self, value: String) -> Choice<String> {
        Choice::new(value, &self.reason)
    }
}

/// Which weights the cell asks for.
#[derive(Debug, Clone)]
pub(crate) enum WeightsChoice {
    /// Those that the environment names, or Keras' official ones; seeded ones if neither can be had.
    Any,
    /// These, for the networks that they are for.
    Named(NamedWeights),
    Seeded(u64),
}

/// The first GPU where there is one.
pub(crate) fn device() -> Choice<Device> {
    match cuda() {
        Cuda::Ready(name) => Choice::new(Device::Cuda(0), name),
        other => Choice::new(Device::Cpu, other.to_string()),
    }
}

/// bf16 where the hardware has it, else f32 by the way that is fastest there.
pub(crate) fn precision_for(device: Device) -> Choice<Precision> {
    match device {
        Device::Cpu => match device::cpu_has_bf16() {
            Some(reason) => Choice::new(
                Precision::BFloat16,
                format!("the processor has it ({reason})"),
            ),
            None if device::gains_by_winograd(device) => Choice::new(
                Precision::F32Winograd,
                "the processor has no bf16 instructions; f32 by the way with a quarter of the multiplications",
            ),
            None => Choice::new(Precision::F32, "the processor has no bf16 instructions"),
        },
        _ => {
            let (has_bf16, reason) = device::gpu_has_bf16();
            let precision = if has_bf16 {
                Precision::BFloat16
            } else {
                Precision::F32
            };
            Choice::new(precision, reason)
        }
    }
}

/// Whether the whole lesson is run on a device.
pub(crate) fn run_for(device: Device) -> Choice<bool> {
    match device {
        Device::Cpu => Choice::new(
            false,
            "on a CPU; `lab.durations()?` measures how long either takes here",
        ),
        _ => Choice::new(true, "on a GPU it takes minutes"),
    }
}

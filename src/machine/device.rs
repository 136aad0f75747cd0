//! The device that tensors are computed on: its name, whether it is there, whether it has bf16.

use tch::{Device, TchError, Tensor};

use crate::error::Error;
use crate::machine::cuda::{Cuda, cuda};

/// `cpu`, `cuda:0`: how results name a device.
pub(crate) fn name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Makes sure that `device` can hold tensors, before libtorch is asked to put some there.
pub(crate) fn check(device: Device) -> Result<(), Error> {
    let problem = match device {
        Device::Cpu => return Ok(()),
        Device::Cuda(index) => match cuda() {
            Cuda::Ready(_) if (index as i64) < tch::Cuda::device_count() => return Ok(()),
            Cuda::Ready(_) => format!(
                "there are {} GPUs, counted from 0",
                tch::Cuda::device_count()
            ),
            other => other.to_string(),
        },
        _ => "only cpu and cuda are supported".into(),
    };
    Err(Error::Device {
        device: name(device),
        problem,
        remedy: "Use `Device::Cpu`, or see what `cargo lab doctor` says".into(),
    })
}

/// A tensor on a device. From the CPU's memory it goes to a GPU by way of memory that the system does not move: the copy
/// waits for its turn there, not the program here, and is quicker (0.5 in place of 2.8 ms for 250 pictures of 150 pixels on
/// an H100).
pub(crate) fn sent(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    let is_uploaded = tensor.device() == Device::Cpu && device.is_cuda();
    // `pin_memory` warns of the device that tch passes to it, each time.
    match is_uploaded.then(|| tensor.f_internal_pin_memory(device)) {
        Some(Ok(pinned)) => {
            let (non_blocking, copy) = (true, false);
            pinned.f_to_device_(device, pinned.f_kind()?, non_blocking, copy)
        }
        // There may be too little of such memory.
        Some(Err(_)) | None => tensor.f_to_device(device),
    }
}

/// Why the processor should compute in bfloat16, or nothing if it has no instructions for it.
pub(crate) fn cpu_has_bf16() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512bf16") {
            return Some("avx512_bf16".into());
        }
    }
    None
}

/// Whether convolutions Winograd's way are faster here than libtorch's: 1.35 to 1.6 times with AVX2, 1.4 times with AVX-512.
pub(crate) fn gains_by_winograd(device: Device) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        device == Device::Cpu
            && std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = device;
        false
    }
}

/// Whether every GPU has units for bfloat16, with the reason: those came with compute capability
/// 8.0 (CUDA C++ Programming Guide, "Compute Capabilities"). tch cannot ask for it, so the driver's
/// own tool is asked.
pub(crate) fn gpu_has_bf16() -> (bool, String) {
    let answer = std::process::Command::new("nvidia-smi")
        .args(["--query-gpu=compute_cap", "--format=csv,noheader"])
        .output()
        .ok()
        .and_then(|answer| String::from_utf8(answer.stdout).ok())
        .unwrap_or_default();
    let capabilities = answer.lines().map(str::trim).collect::<Vec<_>>();
    let majors = capabilities
        .iter()
        .map(|capability| capability.split('.').next()?.parse::<u32>().ok())
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default();
    let list = capabilities.join(", ");
    match majors.iter().min() {
        None => (
            false,
            "nvidia-smi does not tell whether the GPU has bf16".into(),
        ),
        Some(8..) => (true, format!("the GPU has it (compute capability {list})")),
        Some(_) => (
            false,
            format!("bf16 needs compute capability 8.0, this is {list}"),
        ),
    }
}

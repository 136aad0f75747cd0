//! The device and the precision that tensors are computed with, and the CUDA half of libtorch.
//!
//! Linkers drop `libtorch_cuda` from Rust programs and from notebook cells, because no symbol of
//! it is named at link time; CUDA then looks absent on a machine that has it (the commonest
//! complaint of tch's users: tch-rs issues 907 and 980). [`cuda`] loads it at run time. That has to
//! happen before anything else asks libtorch for CUDA, since libtorch remembers its first answer.
//!
//! ```
//! println!("{}", evcxr_transfer::cuda());
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::error::Error;
use crate::show::notebook;

/// The number format that the base computes in. Weights are kept, and heads trained, in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// 32-bit floating point: the numbers that Keras gives. (On a GPU libtorch's convolutions round
    /// their inputs to TF32, 10 bits of mantissa, unless told otherwise, which tch cannot.)
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// bfloat16: 8 bits of mantissa, about twice as fast where the hardware has it.
    #[serde(rename = "bf16")]
    BFloat16,
}

impl Precision {
    /// The bytes that a number takes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::BFloat16 => 2,
        }
    }

    /// The libtorch kind that stands for this precision.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::BFloat16 => Kind::BFloat16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::BFloat16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    /// Reads `f32` or `bf16`.
    ///
    /// # Errors
    /// [`Error::Argument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::BFloat16),
            _ => Err(Error::Argument {
                argument: "precision",
                value: format!("{word:?}"),
                expected: "it must be f32 or bf16".into(),
            }),
        }
    }
}

/// What became of CUDA on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cuda {
    /// Ready to compute; holds the name of the first GPU.
    Ready(String),
    /// The machine has no NVIDIA driver.
    NoDriver,
    /// There is a driver, but this libtorch comes without its CUDA half, or it does not load.
    NoLibrary(String),
    /// Driver and library are there, and libtorch still finds no GPU.
    NoGpu,
}

impl Cuda {
    /// Whether tensors can be put on the GPU.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    /// Shows the line under a notebook cell.
    pub fn evcxr_display(&self) {
        notebook::Bundle::text(&self.to_string()).show();
    }
}

impl fmt::Display for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(name) => write!(f, "CUDA is ready on {name}"),
            Self::NoDriver => write!(f, "this machine has no NVIDIA driver"),
            Self::NoLibrary(reason) => {
                write!(
                    f,
                    "there is an NVIDIA driver, but libtorch's CUDA library is missing: {reason}"
                )
            }
            Self::NoGpu => write!(
                f,
                "driver and CUDA library are there, but libtorch finds no GPU (`nvidia-smi` tells more; \
                 a driver older than the CUDA version of libtorch looks like this)"
            ),
        }
    }
}

/// Loads the CUDA half of libtorch where there is an NVIDIA driver, and says what came of it.
///
/// Cheap after the first call, and on machines without a driver.
pub fn cuda() -> Cuda {
    if !has_driver() {
        return Cuda::NoDriver;
    }
    match library::load_cuda() {
        Err(reason) => Cuda::NoLibrary(reason),
        Ok(()) if tch::Cuda::is_available() => Cuda::Ready(gpu_name()),
        Ok(()) => Cuda::NoGpu,
    }
}

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

/// How many bytes of the machine's memory programs can still have, as Linux estimates it.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

/// Refuses what does not fit into the machine's memory: Linux would promise more than there is, and end
/// the program when it is used. A GPU says so itself.
pub(crate) fn check_room(device: Device, bytes: usize, what: &str) -> Result<(), Error> {
    let free = free_memory().filter(|_| device == Device::Cpu);
    match free.filter(|&free| bytes as u64 > free) {
        None => Ok(()),
        Some(free) => Err(Error::Mismatch {
            what: format!("memory for {what}"),
            expected: format!("{:.1} GB", bytes as f64 / 1e9),
            found: format!("{:.1} GB free", free as f64 / 1e9),
            remedy: "`take` fewer pictures, or use a base for smaller ones".into(),
        }),
    }
}

/// The kernel module's control device, or the one that Windows lends to Linux (WSL).
fn has_driver() -> bool {
    ["/dev/nvidiactl", "/dev/dxg"]
        .iter()
        .any(|device| std::path::Path::new(device).exists())
}

/// The first GPU's name as the driver tells it; libtorch's own answer is not reachable through tch.
fn gpu_name() -> String {
    std::fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|gpu| std::fs::read_to_string(gpu.path().join("information")).ok())
        .find_map(|text| {
            let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
            Some(model.trim().to_owned())
        })
        .unwrap_or_else(|| "the first CUDA device".into())
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

#[cfg(unix)]
mod library {
    use std::path::{Path, PathBuf};

    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    /// Loads the library that lies beside the libtorch of this process.
    pub(super) fn load_cuda() -> Result<(), String> {
        let folder = libtorch_folder()
            .ok_or("the folder of libtorch_cpu cannot be told from /proc/self/maps")?;
        let file = folder.join("libtorch_cuda.so");
        if !file.exists() {
            return Err(format!(
                "{} does not exist; `cargo lab setup` installs a libtorch with CUDA",
                file.display()
            ));
        }
        load(&file)
    }

    /// Where the running process has its libtorch from.
    fn libtorch_folder() -> Option<PathBuf> {
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        let library = maps
            .lines()
            .find(|line| line.ends_with("/libtorch_cpu.so"))?;
        let start = library.find('/')?;
        Some(Path::new(&library[start..]).parent()?.to_owned())
    }

    /// The crate's one use of `unsafe`: nothing but the system's loader can add a library to a
    /// running process, and without it CUDA stays out of reach.
    #[allow(unsafe_code)]
    fn load(file: &Path) -> Result<(), String> {
        // SAFETY: loading runs the library's initialisers. It is the CUDA half of the libtorch that
        // is already running, from the same folder and so from the same build; Python's
        // `import torch` loads it in the same way. Global visibility, as there.
        let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL) };
        match library {
            Ok(library) => {
                // libtorch keeps pointers into it from here on: it must stay until the process ends.
                std::mem::forget(library);
                Ok(())
            }
            Err(reason) => Err(reason.to_string()),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_cuda_library_of_the_wheel_loads_without_a_gpu() {
            // The loader alone is tested here: PyTorch's wheel carries the library, and it loads on
            // machines without a driver too. The tensor keeps libtorch_cpu in the process.
            let _tensor = tch::Tensor::from(1.0);
            let folder = libtorch_folder().expect("libtorch is part of this program");
            if folder.join("libtorch_cuda.so").exists() {
                assert_eq!(load_cuda(), Ok(()));
            } else {
                assert!(load_cuda().is_err_and(|reason| reason.contains("cargo lab setup")));
            }
        }
    }
}

#[cfg(not(unix))]
mod library {
    pub(super) fn load_cuda() -> Result<(), String> {
        Err("loading CUDA at run time is only known for Linux".into())
    }
}

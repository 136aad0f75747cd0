//! The CUDA half of libtorch, and what became of it.
//!
//! Linkers drop `libtorch_cuda` from Rust programs and from notebook cells, because no symbol of
//! it is named at link time; CUDA then looks absent on a machine that has it (the commonest
//! complaint of tch's users: tch-rs issues 907 and 980). [`cuda`] loads it at run time. That has to
//! happen before anything else asks libtorch for CUDA, since libtorch remembers its first answer.

use std::fmt;

/// What became of CUDA on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cuda {
    /// Ready to compute; holds the name of the first GPU.
    Ready(String),
    /// The machine has no NVIDIA driver.
    NoDriver,
    /// There is a driver, but this libtorch comes without its CUDA half, or it does not load.
    NoLibrary(String),
    /// Driver and library are there, and libtorch still finds no GPU.
    NoGpu,
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
pub(crate) fn cuda() -> Cuda {
    if !has_driver() {
        return Cuda::NoDriver;
    }
    match library::load_cuda() {
        Err(reason) => Cuda::NoLibrary(reason),
        Ok(()) if tch::Cuda::is_available() => Cuda::Ready(gpu_name()),
        Ok(()) => Cuda::NoGpu,
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

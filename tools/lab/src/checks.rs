//! `cargo lab doctor`: a look at the machine, one line a thing, with the remedy where one is needed.
//!
//! ```text
//! ok       C++ compiler   /usr/bin/c++
//! missing  libtorch       .lab/libtorch is not there
//!                         -> `cargo lab setup`
//! ```

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::compiler;
use crate::disk;
use crate::kernel;
use crate::libtorch::{self, Choice};
use crate::place::Place;
use crate::python;
use crate::say;
use crate::trouble::{Result, Trouble};

/// The oldest Rust that the kernel builds with, as in `tools/engine/Cargo.toml`.
const OLDEST_RUST: (u32, u32) = (1, 95);
/// The oldest NVIDIA driver for CUDA 13, which the wheel of torch 2.11.0 is built for.
const OLDEST_DRIVER_CUDA_13: u32 = 580;
/// torch's packages and the build, on a machine that has neither.
const ROOMY: u64 = 8_000_000_000;

/// What was found out about one thing.
struct Finding {
    state: State,
    title: &'static str,
    text: String,
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ok,
    /// Something works less well, or only after a download.
    Warning,
    /// The project does not work without it.
    Missing,
}

impl Finding {
    fn ok(title: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            state: State::Ok,
            title,
            text,
            remedy: None,
        }
    }

    fn warning(title: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (text, remedy) = (text.into(), Some(remedy.into()));
        Self {
            state: State::Warning,
            title,
            text,
            remedy,
        }
    }

    fn missing(title: &'static str, trouble: Trouble) -> Self {
        let (text, remedy) = (trouble.what, Some(trouble.remedy));
        Self {
            state: State::Missing,
            title,
            text,
            remedy,
        }
    }
}

/// Prints the table. The exit code is 1 if something essential is missing.
pub fn command(place: &Place) -> Result<ExitCode> {
    let findings = [
        rust(place),
        standard_sources(place),
        cxx(),
        python(place),
        space(place),
        torch(place),
        torch_cuda(place),
        gpu(place),
        notebook_kernel(place),
        weights(place),
        pictures(place),
        samples(place),
    ];
    for finding in &findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Missing => "missing",
        };
        say::line(format!("{state:<8} {:<14} {}", finding.title, finding.text));
        if let Some(remedy) = &finding.remedy {
            say::line(format!("{:<23} -> {remedy}", ""));
        }
    }
    let missing = findings
        .iter()
        .filter(|finding| finding.state == State::Missing)
        .count();
    if missing == 0 {
        say::line("nothing essential is missing");
        return Ok(ExitCode::SUCCESS);
    }
    let are = if missing == 1 {
        "thing is"
    } else {
        "things are"
    };
    say::line(format!("{missing} essential {are} missing"));
    Ok(ExitCode::FAILURE)
}

/// The trimmed output of a program that succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn rust(place: &Place) -> Finding {
    const TITLE: &str = "Rust";
    let found = output(
        Command::new("rustc")
            .arg("--version")
            .current_dir(&place.root),
    );
    match found.as_deref().map(|text| (text, rust_version(text))) {
        Some((text, Some(version))) if version >= OLDEST_RUST => Finding::ok(TITLE, text),
        Some((text, _)) => Finding::missing(
            TITLE,
            Trouble::new(
                format!("{text}; 1.95 or newer is needed"),
                "`rustup update stable`",
            ),
        ),
        None => Finding::missing(
            TITLE,
            Trouble::new(
                "there is no rustc on the PATH",
                "install Rust with rustup (rustup.rs)",
            ),
        ),
    }
}

fn standard_sources(place: &Place) -> Finding {
    const TITLE: &str = "Rust's sources";
    if kernel::has_standard_sources(place) {
        return Finding::ok(TITLE, "rust-src is installed");
    }
    Finding::missing(
        TITLE,
        Trouble::new(
            "rust-src is missing, without which cells cannot infer types",
            "`rustup component add rust-src`, or `cargo lab setup`",
        ),
    )
}

fn notebook_kernel(place: &Place) -> Finding {
    const TITLE: &str = "kernel";
    let problem = if !kernel::is_installed(place) {
        "it is not built, or its sources have changed since"
    } else if !kernel::is_registered(place) {
        "Jupyter in .venv does not know it"
    } else if !kernel::is_seeded(place) {
        let text = "the crate has changed since it was built for notebooks";
        let remedy = "`cargo lab setup`, or let the next kernel do it, which takes half a minute";
        return Finding::warning(TITLE, text, remedy);
    } else {
        return Finding::ok(TITLE, "\"Rust (transfer)\", with the crate ready");
    };
    Finding::missing(TITLE, Trouble::new(problem, "`cargo lab setup`"))
}

/// (1, 95) from "rustc 1.95.0 (59807616e 2026-04-14)".
fn rust_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("rustc ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn cxx() -> Finding {
    match compiler::find() {
        Ok(path) => Finding::ok("C++ compiler", path.display().to_string()),
        Err(trouble) => Finding::missing("C++ compiler", trouble),
    }
}

fn python(place: &Place) -> Finding {
    const TITLE: &str = "Python";
    // Any choice will do here: only the environment itself is looked at.
    let any = Choice::Folder(place.libtorch());
    let reason = match python::environment(place, &any) {
        Ok(found) => return Finding::ok(TITLE, format!("{} in .venv", found.version)),
        Err(reason) => reason,
    };
    let base = match python::find().and_then(|base| base.check_venv().map(|()| base)) {
        Ok(base) => base,
        Err(trouble) => return Finding::missing(TITLE, trouble),
    };
    Finding::missing(
        TITLE,
        Trouble::new(
            format!(
                "{} at {} can make .venv: {reason}",
                base.version,
                base.path.display()
            ),
            "`cargo lab setup`",
        ),
    )
}

fn space(place: &Place) -> Finding {
    const TITLE: &str = "disk space";
    let Some(free) = disk::free(&place.root) else {
        return Finding::warning(TITLE, "`df` does not say how much is free", "see to 8 GB");
    };
    let text = format!("{} free", say::size(free));
    if free >= ROOMY {
        return Finding::ok(TITLE, text);
    }
    let remedy = "set-up needs 8 GB, building 3 GB: make room (`cargo clean` frees `target`)";
    if torch_folder(place).is_some() {
        Finding::warning(TITLE, text, remedy)
    } else {
        Finding::missing(TITLE, Trouble::new(text, remedy))
    }
}

/// The libtorch that a build here and now uses.
fn torch_folder(place: &Place) -> Option<std::path::PathBuf> {
    let folder = place.own_libtorch().unwrap_or_else(|| place.libtorch());
    folder.join("lib").is_dir().then_some(folder)
}

fn torch(place: &Place) -> Finding {
    const TITLE: &str = "libtorch";
    const REMEDY: &str = "`cargo lab setup`";
    let own = place.own_libtorch();
    let source = if own.is_some() {
        "LIBTORCH"
    } else {
        ".lab/libtorch"
    };
    let Some(folder) = torch_folder(place) else {
        let text = match own {
            Some(own) => format!("LIBTORCH is {}, which has no folder `lib`", own.display()),
            None => ".lab/libtorch does not lead to one".to_owned(),
        };
        let remedy = if source == "LIBTORCH" {
            "correct or unset LIBTORCH"
        } else {
            REMEDY
        };
        return Finding::missing(TITLE, Trouble::new(text, remedy));
    };
    let shown = folder.read_link().unwrap_or_else(|_| folder.clone());
    match libtorch::version(&folder) {
        Some(version) if libtorch::is_supported(&version) => {
            Finding::ok(TITLE, format!("{version}, {source} -> {}", shown.display()))
        }
        Some(version) => Finding::missing(
            TITLE,
            Trouble::new(
                format!("{source} leads to {version}; 2.11 is needed"),
                REMEDY,
            ),
        ),
        None => Finding::warning(
            TITLE,
            format!("{} names no version", shown.display()),
            "make sure that it is 2.11",
        ),
    }
}

/// Whether libtorch has its part for NVIDIA GPUs.
fn has_cuda(place: &Place) -> bool {
    torch_folder(place).is_some_and(|folder| folder.join("lib/libtorch_cuda.so").is_file())
}

fn torch_cuda(place: &Place) -> Finding {
    const TITLE: &str = "libtorch_cuda";
    if has_cuda(place) {
        return Finding::ok(TITLE, "present");
    }
    if matches!(graphics(), Graphics::None) {
        return Finding::ok(TITLE, "none, and there is no NVIDIA GPU that would need it");
    }
    Finding::warning(
        TITLE,
        "none: this libtorch computes on the CPU although there is an NVIDIA GPU",
        "use a libtorch with CUDA: `cargo lab setup` without LIBTORCH and --use-python installs one",
    )
}

/// The NVIDIA GPU of this machine.
enum Graphics {
    /// "NVIDIA H200, 580.65.06, 143771 MiB", one for each GPU.
    Cards(Vec<String>),
    /// A driver, but no answer from its tool.
    DriverOnly(String),
    None,
}

fn graphics() -> Graphics {
    let cards: Vec<String> = output(Command::new("nvidia-smi").args([
        "--query-gpu=name,driver_version,memory.total",
        "--format=csv,noheader",
    ]))
    .map(|text| text.lines().map(str::to_owned).collect())
    .unwrap_or_default();
    if !cards.is_empty() {
        return Graphics::Cards(cards);
    }
    match std::fs::read_to_string("/proc/driver/nvidia/version") {
        Ok(text) => Graphics::DriverOnly(text.lines().next().unwrap_or_default().to_owned()),
        Err(_) => Graphics::None,
    }
}

fn gpu(place: &Place) -> Finding {
    const TITLE: &str = "NVIDIA GPU";
    match graphics() {
        Graphics::None => Finding::ok(TITLE, "none: computations run on the CPU"),
        Graphics::DriverOnly(text) => Finding::warning(
            TITLE,
            format!("a driver without an answer from `nvidia-smi`: {text}"),
            "run `nvidia-smi` and see what it says; in a container, start it with access to the GPU",
        ),
        Graphics::Cards(cards) => {
            let text = cards.join("; ");
            let needs_13 = torch_folder(place)
                .and_then(|folder| libtorch::cuda(&folder))
                .is_some_and(|version| version.starts_with("13."));
            let old = cards
                .iter()
                .find_map(|card| driver(card))
                .is_some_and(|major| major < OLDEST_DRIVER_CUDA_13);
            if needs_13 && old {
                return Finding::warning(
                    TITLE,
                    format!(
                        "{text}: the driver is too old for CUDA 13, so computations run on the CPU"
                    ),
                    "install NVIDIA driver 580 or newer",
                );
            }
            Finding::ok(TITLE, text)
        }
    }
}

/// 580 from "NVIDIA H200, 580.65.06, 143771 MiB".
fn driver(card: &str) -> Option<u32> {
    // From the right, because a card's name may hold commas.
    card.rsplit(", ").nth(1)?.split('.').next()?.parse().ok()
}

/// The files of `data` that are kept or put there; all come by download on first use.
fn weights(place: &Place) -> Finding {
    const TITLE: &str = "weights";
    let found: Vec<String> = file_names(&place.root.join("data"))
        .into_iter()
        .filter(|name| {
            name == "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
                || name == "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
                || (name.starts_with("vgg16") && name.ends_with(".safetensors"))
        })
        .collect();
    if found.is_empty() {
        return Finding::warning(
            TITLE,
            "none in data/ yet",
            "they are downloaded on first use; without a network put vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 \
             (and ..._kernels.h5) there, or a .pth through `cargo lab convert`",
        );
    }
    Finding::ok(TITLE, found.join(", "))
}

fn pictures(place: &Place) -> Finding {
    const TITLE: &str = "pictures";
    let folder = place.root.join("data/cats_and_dogs_filtered");
    if folder.join("train").is_dir() && folder.join("validation").is_dir() {
        return Finding::ok(TITLE, "data/cats_and_dogs_filtered");
    }
    Finding::warning(
        TITLE,
        "data/cats_and_dogs_filtered has no train and validation yet",
        "they are downloaded on first use; without a network unpack cats_and_dogs_filtered.zip into data/",
    )
}

fn samples(place: &Place) -> Finding {
    const TITLE: &str = "drawn samples";
    if place.root.join("data/samples").is_dir() {
        return Finding::ok(TITLE, "data/samples");
    }
    Finding::warning(
        TITLE,
        "data/samples is not there; it is what runs without a network",
        "`git checkout -- data/samples`",
    )
}

fn file_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = folder
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_rust_is_read() {
        assert_eq!(
            rust_version("rustc 1.95.0 (59807616e 2026-04-14)"),
            Some((1, 95))
        );
        assert_eq!(
            rust_version("rustc 1.89.0-nightly (abc 2025-06-01)"),
            Some((1, 89))
        );
        assert_eq!(rust_version("something else"), None);
    }

    #[test]
    fn the_driver_of_a_card_is_read() {
        assert_eq!(driver("NVIDIA H200, 580.65.06, 143771 MiB"), Some(580));
        assert_eq!(driver("Odd, Card, 535.1, 8 MiB"), Some(535));
        assert_eq!(driver("no devices"), None);
    }
}

//! `cargo lab doctor`: what this machine has and lacks, each line with the remedy.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::compiler;
use crate::disk;
use crate::libtorch;
use crate::place::Place;
use crate::python;
use crate::say;
use crate::trouble::Result;

/// The oldest Rust that builds the project (`rust-version` in Cargo.toml).
const OLDEST_RUST: (u32, u32) = (1, 89);
/// What a set-up from nothing needs.
const DISK: u64 = 10_000_000_000;

/// How a line of the report stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Ready.
    Good,
    /// Something works less well without it.
    Warning,
    /// Nothing works without it.
    Missing,
}

/// One line of the report.
struct Finding {
    topic: &'static str,
    state: State,
    text: String,
    remedy: Option<String>,
}

impl Finding {
    fn good(topic: &'static str, text: impl Into<String>) -> Self {
        Self {
            topic,
            state: State::Good,
            text: text.into(),
            remedy: None,
        }
    }

    fn bad(
        topic: &'static str,
        state: State,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            topic,
            state,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Prints the report. The exit code is 1 if something essential is missing.
pub fn command(place: &Place) -> Result<ExitCode> {
    let findings = [
        rust(),
        cpp(),
        venv(place),
        free_disk(place),
        torch(place),
        torch_cuda(place),
        driver(),
        weights(place),
        pictures(place),
        samples(place),
    ];
    for finding in &findings {
        let state = match finding.state {
            State::Good => "ok",
            State::Warning => "note",
            State::Missing => "MISSING",
        };
        say::line(format!(
            "{:<8} {:<13} {}",
            state, finding.topic, finding.text
        ));
        if let Some(remedy) = &finding.remedy {
            say::line(format!("{:22} -> {remedy}", ""));
        }
    }
    let is_fit = findings
        .iter()
        .all(|finding| finding.state != State::Missing);
    Ok(if is_fit {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn rust() -> Finding {
    const REMEDY: &str = "`rustup update stable`, or install Rust with rustup";
    match answer("rustc", &["--version"]) {
        Some(text) if version(&text).is_some_and(|found| found >= OLDEST_RUST) => {
            Finding::good("Rust", text)
        }
        Some(text) => {
            let text = format!("{text}; 1.89 or newer is needed");
            Finding::bad("Rust", State::Missing, text, REMEDY)
        }
        None => Finding::bad("Rust", State::Missing, "rustc does not answer", REMEDY),
    }
}

fn cpp() -> Finding {
    match compiler::find() {
        Ok(path) => Finding::good("C++ compiler", path.display().to_string()),
        Err(trouble) => Finding::bad("C++ compiler", State::Missing, trouble.what, trouble.remedy),
    }
}

/// The environment if it is there, else the Python that would make it.
fn venv(place: &Place) -> Finding {
    if let Some(found) = python::Interpreter::ask(&place.python()) {
        return Finding::good("Python", format!("{} in .venv", found.version));
    }
    match python::find().and_then(|found| found.check_venv().map(|()| found)) {
        Ok(found) => Finding::bad(
            "Python",
            State::Missing,
            format!(
                "{} {}, but there is no .venv yet",
                found.path.display(),
                found.version
            ),
            "`cargo lab setup`",
        ),
        Err(trouble) => Finding::bad("Python", State::Missing, trouble.what, trouble.remedy),
    }
}

fn free_disk(place: &Place) -> Finding {
    let Some(free) = disk::free(&place.root) else {
        return Finding::bad(
            "disk",
            State::Warning,
            "`df` does not tell",
            "look yourself",
        );
    };
    let text = format!("{} free", say::size(free));
    if free >= DISK || libtorch::version(&place.libtorch()).is_some() {
        return Finding::good("disk", text);
    }
    let remedy = "a set-up from nothing takes about 10 GB: make room";
    Finding::bad("disk", State::Warning, text, remedy)
}

fn torch(place: &Place) -> Finding {
    let link = place.libtorch();
    let folder = place.own_libtorch().unwrap_or(link);
    match libtorch::version(&folder) {
        Some(version) if libtorch::is_supported(&version) => {
            Finding::good("libtorch", format!("{version} at {}", folder.display()))
        }
        Some(version) => Finding::bad(
            "libtorch",
            State::Missing,
            format!("{version} at {}; 2.11 is needed", folder.display()),
            "unset LIBTORCH, then `cargo lab setup`",
        ),
        None => Finding::bad(
            "libtorch",
            State::Missing,
            format!("there is none at {}", folder.display()),
            "`cargo lab setup`",
        ),
    }
}

fn torch_cuda(place: &Place) -> Finding {
    const TOPIC: &str = "libtorch_cuda";
    let folder = place.own_libtorch().unwrap_or(place.libtorch());
    if !folder.join("lib/libtorch_cuda.so").exists() {
        return Finding::bad(
            TOPIC,
            State::Warning,
            "this libtorch computes on the CPU only",
            "on Linux `cargo lab setup` without LIBTORCH installs one with CUDA",
        );
    }
    let cuda = libtorch::cuda(&folder).map_or_else(String::new, |v| format!(", for CUDA {v}"));
    Finding::good(
        TOPIC,
        format!("there; the crate loads it where there is a GPU{cuda}"),
    )
}

fn driver() -> Finding {
    const QUERY: [&str; 2] = [
        "--query-gpu=name,driver_version,memory.total",
        "--format=csv,noheader",
    ];
    if let Some(text) = answer("nvidia-smi", &QUERY) {
        return Finding::good("GPU", text.lines().collect::<Vec<_>>().join("; "));
    }
    if Path::new("/proc/driver/nvidia/version").exists() {
        return Finding::bad(
            "GPU",
            State::Warning,
            "there is an NVIDIA driver, but nvidia-smi does not answer",
            "install the driver's tools, or restart the machine after an update of the driver",
        );
    }
    Finding::good(
        "GPU",
        "none with an NVIDIA driver: everything is computed on the CPU",
    )
}

/// Files that `Lab` finds by itself, so that nothing is downloaded.
fn weights(place: &Place) -> Finding {
    let official = ["vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"];
    let present = official
        .iter()
        .find(|name| place.root.join("data").join(name).is_file());
    match present {
        Some(name) => Finding::good("weights", format!("data/{name}")),
        None => Finding::bad(
            "weights",
            State::Warning,
            "not downloaded yet",
            "the lesson downloads them (59 MB); without a network it takes seeded ones and says so",
        ),
    }
}

fn pictures(place: &Place) -> Finding {
    let folder = place.root.join("data/cats_and_dogs_filtered");
    if ["train", "validation"]
        .iter()
        .all(|part| folder.join(part).is_dir())
    {
        return Finding::good("pictures", "data/cats_and_dogs_filtered");
    }
    Finding::bad(
        "pictures",
        State::Warning,
        "not downloaded yet",
        "the lesson downloads them (69 MB); without a network it takes the drawn samples and says so",
    )
}

fn samples(place: &Place) -> Finding {
    if place.root.join("data/samples/train").is_dir() {
        return Finding::good("samples", "data/samples");
    }
    Finding::bad(
        "samples",
        State::Missing,
        "data/samples is not there",
        "`git checkout data/samples`, or draw them: `cargo run -p samples`",
    )
}

/// What a program prints, if it can be run and is content.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The first two numbers of "rustc 1.95.0 (...)".
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn rustc_tells_its_version() {
        assert_eq!(
            version("rustc 1.95.0 (59807616e 2026-04-14)"),
            Some((1, 95))
        );
        assert_eq!(
            version("rustc 1.89.0-nightly (abc 2025-06-01)"),
            Some((1, 89))
        );
        assert_eq!(version("garbage"), None);
    }
}

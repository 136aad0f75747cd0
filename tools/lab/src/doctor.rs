//! `cargo lab doctor`: a look at the machine, one line a thing, with the remedy where one is needed.
//!
//! ```text
//! ok       C++ compiler   /usr/bin/c++
//! missing  libtorch       .lab/libtorch is not there
//!                         -> `cargo lab setup`
//! ```

use std::process::{Command, ExitCode};

use checkout::place::Place;
use checkout::say;

use crate::choice::Choice;
use crate::compiler;
use crate::data;
use crate::disk;
use crate::finding::{Finding, State};
use crate::graphics;
use crate::kernel;
use crate::libtorch;
use crate::mpi;
use crate::programs;
use crate::python;
use crate::registration;
use crate::root;
use crate::standard_sources;
use crate::trouble::{Result, Trouble};
use crate::venv;

/// The oldest Rust that the kernel builds with, as in `tools/engine/Cargo.toml`.
const OLDEST_RUST: (u32, u32) = (1, 95);
/// torch's packages and the build, on a machine that has neither.
const ROOMY: u64 = 8_000_000_000;

/// Prints the table. The exit code is 1 if something essential is missing.
pub fn command(place: &Place) -> Result<ExitCode> {
    let findings = [
        checkout(place),
        rust(place),
        rust_sources(place),
        cxx(),
        python(place),
        space(place),
        torch(place),
        graphics::torch_cuda(place),
        graphics::gpu(place),
        mpi::finding(),
        notebook_kernel(place),
        data::weights(place),
        data::pictures(place),
        data::samples(place),
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

fn checkout(place: &Place) -> Finding {
    const TITLE: &str = "checkout";
    match root::check(place) {
        Ok(()) => Finding::ok(TITLE, place.root.display().to_string()),
        Err(trouble) => Finding::missing(TITLE, trouble),
    }
}

fn rust(place: &Place) -> Finding {
    const TITLE: &str = "Rust";
    let found = programs::answer(
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

fn rust_sources(place: &Place) -> Finding {
    const TITLE: &str = "Rust's sources";
    if standard_sources::are_installed(place) {
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
    } else if !registration::is_made(place) {
        "Jupyter in .venv does not know it"
    } else if !kernel::has_template(place) {
        let text = "the crate has changed since it was built for notebooks";
        let remedy = "`cargo lab setup`, or let the next kernel do it, which takes about a minute";
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
    let reason = match venv::present(place, &any) {
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
    if libtorch::used(place).is_some() {
        Finding::warning(TITLE, text, remedy)
    } else {
        Finding::missing(TITLE, Trouble::new(text, remedy))
    }
}

fn torch(place: &Place) -> Finding {
    const TITLE: &str = "libtorch";
    const REMEDY: &str = "`cargo lab setup`";
    let own = libtorch::own(place);
    let source = if own.is_some() {
        "LIBTORCH"
    } else {
        ".lab/libtorch"
    };
    let Some(folder) = libtorch::used(place) else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_built_in_is_missing_something_essential() {
        let finding = checkout(&Place {
            root: "/with a/blank".into(),
        });
        assert!(matches!(finding.state, State::Missing), "{}", finding.text);
        assert!(finding.text.contains("a blank"), "{}", finding.text);
    }

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
}

//! The set-up: an ordered list of steps, each of which is skipped when its work is done already.
//!
//! ```text
//! .venv -> packages -> libtorch -> kernel -> the crate as cells need it -> drawn pictures (-> packages for the tests)
//! ```
//! A stamp in `.lab` says that the packages are complete. It is removed before they are touched and
//! written at the end, so that an interrupted run starts again where it was.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::compiler;
use crate::disk;
use crate::drawn;
use crate::kernel;
use crate::libtorch::{self, Choice};
use crate::lock::Lock;
use crate::pip;
use crate::place::Place;
use crate::python;
use crate::say;
use crate::trouble::{Result, Trouble};

/// torch 2.11.0 with its CUDA libraries: 4.7 GB in `.venv`, and 2 GB of downloads and temporary
/// files on the way.
const DISK_FOR_TORCH: u64 = 8_000_000_000;

/// The stamps of the two package steps.
const STAMP: &str = "setup.stamp";
const TEST_STAMP: &str = "test.stamp";

/// What the steps work with.
struct Plan<'a> {
    place: &'a Place,
    lock: Lock,
    choice: Choice,
}

/// One step: what it is called, whether its work is done already, and the work.
struct Step {
    title: &'static str,
    is_done: fn(&Plan) -> bool,
    work: fn(&Plan) -> Result<()>,
}

const ENVIRONMENT: Step = Step {
    title: ".venv",
    is_done: |plan| python::environment(plan.place, &plan.choice).is_ok(),
    work: make_environment,
};

const PACKAGES: Step = Step {
    title: "packages (requirements.txt)",
    is_done: |plan| {
        is_stamped(plan, STAMP)
            && (!plan.choice.is_wheel() || libtorch::wheel(plan.place).is_some())
    },
    work: install_packages,
};

const LIBTORCH: Step = Step {
    title: "libtorch",
    is_done: |plan| libtorch::is_linked(plan.place, &plan.choice),
    work: |plan| libtorch::link(plan.place, &plan.lock, &plan.choice),
};

const TEST_PACKAGES: Step = Step {
    title: "packages for the tests (requirements-test.txt)",
    is_done: |plan| is_stamped(plan, TEST_STAMP),
    work: install_test_packages,
};

const STANDARD_SOURCES: Step = Step {
    title: "sources of Rust's standard library",
    is_done: |plan| kernel::has_standard_sources(plan.place),
    work: |plan| kernel::add_standard_sources(plan.place),
};

const KERNEL: Step = Step {
    title: "kernel",
    is_done: |plan| kernel::is_installed(plan.place),
    work: |plan| kernel::install(plan.place),
};

const SEED: Step = Step {
    title: "the crate as notebooks need it",
    is_done: |plan| kernel::is_seeded(plan.place),
    work: |plan| kernel::seed(plan.place),
};

const REGISTRATION: Step = Step {
    title: "kernel \"Rust (transfer)\" in .venv",
    is_done: |plan| kernel::is_registered(plan.place),
    work: |plan| kernel::register(plan.place),
};

const DRAWN: Step = Step {
    title: "drawn pictures (data/drawn)",
    is_done: |plan| drawn::are_complete(plan.place),
    work: |plan| drawn::draw(plan.place),
};

/// What building the crate and its examples needs.
const BASIC: [Step; 3] = [ENVIRONMENT, PACKAGES, LIBTORCH];
/// What the references of the tests need on top.
const FOR_REFERENCES: [Step; 1] = [TEST_PACKAGES];
/// What notebooks need on top of the basis.
const FOR_NOTEBOOKS: [Step; 5] = [STANDARD_SOURCES, KERNEL, SEED, REGISTRATION, DRAWN];

/// `cargo lab setup [--use-python PATH]`
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let use_python = match words.as_slice() {
        [] => None,
        ["--use-python", path] => Some(*path),
        [word] => match word.strip_prefix("--use-python=") {
            Some(path) => Some(path),
            None => return Err(wrong_words(word)),
        },
        [word, ..] => return Err(wrong_words(word)),
    };
    run(place, use_python, &[&BASIC, &FOR_NOTEBOOKS])?;
    say::line("ready: `cargo lab` opens JupyterLab; `cargo build` works without any setting");
    Ok(ExitCode::SUCCESS)
}

fn wrong_words(word: &str) -> Trouble {
    Trouble::usage(
        format!("`{word}` is not understood"),
        "`cargo lab setup` or `cargo lab setup --use-python PATH`",
    )
}

/// Does what is missing for notebooks.
pub fn for_notebooks(place: &Place) -> Result<()> {
    run(place, None, &[&BASIC, &FOR_NOTEBOOKS])
}

/// Does what is missing for the reference programs, which need no kernel.
pub fn for_references(place: &Place) -> Result<()> {
    run(place, None, &[&BASIC, &FOR_REFERENCES])
}

/// Does what is missing for the tests, which run notebooks too.
pub fn for_tests(place: &Place) -> Result<()> {
    run(place, None, &[&BASIC, &FOR_REFERENCES, &FOR_NOTEBOOKS])
}

fn run(place: &Place, use_python: Option<&str>, steps: &[&[Step]]) -> Result<()> {
    // First what takes no time and would make everything after it useless.
    compiler::find()?;
    let lock = Lock::take(place)?;
    let choice = Choice::new(place, use_python)?;
    let plan = Plan {
        place,
        lock,
        choice,
    };
    for step in steps.iter().copied().flatten() {
        if (step.is_done)(&plan) {
            say::line(format!("{}: up to date", step.title));
            continue;
        }
        say::line(format!("{} ...", step.title));
        let start = Instant::now();
        (step.work)(&plan)?;
        say::line(format!("  done in {}", say::duration(start.elapsed())));
    }
    Ok(())
}

fn make_environment(plan: &Plan) -> Result<()> {
    if let Err(reason) = python::environment(plan.place, &plan.choice)
        && plan.place.venv().symlink_metadata().is_ok()
    {
        say::line(format!("  .venv is made anew: {reason}"));
    }
    check_disk(plan)?;
    remove_stamps(plan)?;
    python::make_environment(plan.place, &plan.lock, &plan.choice)
}

fn install_packages(plan: &Plan) -> Result<()> {
    check_disk(plan)?;
    remove_stamps(plan)?;
    pip::renew(plan.place, &plan.lock)?;
    let list = write_list(plan, "requirements.txt")?;
    pip::install(plan.place, &plan.lock, &["-r", &list])?;
    write_stamp(plan, STAMP)
}

fn install_test_packages(plan: &Plan) -> Result<()> {
    python::remove(&plan.place.lab().join(TEST_STAMP))?;
    if !plan.choice.is_wheel() && !python::has_torch(plan.place) {
        return Err(Trouble::new(
            "the tests compare with PyTorch, and the chosen libtorch comes without it",
            "unset LIBTORCH, then `cargo lab clean` and `cargo lab test`; or choose a Python with \
             PyTorch 2.11: `cargo lab setup --use-python PATH`",
        ));
    }
    pip::renew(plan.place, &plan.lock)?;
    // Both lists, so that a package of the second cannot change a version of the first.
    let first = write_list(plan, "requirements.txt")?;
    let second = write_list(plan, "requirements-test.txt")?;
    pip::install(plan.place, &plan.lock, &["-r", &first, "-r", &second])?;
    if !plan.choice.is_wheel() {
        // Without its dependencies, or pip would put a torch of its own beside the chosen one.
        let text = read(plan, "requirements-test.txt")?;
        for requirement in text.lines().filter(|line| name(line) == "torchvision") {
            pip::install(plan.place, &plan.lock, &["--no-deps", requirement])?;
        }
    }
    write_stamp(plan, TEST_STAMP)
}

/// Refuses to start on a disk that will fill up. What an interrupted run has unpacked counts.
fn check_disk(plan: &Plan) -> Result<()> {
    if !plan.choice.is_wheel() || libtorch::wheel(plan.place).is_some() {
        return Ok(());
    }
    let Some(free) = disk::free(&plan.place.root) else {
        return Ok(());
    };
    let present = disk::used(&plan.place.venv());
    if free + present >= DISK_FOR_TORCH {
        return Ok(());
    }
    Err(Trouble::new(
        format!(
            "only {} are free here, and PyTorch needs {} while it is installed",
            say::size(free),
            say::size(DISK_FOR_TORCH - present)
        ),
        "make room, or set LIBTORCH to a libtorch 2.11 that you have already",
    ))
}

fn read(plan: &Plan, list: &str) -> Result<String> {
    let path = plan.place.root.join(list);
    std::fs::read_to_string(&path).map_err(|error| Trouble::file("read", &path, &error))
}

/// The requirements that are to be installed into `.venv`.
fn requirements(plan: &Plan, list: &str) -> Result<String> {
    let text = read(plan, list)?;
    if plan.choice.is_wheel() {
        return Ok(text);
    }
    Ok(text
        .lines()
        .filter(|line| !matches!(name(line), "torch" | "torchvision"))
        .map(|line| format!("{line}\n"))
        .collect())
}

/// The package that a line of requirements names.
fn name(line: &str) -> &str {
    line.split(['=', ';', ' ']).next().unwrap_or_default()
}

/// Writes the requirements into `.lab`; the answer is the path for pip.
fn write_list(plan: &Plan, list: &str) -> Result<String> {
    let path = plan.place.lab().join(list);
    std::fs::write(&path, requirements(plan, list)?)
        .map_err(|error| Trouble::file("write", &path, &error))?;
    // Relative to the root, in which pip runs: short, and free of letters that are not UTF-8.
    Ok(format!(".lab/{list}"))
}

/// Everything that the installed packages depend on.
fn stamp_text(plan: &Plan, stamp: &str) -> Option<String> {
    let version = python::Interpreter::ask(&plan.place.python())?.version;
    let mut text = format!(
        "Python {version}\n{}",
        requirements(plan, "requirements.txt").ok()?
    );
    if stamp == TEST_STAMP {
        text += &requirements(plan, "requirements-test.txt").ok()?;
    }
    Some(text)
}

fn stamp_path(plan: &Plan, stamp: &str) -> PathBuf {
    plan.place.lab().join(stamp)
}

fn is_stamped(plan: &Plan, stamp: &str) -> bool {
    let present = std::fs::read_to_string(stamp_path(plan, stamp)).ok();
    present.is_some() && present == stamp_text(plan, stamp)
}

fn write_stamp(plan: &Plan, stamp: &str) -> Result<()> {
    let path = stamp_path(plan, stamp);
    let text = stamp_text(plan, stamp).unwrap_or_default();
    std::fs::write(&path, text).map_err(|error| Trouble::file("write", &path, &error))
}

fn remove_stamps(plan: &Plan) -> Result<()> {
    python::remove(&stamp_path(plan, STAMP))?;
    python::remove(&stamp_path(plan, TEST_STAMP))
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn requirement_lines_give_their_package() {
        assert_eq!(name("torch==2.11.0"), "torch");
        assert_eq!(name("torchvision==0.26.0"), "torchvision");
        assert_eq!(name("numpy==2.4.6; python_version >= \"3.11\""), "numpy");
        assert_eq!(name("# torch"), "#");
        assert_eq!(name(""), "");
    }
}

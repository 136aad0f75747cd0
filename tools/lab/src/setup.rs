//! The set-up: an ordered list of steps, each of which is skipped when its work is done already.
//!
//! ```text
//! .venv -> packages -> libtorch -> kernel -> the crate as cells need it -> drawn pictures (-> packages for the tests)
//! ```
//! The kernel's programs, which take longest, are compiled from the beginning on. An interrupted set-up starts again where it was.

use std::process::ExitCode;
use std::time::Instant;

use checkout::place::Place;
use checkout::say;

use crate::choice::Choice;
use crate::compiler;
use crate::drawn;
use crate::kernel::{self, Ahead};
use crate::link;
use crate::lock;
use crate::packages;
use crate::registration;
use crate::root;
use crate::standard_sources;
use crate::step::{Plan, Step};
use crate::trouble::{Result, Trouble};
use crate::venv;

const ENVIRONMENT: Step = Step {
    title: ".venv",
    is_done: |plan| venv::present(plan.place, &plan.choice).is_ok(),
    work: make_environment,
};

const PACKAGES: Step = Step {
    title: "packages (requirements.txt)",
    is_done: packages::are_installed,
    work: packages::install,
};

const LIBTORCH: Step = Step {
    title: "libtorch",
    is_done: |plan| link::is_made(plan.place, &plan.choice),
    work: |plan| link::make(plan.place, &plan.lock, &plan.choice),
};

const TEST_PACKAGES: Step = Step {
    title: "packages for the tests (requirements-test.txt)",
    is_done: packages::are_installed_for_tests,
    work: packages::install_for_tests,
};

const STANDARD_SOURCES: Step = Step {
    title: "sources of Rust's standard library",
    is_done: |plan| standard_sources::are_installed(plan.place),
    work: |plan| standard_sources::install(plan.place),
};

const KERNEL: Step = Step {
    title: "kernel",
    is_done: |plan| kernel::is_installed(plan.place),
    work: |plan| kernel::install(plan.place, &plan.ahead),
};

const TEMPLATE: Step = Step {
    title: "the crate as notebooks need it",
    is_done: |plan| kernel::has_template(plan.place),
    work: |plan| kernel::make_template(plan.place),
};

const REGISTRATION: Step = Step {
    title: "kernel \"Rust (transfer)\" in .venv",
    is_done: |plan| registration::is_made(plan.place),
    work: |plan| registration::make(plan.place),
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
const FOR_NOTEBOOKS: [Step; 5] = [STANDARD_SOURCES, KERNEL, TEMPLATE, REGISTRATION, DRAWN];

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
    run(place, use_python, Ahead::begin, &[&BASIC, &FOR_NOTEBOOKS])?;
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
    run(place, None, Ahead::begin, &[&BASIC, &FOR_NOTEBOOKS])
}

/// Does what is missing for the reference programs, which need no kernel.
pub fn for_references(place: &Place) -> Result<()> {
    run(place, None, |_| Ahead::none(), &[&BASIC, &FOR_REFERENCES])
}

/// Does what is missing for the tests, which run notebooks too.
pub fn for_tests(place: &Place) -> Result<()> {
    let steps = [&BASIC[..], &FOR_REFERENCES, &FOR_NOTEBOOKS];
    run(place, None, Ahead::begin, &steps)
}

fn run(
    place: &Place,
    use_python: Option<&str>,
    ahead: fn(&Place) -> Ahead,
    steps: &[&[Step]],
) -> Result<()> {
    // First what takes no time and would make everything after it useless.
    root::check(place)?;
    compiler::find()?;
    let lock = lock::take(place)?;
    let choice = Choice::new(place, use_python)?;
    let plan = Plan {
        place,
        lock,
        choice,
        ahead: ahead(place),
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
    if let Err(reason) = venv::present(plan.place, &plan.choice)
        && plan.place.venv().symlink_metadata().is_ok()
    {
        say::line(format!("  .venv is made anew: {reason}"));
    }
    packages::check_disk(plan)?;
    packages::remove_stamps(plan)?;
    venv::make(plan.place, &plan.lock, &plan.choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_built_in_is_refused_before_anything_is_begun() {
        let place = Place {
            root: "/with a/blank".into(),
        };
        let trouble = run(&place, None, |_| panic!("begun"), &[]).unwrap_err();
        assert!(trouble.what.contains("a blank"), "{trouble}");
    }
}

//! `cargo lab test`: everything that must hold, cheapest first. The tests come when all checks hold.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::compiler::on_path;
use crate::graphics;
use crate::mpi;
use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;
use checkout::say;

/// Something that is run before the tests or is one of them.
struct Step {
    title: &'static str,
    /// Of cargo.
    words: &'static [&'static str],
    /// A variable for it.
    variable: Option<(&'static str, &'static str)>,
    /// How to mend a failure.
    remedy: &'static str,
}

/// Before the tests. The engine stands apart: whatever is done with it in the profile of the other packages
/// compiles rust-analyzer once more, eight minutes.
const CHECKS: [Step; 3] = [
    Step {
        title: "format",
        words: &["fmt", "--all", "--check"],
        variable: None,
        remedy: "run `cargo fmt --all`",
    },
    Step {
        title: "lints",
        words: &[
            "clippy",
            "--workspace",
            "--exclude",
            "engine",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        variable: None,
        remedy: "mend what clippy names above",
    },
    Step {
        title: "documentation",
        words: &["doc", "--workspace", "--exclude", "engine", "--no-deps"],
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        remedy: "mend what rustdoc names above",
    },
];

/// The kernel's programs, as they are built for use, for which the set-up has built rust-analyzer.
const KERNEL_TESTS: [&str; 7] = [
    "test",
    "--profile",
    "kernel",
    "--package",
    "engine",
    "--package",
    "kernel",
];

/// Clippy in the place of the compiler: it lints what it compiles. The second variable is what `cargo clippy -- -D warnings`
/// hands on.
const LINTED: [(&str, &str); 2] = [
    ("RUSTC_WORKSPACE_WRAPPER", "clippy-driver"),
    (
        "CLIPPY_ARGS",
        "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__",
    ),
];

/// libtorch on one thread. Two tests run at a time on two cores, and its threads spin while they wait for one another.
const ONE_THREAD: (&str, &str) = ("OMP_NUM_THREADS", "1");

/// Everything else. A failure hides no other one: all of them stand in one run's output.
const TESTS: [&str; 7] = [
    "test",
    "--no-fail-fast",
    "--workspace",
    "--exclude",
    "engine",
    "--exclude",
    "kernel",
];

/// The tests that `TESTS` passes over, since they fail without what a machine may lack. The same packages: with
/// others cargo would build the dependencies once more.
const BROWSER_TESTS: [&str; 4] = ["--test", "browser", "--", "--ignored"];
const LESSON_TESTS: [&str; 4] = ["--test", "lesson", "--", "--ignored"];
const MPI_TESTS: [&str; 4] = ["--test", "mpi", "--", "--ignored"];
const GPU_TESTS: [&str; 5] = ["--test", "library", "gpu::", "--", "--ignored"];

/// The photographs and weights that `tests/lesson.rs` looks for: one of each.
const PHOTOGRAPHS: [&str; 2] = [
    "data/cats_and_dogs_filtered",
    "../shared/data/cats_and_dogs_filtered.zip",
];
const WEIGHTS: [&str; 2] = [
    "data/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "../shared/data/vgg16_imagenet_notop.h5",
];

/// Chromium under its usual names, tried in this order after `CHROME`.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Sets up what is missing, then runs the checks and the tests.
pub fn command(place: &Place) -> Result<ExitCode> {
    let browser = browser()?;
    setup::for_tests(place)?;
    for step in CHECKS {
        let status = timed(step.title, || {
            let mut command = programs::cargo(place, step.words);
            command.envs(step.variable).status()
        })?;
        if !status.success() {
            return Err(Trouble::new(
                format!("{}: `cargo {}` failed", step.title, step.words.join(" ")),
                step.remedy,
            ));
        }
    }
    let mut kernel_tests = programs::cargo(place, KERNEL_TESTS);
    kernel_tests.envs(LINTED);
    let (mut passed_all, mut counts) =
        timed("lints and tests of the kernel", || count(&mut kernel_tests))?;
    if passed_all {
        let mut tests = programs::cargo(place, TESTS);
        tests.env(ONE_THREAD.0, ONE_THREAD.1);
        let (passed, more) = timed("tests", || count(&mut tests))?;
        passed_all = passed;
        counts.add(&more);
    }
    let mut optional = |title: &str, words: &[&str], variables: Vec<(&str, OsString)>| {
        if !passed_all {
            return Ok(());
        }
        let mut tests = programs::cargo(place, TESTS);
        tests.args(words).envs(variables);
        let (passed, more) = timed(title, || count(&mut tests))?;
        if passed && more.passed == 0 {
            return Err(Trouble::new(
                format!("{title}: no test ran"),
                "they have to be marked #[ignore]: that is how they are chosen",
            ));
        }
        passed_all = passed;
        counts.make_up(&more);
        Ok(())
    };
    match &browser {
        Some(program) => optional(
            "tests in a browser",
            &BROWSER_TESTS,
            vec![("CHROME", program.into())],
        )?,
        None => say::line(format!(
            "skipped: the notebook in a browser (tests/browser.rs), since there is no {} on this machine\n  \
             what to do: Debian: `sudo apt install chromium`; or set CHROME to a Chromium or Chrome",
            BROWSERS.join(", ")
        )),
    }
    let has = |places: [&str; 2]| places.iter().any(|path| place.root.join(path).exists());
    if has(PHOTOGRAPHS) && has(WEIGHTS) {
        optional("the lesson with true weights", &LESSON_TESTS, Vec::new())?;
    } else {
        say::line(format!(
            "skipped: the lesson with true weights (tests/lesson.rs), since they or the photographs are not here\n  \
             what to do: bring {} and {}",
            PHOTOGRAPHS[0], WEIGHTS[0]
        ));
    }
    if graphics::is_there() {
        optional("the lesson on a GPU", &GPU_TESTS, Vec::new())?;
    } else {
        say::line(
            "skipped: the lesson on a GPU (tests/library/gpu.rs), since there is no NVIDIA GPU",
        );
    }
    match mpi::for_tests(place) {
        Ok(variables) => optional("the lesson as several processes", &MPI_TESTS, variables)?,
        Err(missing) => say::line(format!(
            "skipped: the lesson as several processes (tests/mpi.rs), since there is no {missing} on this machine\n  \
             what to do: {}",
            mpi::INSTALL
        )),
    }
    say::line(counts.closing_line());
    if !passed_all || counts.failed > 0 {
        return Err(Trouble::new(
            "the tests failed",
            "the failures stand above; `cargo test NAME` runs one of them again",
        ));
    }
    if counts.passed == 0 {
        return Err(Trouble::new(
            "no test ran",
            "a test suite without tests proves nothing: check the folder `tests` and the features",
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The Chromium to test with, if there is one.
fn browser() -> Result<Option<PathBuf>> {
    match std::env::var("CHROME") {
        Ok(wanted) if !wanted.is_empty() => match on_path(&wanted) {
            Some(program) => Ok(Some(program)),
            None => Err(Trouble::new(
                format!("CHROME is `{wanted}`, and there is no such program"),
                "correct CHROME or unset it",
            )),
        },
        _ => Ok(BROWSERS.into_iter().find_map(on_path)),
    }
}

fn timed<T>(title: &str, work: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
    say::line(format!("{title} ..."));
    let start = Instant::now();
    let outcome = work().map_err(|error| Trouble::program("cargo", &error))?;
    say::line(format!("  {title}: {}", say::duration(start.elapsed())));
    Ok(outcome)
}

/// Runs the tests, passes on what they print and adds their results up.
fn count(tests: &mut Command) -> std::io::Result<(bool, Counts)> {
    let mut child = tests.stdout(Stdio::piped()).spawn()?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let mut out = std::io::stdout().lock();
            let _ = out
                .write_all(&line)
                .and_then(|()| out.write_all(b"\n"))
                .and_then(|()| out.flush());
            if let Some(more) = Counts::of(&String::from_utf8_lossy(&line)) {
                counts.add(&more);
            }
        }
    }
    Ok((child.wait()?.success(), counts))
}

/// How many tests ended in which way.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    /// The counts in a line like "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...".
    fn of(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("test result: ")?;
        let number = |word: &str| {
            rest.split(['.', ';'])
                .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            skipped: number("ignored")?,
        })
    }

    fn add(&mut self, more: &Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }

    /// Adds tests that were skipped before: they no longer count as that.
    fn make_up(&mut self, more: &Self) {
        self.skipped = self.skipped.saturating_sub(more.passed + more.failed);
        self.add(more);
    }

    fn closing_line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let output = "\
running 4 tests
test a ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s

test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
all doctests ran in 0.5s; merged doctests compilation took 0.3s
";
        let mut counts = Counts::default();
        for more in output.lines().filter_map(Counts::of) {
            counts.add(&more);
        }
        assert_eq!(counts.closing_line(), "14 passed, 3 failed, 1 skipped");
    }

    #[test]
    fn a_test_that_is_run_after_all_is_not_skipped_too() {
        let first = "test result: ok. 9 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out";
        let second = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let mut counts = Counts::of(first).unwrap_or_default();
        counts.make_up(&Counts::of(second).unwrap_or_default());
        assert_eq!(counts.closing_line(), "10 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(Counts::of("test result_is_ok ... ok"), None);
        assert_eq!(Counts::of("test result: aborted"), None);
    }
}

//! `cargo lab test`: everything that must hold, cheapest first, up to the first failure.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::place::Place;
use crate::say;
use crate::setup;
use crate::trouble::{Result, Trouble};

/// Before the tests: what is checked, the cargo command, and how to mend a failure.
const CHECKS: [(&str, &[&str], &str); 3] = [
    (
        "format",
        &["fmt", "--all", "--check"],
        "run `cargo fmt --all`",
    ),
    (
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        "mend what clippy names above",
    ),
    (
        "documentation",
        &["doc", "--workspace", "--no-deps"],
        "mend what rustdoc names above",
    ),
];

/// Sets up what is missing, then runs the checks and the tests.
pub fn command(place: &Place) -> Result<ExitCode> {
    setup::for_tests(place)?;
    for (title, words, remedy) in CHECKS {
        let status = timed(title, || {
            place
                .cargo(words)
                .env("RUSTDOCFLAGS", "-D warnings")
                .status()
        })?;
        if !status.success() {
            return Err(Trouble::new(
                format!("{title}: `cargo {}` failed", words.join(" ")),
                remedy,
            ));
        }
    }
    // The engine has no tests of its own and would be compiled once more for them: eight minutes.
    let mut tests = place.cargo(["test", "--workspace", "--exclude", "engine"]);
    let (passed_all, counts) = timed("tests", || count(&mut tests))?;
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
    fn other_lines_count_nothing() {
        assert_eq!(Counts::of("test result_is_ok ... ok"), None);
        assert_eq!(Counts::of("test result: aborted"), None);
    }
}

//! `cargo lab run`: the lesson as a program.

use std::process::ExitCode;

use crate::place::Place;
use crate::say;
use crate::setup;
use crate::trouble::{Result, Trouble};

/// Sets up what is missing, then runs the example `lesson`; its exit code becomes ours.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    setup::basic(place)?;
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // `cargo lab run -- --part features` means the same as without the dashes.
    if words.first() == Some(&"--") {
        words.remove(0);
    }
    if words.is_empty() {
        words = vec!["--part", "features"];
    }
    say::line(format!("the lesson: {}", words.join(" ")));
    let status = place
        // Not `--release`: the tests' profile optimises dependencies too, and tch is built once.
        .cargo([
            "run",
            "--package",
            "evcxr_transfer",
            "--example",
            "lesson",
            "--",
        ])
        .args(words)
        // Paths among the arguments are meant from where the user stands.
        .current_dir(std::env::current_dir().unwrap_or_else(|_| place.root.clone()))
        .status()
        .map_err(|error| Trouble::program("cargo", &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

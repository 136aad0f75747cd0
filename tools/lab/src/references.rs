//! `cargo lab references`: makes the golden files of `tests/golden` with the libraries that they come from.
//!
//! `tests/references/golden.py` does it; its lines and its exit code are the user's.

use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};

use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;

/// Sets up what is missing, then makes the files, or checks them.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    check(arguments)?;
    setup::for_references(place)?;
    // In place of this program, as for `cargo lab run`. It comes back only if there is nothing to start.
    let error = programs::python(place)
        .args(["-W", "ignore"])
        .arg(place.root.join("tests/references/golden.py"))
        .args(arguments)
        // No compiled files in the tree.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .exec();
    Err(Trouble::program(".venv/bin/python", &error))
}

/// Refuses words without sense before minutes of set-up.
fn check(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["--check"] => Ok(()),
        ["--check", word, ..] | [word, ..] => Err(Trouble::usage(
            format!("`{word}` is not understood"),
            "`cargo lab references` or `cargo lab references --check`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_check_is_understood() {
        let code = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            check(&words).err().map(|trouble| trouble.exit_code)
        };
        assert_eq!(code(&[]), None);
        assert_eq!(code(&["--check"]), None);
        for words in [&["--chek"][..], &["--check", "more"], &["pixels.json"]] {
            assert_eq!(code(words), Some(2));
        }
    }
}

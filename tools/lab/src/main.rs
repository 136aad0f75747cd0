//! `cargo lab`: prepares a machine for the notebooks, runs the tests and says what is wrong.
//!
//! This file picks the command; each command has a file of its own. The order in which a fresh
//! machine meets them: [`setup`] (`.venv`, libtorch and the kernel), [`run`] or [`notebook`] for the
//! lesson, [mod@test], [`references`] where golden numbers are to change, [mod@bench] where time matters, and [`doctor`] when something does not work.
//!
//! ```text
//! cargo lab
//! cargo lab test
//! ```

#[cfg(not(unix))]
compile_error!("cargo lab works on Linux and macOS; on Windows use it inside WSL");

mod bench;
mod bench_options;
mod choice;
mod clean;
mod comparison;
mod compiler;
mod contender;
mod contenders;
mod convert;
mod data;
mod disk;
mod doctor;
mod drawn;
mod finding;
mod graphics;
mod hardware;
mod kernel;
mod libtorch;
mod link;
mod lock;
mod mpi;
mod notebook;
mod packages;
mod peers;
mod pip;
mod pip_failure;
mod pip_progress;
mod programs;
mod python;
mod references;
mod registration;
mod root;
mod run;
mod setup;
mod standard_sources;
mod step;
mod test;
mod trouble;
mod venv;

use std::path::PathBuf;
use std::process::ExitCode;

use checkout::place::Place;
use checkout::say;

use trouble::{Result, Trouble};

const USAGE: &str = "\
cargo lab: sets this project up and runs it

  cargo lab                             set up what is missing, then open JupyterLab on notebooks/
  cargo lab notebook [PATH] [ARGS...]   the same on a folder or notebook of your own; ARGS are JupyterLab's, such as
                                        --no-browser or --port 9999
  cargo lab run [NOTEBOOK...]           set up what is missing, then run notebooks (default: the lesson) without a
                                        browser; the results, .ipynb and .html, lie in .lab/run (or --out DIR)
  cargo lab test                        set up what is missing, then format check, lints, documentation and tests
  cargo lab references [--check]        set up what is missing, then make tests/golden/ anew with Keras, PyTorch and Pillow;
                                        --check only holds the committed files against them
  cargo lab bench [--runs N] [--gpu]    set up what is missing, then measure the lesson here, in Keras and in PyTorch, in turn;
                                        benches/README.md has all options
  cargo lab setup [--use-python PATH]   make .venv with JupyterLab and PyTorch 2.11, build the kernel, register it, draw
                                        the pictures that stand in for the lesson's without a network
  cargo lab doctor                      look at this machine: what is ready, what is missing, how to get it
  cargo lab convert IN.pth [OUT]        rewrite a PyTorch state dict as OUT (default: IN.safetensors)
  cargo lab clean                       remove .venv, .lab and target; data/ stays
  cargo lab help                        this text

Which libtorch is used, first match wins:
  --use-python PATH       the PyTorch 2.11 of that Python
  LIBTORCH                your own libtorch 2.11 (then .venv has no torch, and `convert` cannot work)
  LIBTORCH_USE_PYTORCH    the PyTorch 2.11 of the active Python, as for torch-sys
  .lab/libtorch           the choice of an earlier set-up, until `cargo lab clean`
  otherwise               torch 2.11.0 is installed into .venv (about 2 GB to download, 5 GB on disk)
PYTHON names the Python that .venv is made with (3.10 to 3.14), CXX the C++ compiler.";

const COMMANDS: [&str; 10] = [
    "setup",
    "bench",
    "test",
    "references",
    "run",
    "notebook",
    "doctor",
    "convert",
    "clean",
    "help",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("notebook", &[][..]),
    };
    if matches!(command, "help" | "--help" | "-h")
        || (command != "notebook" && rest.iter().any(|word| word == "--help" || word == "-h"))
    {
        say::line(USAGE);
        return ExitCode::SUCCESS;
    }
    let outcome = place().and_then(|place| match command {
        "setup" => setup::command(&place, rest),
        "test" => none(rest).and_then(|()| test::command(&place)),
        "references" => references::command(&place, rest),
        "bench" => bench::command(&place, rest),
        "run" => run::command(&place, rest),
        "notebook" => notebook::command(&place, rest),
        "doctor" => none(rest).and_then(|()| doctor::command(&place)),
        "clean" => none(rest).and_then(|()| clean::command(&place)),
        "convert" => convert::command(&place, rest),
        unknown => {
            let hint = nearest(unknown).map_or_else(
                || "`cargo lab help` lists the commands".to_owned(),
                |known| format!("did you mean `cargo lab {known}`?"),
            );
            Err(Trouble::usage(
                format!("there is no command `{unknown}`"),
                hint,
            ))
        }
    });
    match outcome {
        Ok(code) => code,
        Err(trouble) => {
            say::error(&trouble);
            ExitCode::from(trouble.exit_code)
        }
    }
}

/// The repository that this program belongs to.
fn place() -> Result<Place> {
    // Cargo sets the variable when it runs the program, which is right even after the
    // repository was moved; the compiled-in path serves when the program is started by hand.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = PathBuf::from(package).join("../..");
    let root = root.canonicalize().map_err(|_| {
        Trouble::new(
            format!("the repository is not at {}", root.display()),
            "start the tool as `cargo lab` inside the repository",
        )
    })?;
    Ok(Place { root })
}

/// Refuses arguments for a command that takes none, so that a typing slip is not dropped in silence.
fn none(rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(word) => Err(Trouble::usage(
            format!("`{word}` is one word too many"),
            "this command takes no arguments; see `cargo lab help`",
        )),
    }
}

/// The command that `word` was probably meant to be: two slips at most.
fn nearest(word: &str) -> Option<&'static str> {
    COMMANDS
        .into_iter()
        .map(|command| (distance(word, command), command))
        .min()
        .filter(|(slips, command)| *slips <= 2 && *slips < command.len())
        .map(|(_, command)| command)
}

/// Levenshtein distance: how many letters to insert, remove or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = corner + usize::from(letter != *other);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_letter_changes() {
        assert_eq!(distance("", "test"), 4);
        assert_eq!(distance("test", "test"), 0);
        assert_eq!(distance("tset", "test"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_slip_of_the_keys_finds_its_command() {
        assert_eq!(nearest("stup"), Some("setup"));
        assert_eq!(nearest("docter"), Some("doctor"));
        assert_eq!(nearest("tests"), Some("test"));
        assert_eq!(nearest("jupyter"), None);
        assert_eq!(nearest("x"), None);
    }
}

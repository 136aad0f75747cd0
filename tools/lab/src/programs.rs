//! Cargo and Python as this tool starts them in the repository.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use checkout::environment;
use checkout::place::Place;

use crate::libtorch;

/// A cargo command in the repository, with the environment of the user's own shell.
pub fn cargo<I: AsRef<OsStr>>(place: &Place, arguments: impl IntoIterator<Item = I>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&place.root);
    environment::forget_package(&mut command);
    if libtorch::own(place).is_none() {
        command.env_remove("LIBTORCH");
    }
    command
}

/// The Python of `.venv`, undisturbed by Python settings of the user's shell.
pub fn python(place: &Place) -> Command {
    python_of(&place.venv())
}

/// The same for the environment in a folder.
pub fn python_of(environment: &Path) -> Command {
    let mut command = Command::new(environment.join("bin/python"));
    command
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONPATH")
        .env("PYTHONUNBUFFERED", "1");
    command
}

/// The trimmed output of a program that succeeds.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

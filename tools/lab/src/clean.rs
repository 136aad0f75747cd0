//! `cargo lab clean`: back to the state of a fresh checkout, downloads excepted.

use std::process::ExitCode;

use crate::disk;
use crate::kernel;
use crate::lock;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;
use checkout::say;

/// Removes `.venv`, `.lab` and `target`.
pub fn command(place: &Place) -> Result<ExitCode> {
    let _lock = lock::take(place)?;
    check_none(&kernel::running(place)?)?;
    // `target` holds this very program, which keeps running: the system removes the file behind
    // its back. `.lab` holds the lock and goes last.
    for name in [".venv", "target", ".lab"] {
        let path = place.root.join(name);
        if path.symlink_metadata().is_err() {
            say::line(format!("{name}: not there"));
            continue;
        }
        let bytes = disk::used(&path);
        disk::remove(&path)?;
        say::line(format!("{name}: removed, {} freed", say::size(bytes)));
    }
    say::line("data/ stays as it is: downloaded weights and pictures are kept");
    Ok(ExitCode::SUCCESS)
}

/// Refuses while kernels run: they would lose their variables, and the programs that they are.
fn check_none(running: &[String]) -> Result<()> {
    if running.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(
        format!("kernels are running: {}", running.join(", ")),
        "shut them down in JupyterLab (\"Running Terminals and Kernels\", on the left), then run the command again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_below_running_kernels() {
        assert!(check_none(&[]).is_ok());
        let running = ["lesson.ipynb", "own.ipynb"].map(str::to_owned);
        let text = format!("{:?}", check_none(&running).unwrap_err());
        assert!(text.contains("lesson.ipynb, own.ipynb"), "{text}");
    }
}

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
    // They would lose their variables, and the programs that they run.
    let running = kernel::running(place);
    if !running.is_empty() {
        return Err(Trouble::new(
            format!("kernels are running: {}", running.join(", ")),
            "shut them down in JupyterLab (\"Running Terminals and Kernels\", on the left), then run the command again",
        ));
    }
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

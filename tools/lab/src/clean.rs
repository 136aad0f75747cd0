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
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn nothing_is_removed_below_running_kernels() {
        let root = std::env::temp_dir().join(format!("lab-clean-{}", std::process::id()));
        let place = Place { root };
        let kept = [".venv/bin", "target", ".lab/bin", "data"].map(|name| place.root.join(name));
        for folder in &kept {
            fs::create_dir_all(folder).unwrap();
        }
        // In the kernel's place what tells the notebooks that are written here. The shell writes it: a program that
        // this process has open for writing cannot be started.
        let notebooks = place.root.join("data/running");
        fs::write(&notebooks, "lesson.ipynb\nown.ipynb\n").unwrap();
        let made = Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\ncat \"%s\"\\n' \"$0\" > \"$1\"; chmod +x \"$1\"",
            ])
            .args([&notebooks, &place.program("kernel")])
            .status();
        assert!(made.unwrap().success());
        let text = command(&place).unwrap_err().to_string();
        assert!(text.contains("lesson.ipynb, own.ipynb"), "{text}");
        assert!(kept.iter().all(|folder| folder.is_dir()));
        fs::write(&notebooks, "").unwrap();
        command(&place).unwrap();
        let left = kept.map(|folder| folder.is_dir());
        fs::remove_dir_all(&place.root).unwrap();
        assert_eq!(left, [false, false, false, true]);
    }
}

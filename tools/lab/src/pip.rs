//! Runs pip in an environment, `.venv` or that of the measurements, and mends what an interrupted run has left.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::pip_failure;
use crate::pip_progress::Progress;
use crate::programs;
use crate::trouble::{Result, Trouble};
use checkout::lock::Lock;
use checkout::place::Place;
use checkout::say;

/// Goes on with broken-off downloads (from 25.1) and reports their progress in lines (from 24.1).
const PIP: &str = "pip==26.3";
const OLDEST_PIP: (u32, u32) = (25, 1);

/// Checks the environment against the lists of files that its packages came with.
const REPAIR: &str = include_str!("../repair.py");

/// Replaces an old pip of the environment in a folder.
pub fn renew(place: &Place, environment: &Path, lock: &Lock) -> Result<()> {
    let output = programs::python_of(environment)
        .args(["-m", "pip", "--version"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Trouble::program(shown(environment).join("bin/python").display(), &error)
        })?;
    if version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|found| found >= OLDEST_PIP) {
        return Ok(());
    }
    say::line(format!("  renewing pip ({PIP})"));
    pip(place, environment, lock, &["--progress-bar", "off", PIP])
}

/// Installs packages into the environment in a folder, then mends those that an interrupted run left incomplete.
/// Paths in `arguments` are meant from the repository's root.
pub fn install(place: &Place, environment: &Path, lock: &Lock, arguments: &[&str]) -> Result<()> {
    pip(
        place,
        environment,
        lock,
        &[&["--progress-bar", "raw"], arguments].concat(),
    )?;
    let broken = repair(environment)?;
    if broken.is_empty() {
        return Ok(());
    }
    say::line(format!(
        "  incomplete, installing again: {}",
        broken.join(", ")
    ));
    let again: Vec<&str> = broken.iter().map(String::as_str).collect();
    // Not --force-reinstall: that first removes the old files, and fails where their list is lost.
    pip(
        place,
        environment,
        lock,
        &[
            &["--progress-bar", "raw", "--ignore-installed", "--no-deps"],
            again.as_slice(),
        ]
        .concat(),
    )?;
    match repair(environment)?.as_slice() {
        [] => Ok(()),
        still => Err(Trouble::new(
            format!(
                "these packages stay incomplete in {}: {}",
                shown(environment).display(),
                still.join(", ")
            ),
            "run `cargo lab clean` and `cargo lab setup`",
        )),
    }
}

/// The packages of the environment with missing files, as `name==version`.
fn repair(environment: &Path) -> Result<Vec<String>> {
    let output = programs::python_of(environment)
        .args(["-c", REPAIR])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Trouble::program(shown(environment).join("bin/python").display(), &error)
        })?;
    if !output.status.success() {
        return Err(Trouble::new(
            format!(
                "the packages in {} cannot be checked: its Python fails",
                shown(environment).display()
            ),
            "run `cargo lab clean` and `cargo lab setup`",
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}

/// An environment as messages name it: without the way to it.
fn shown(environment: &Path) -> &Path {
    environment.file_name().map_or(environment, Path::new)
}

fn pip(place: &Place, environment: &Path, lock: &Lock, arguments: &[&str]) -> Result<()> {
    let mut child = programs::python_of(environment)
        .args([
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--no-color",
        ])
        .args(arguments)
        // A `user = true` in somebody's pip settings cannot work in an environment.
        .env("PIP_USER", "0")
        .current_dir(&place.root)
        .stdin(lock.as_input())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Trouble::program(shown(environment).join("bin/python").display(), &error)
        })?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, sender);
    }
    let mut progress = Progress::new();
    let mut text = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                progress.note(&line);
                if !line.starts_with("Progress ") {
                    text.push(line);
                }
            }
            Err(RecvTimeoutError::Timeout) => progress.sign_of_life(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child
        .wait()
        .map_err(|error| Trouble::program("pip", &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(pip_failure::explain(&text))
    }
}

fn forward(stream: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream)
            .split(b'\n')
            .map_while(|line| line.ok())
        {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
}

/// (25, 1) from "pip 25.1.2 from /... (python 3.11)".
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_pip_is_read() {
        assert_eq!(
            version("pip 23.2.1 from /x/pip (python 3.11)"),
            Some((23, 2))
        );
        assert_eq!(version("pip 26 from /x"), Some((26, 0)));
        assert_eq!(version("no pip here"), None);
    }
}

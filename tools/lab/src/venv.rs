//! The Python environment `.venv`.

use std::path::Path;
use std::process::Command;

use checkout::lock::Lock;
use checkout::place::Place;
use checkout::say;

use crate::choice::Choice;
use crate::disk;
use crate::programs;
use crate::python::{self, Interpreter};
use crate::trouble::{Result, Trouble};

/// The Python of `.venv` if the environment works as it is, else the reason why it does not.
pub fn present(place: &Place, choice: &Choice) -> std::result::Result<Interpreter, String> {
    if place.venv().symlink_metadata().is_err() {
        return Err("there is none yet".to_owned());
    }
    let found = Interpreter::ask(&place.python())
        .ok_or_else(|| ".venv/bin/python cannot be run".to_owned())?;
    if !found.is_supported() {
        return Err(format!("its Python {} is not 3.10 to 3.14", found.version));
    }
    let script = std::fs::read_to_string(place.root.join(".venv/bin/pip")).unwrap_or_default();
    if !found.packages.join("pip/__main__.py").is_file() || script.is_empty() {
        return Err("it was left half-made".to_owned());
    }
    // The programs in .venv/bin hold the environment's full path: moved, they start nothing.
    let home = interpreter_of(&script).and_then(|path| path.parent()?.canonicalize().ok());
    if home != place.root.join(".venv/bin").canonicalize().ok() {
        return Err("it was made for another folder".to_owned());
    }
    let settings = std::fs::read_to_string(place.root.join(".venv/pyvenv.cfg")).unwrap_or_default();
    let shares = shares_packages(&settings);
    match choice {
        Choice::Wheel if shares => Err("it takes packages from another Python".to_owned()),
        Choice::Python {
            interpreter,
            folder,
        } => {
            let path = std::fs::read_to_string(found.packages.join(PATH_FILE)).unwrap_or_default();
            let same = folder
                .parent()
                .is_some_and(|parent| parent == Path::new(path.trim()));
            if shares && same && found.version == interpreter.version {
                Ok(found)
            } else {
                Err(format!(
                    "it does not belong to {}",
                    interpreter.path.display()
                ))
            }
        }
        _ => Ok(found),
    }
}

/// Adds the folder of the chosen PyTorch to the environment's search path. Shared packages alone do
/// not reach it when the chosen Python is that of an environment itself.
const PATH_FILE: &str = "pytorch.pth";

/// The interpreter in the first lines of a script made by pip: `#!path`, or, for long paths,
/// `'''exec' path "$0"` below `#!/bin/sh`.
fn interpreter_of(script: &str) -> Option<&Path> {
    let mut lines = script.lines();
    let first = lines.next()?.strip_prefix("#!")?.trim();
    if first != "/bin/sh" {
        return Some(Path::new(first));
    }
    let call = lines.next()?.strip_prefix("'''exec' ")?;
    Some(Path::new(
        call.strip_suffix(" \"$0\" \"$@\"")?.trim_matches('"'),
    ))
}

fn shares_packages(settings: &str) -> bool {
    settings.lines().any(|line| {
        line.split_once('=').is_some_and(|(key, value)| {
            key.trim() == "include-system-site-packages" && value.trim() == "true"
        })
    })
}

/// Whether the environment's Python can import PyTorch, wherever that lies.
pub fn has_torch(place: &Place) -> bool {
    programs::python(place)
        .args([
            "-c",
            "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)",
        ])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Makes `.venv` from nothing; what was there before is removed.
pub fn make(place: &Place, lock: &Lock, choice: &Choice) -> Result<()> {
    let found;
    let base = match choice {
        Choice::Python { interpreter, .. } => interpreter,
        _ => {
            found = python::find()?;
            &found
        }
    };
    let shares: &[&str] = match choice {
        Choice::Python { .. } => &["--system-site-packages"],
        _ => &[],
    };
    create(&place.venv(), base, lock, shares)?;
    if let Choice::Python { folder, .. } = choice
        && let Some(made) = Interpreter::ask(&place.python())
        && let Some(parent) = folder.parent()
    {
        let file = made.packages.join(PATH_FILE);
        std::fs::write(&file, format!("{}\n", parent.display()))
            .map_err(|error| Trouble::file("write", &file, &error))?;
    }
    Ok(())
}

/// Makes the environment in `folder` from nothing with this Python; what was there before is removed.
pub fn create(folder: &Path, base: &Interpreter, lock: &Lock, options: &[&str]) -> Result<()> {
    base.check_venv()?;
    disk::remove(folder)?;
    say::line(format!(
        "  with {} (Python {})",
        base.path.display(),
        base.version
    ));
    let output = Command::new(&base.path)
        .args(["-m", "venv"])
        .args(options)
        .arg(folder)
        .stdin(lock.as_input())
        .output()
        .map_err(|error| Trouble::program(base.path.display(), &error))?;
    if output.status.success() {
        return Ok(());
    }
    disk::remove(folder)?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if text.contains("ensurepip") {
        return Err(base.no_venv());
    }
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Err(Trouble::new(
        format!(
            "{} could not make {}: {}",
            base.path.display(),
            folder.display(),
            last.unwrap_or("it gave no reason").trim()
        ),
        "check the free space and the rights on the repository's folder, or set PYTHON to another Python",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script_is_found_in_both_forms() {
        let short = "#!/a/.venv/bin/python\n# -*- coding: utf-8 -*-\n";
        assert_eq!(
            interpreter_of(short),
            Some(Path::new("/a/.venv/bin/python"))
        );
        let long = "#!/bin/sh\n'''exec' \"/a b/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n";
        assert_eq!(
            interpreter_of(long),
            Some(Path::new("/a b/.venv/bin/python"))
        );
        assert_eq!(interpreter_of(""), None);
    }

    #[test]
    fn shared_packages_are_read_from_the_settings() {
        assert!(shares_packages(
            "home = /usr\ninclude-system-site-packages = true\n"
        ));
        assert!(!shares_packages("include-system-site-packages = false\n"));
        assert!(!shares_packages(""));
    }
}

//! Finding a Python, and the environment `.venv` that is made with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compiler::on_path;
use crate::libtorch::Choice;
use crate::lock::Lock;
use crate::place::Place;
use crate::say;
use crate::trouble::{Result, Trouble};

/// The Pythons that PyTorch 2.11.0 is published for.
const OLDEST: (u32, u32) = (3, 10);
const NEWEST: (u32, u32) = (3, 14);

/// Tried in this order, after `PYTHON`.
const NAMES: [&str; 6] = [
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.14",
];

const INSTALL_PYTHON: &str = "Debian, Ubuntu: `sudo apt install python3 python3-venv`; \
Fedora: `sudo dnf install python3`; macOS: `brew install python`; or set PYTHON to a Python 3.10 to 3.14";

/// A Python that answers.
#[derive(Debug)]
pub struct Interpreter {
    /// How it was called.
    pub path: PathBuf,
    /// "3.11.7"
    pub version: String,
    /// Where it keeps installed packages.
    pub packages: PathBuf,
}

impl Interpreter {
    /// Asks a Python for its version; `None` if it cannot be run.
    pub fn ask(path: &Path) -> Option<Self> {
        let output = Command::new(path)
            .args([
                "-I",
                "-c",
                "import sys, sysconfig\n\
                 print('%d.%d.%d' % sys.version_info[:3])\n\
                 print(sysconfig.get_path('purelib'))",
            ])
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        Some(Self {
            path: path.to_owned(),
            version: lines.next()?.to_owned(),
            packages: PathBuf::from(lines.next()?),
        })
    }

    /// Whether PyTorch 2.11.0 exists for it.
    pub fn is_supported(&self) -> bool {
        is_supported(&self.version)
    }

    /// Refuses a Python without the modules that make an environment.
    pub fn check_venv(&self) -> Result<()> {
        // `venv` alone says nothing: Debian ships it without `ensurepip`, and it then fails half-way.
        let complete = Command::new(&self.path)
            .args(["-I", "-c", "import venv, ensurepip"])
            .output()
            .is_ok_and(|output| output.status.success());
        if complete {
            Ok(())
        } else {
            Err(self.no_venv())
        }
    }

    fn no_venv(&self) -> Trouble {
        let short = self
            .version
            .rsplit_once('.')
            .map_or("3", |(short, _)| short);
        Trouble::new(
            format!(
                "{} (Python {}) cannot make environments: its module venv or ensurepip is missing",
                self.path.display(),
                self.version
            ),
            format!(
                "Debian, Ubuntu: `sudo apt install python3-venv` (or python{short}-venv); elsewhere reinstall Python; \
                 or set PYTHON to another Python 3.10 to 3.14"
            ),
        )
    }
}

fn is_supported(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (OLDEST..=NEWEST).contains(&(major, minor)),
        _ => false,
    }
}

/// The Python to make `.venv` with: `PYTHON`, else the first suitable one of the usual names.
pub fn find() -> Result<Interpreter> {
    if let Some(wanted) = std::env::var_os("PYTHON").filter(|value| !value.is_empty()) {
        return named(Path::new(&wanted), "PYTHON");
    }
    let mut unsuitable = Vec::new();
    for name in NAMES {
        // Some version managers put programs on the path that only say "not installed": those do
        // not answer and are passed over.
        let Some(found) = on_path(name).and_then(|path| Interpreter::ask(&path)) else {
            continue;
        };
        if found.is_supported() {
            return Ok(found);
        }
        unsuitable.push(format!("{} is {}", found.path.display(), found.version));
    }
    let what = if unsuitable.is_empty() {
        "no Python was found".to_owned()
    } else {
        format!(
            "no suitable Python was found: {}, and PyTorch 2.11.0 exists for Python 3.10 to 3.14",
            unsuitable.join(", ")
        )
    };
    Err(Trouble::new(what, INSTALL_PYTHON))
}

/// The Python that the user named through `source`.
pub fn named(path: &Path, source: &str) -> Result<Interpreter> {
    let program = on_path(&path.to_string_lossy()).unwrap_or_else(|| path.to_owned());
    let found = Interpreter::ask(&program).ok_or_else(|| {
        Trouble::new(
            format!(
                "{source} is {}, which is no Python that can be run",
                path.display()
            ),
            format!("give {source} the full path of a Python 3.10 to 3.14"),
        )
    })?;
    if found.is_supported() {
        return Ok(found);
    }
    Err(Trouble::new(
        format!(
            "{source} is {}, a Python {}; PyTorch 2.11.0 exists for Python 3.10 to 3.14",
            path.display(),
            found.version
        ),
        format!("give {source} the full path of a Python 3.10 to 3.14"),
    ))
}

/// The Python of `.venv` if the environment works as it is, else the reason why it does not.
pub fn environment(place: &Place, choice: &Choice) -> std::result::Result<Interpreter, String> {
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
    place
        .venv_python()
        .args([
            "-c",
            "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)",
        ])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Makes `.venv` from nothing; what was there before is removed.
pub fn make_environment(place: &Place, lock: &Lock, choice: &Choice) -> Result<()> {
    let found;
    let base = match choice {
        Choice::Python { interpreter, .. } => interpreter,
        _ => {
            found = find()?;
            &found
        }
    };
    base.check_venv()?;
    remove(&place.venv())?;
    say::line(format!(
        "  with {} (Python {})",
        base.path.display(),
        base.version
    ));
    let mut command = Command::new(&base.path);
    command.args(["-m", "venv"]);
    if let Choice::Python { .. } = choice {
        command.arg("--system-site-packages");
    }
    let output = command
        .arg(place.venv())
        .stdin(lock.as_input())
        .output()
        .map_err(|error| Trouble::program(base.path.display(), &error))?;
    if !output.status.success() {
        remove(&place.venv())?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if text.contains("ensurepip") {
            return Err(base.no_venv());
        }
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        return Err(Trouble::new(
            format!(
                "{} could not make .venv: {}",
                base.path.display(),
                last.unwrap_or("it gave no reason").trim()
            ),
            "check the free space and the rights on the repository's folder, or set PYTHON to another Python",
        ));
    }
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

/// Removes a file, link or folder, whichever it is; nothing there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let Ok(data) = path.symlink_metadata() else {
        return Ok(());
    };
    let removed = if data.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    removed.map_err(|error| Trouble::file("remove", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_from_3_10_to_3_14_are_supported() {
        for (version, expected) in [
            ("3.9.18", false),
            ("3.10.0", true),
            ("3.14.2", true),
            ("3.15.0", false),
            ("2.7.18", false),
            ("4.11.0", false),
            ("garbage", false),
        ] {
            assert_eq!(is_supported(version), expected, "{version}");
        }
    }

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

//! A Python that answers, and finding one to make `.venv` with.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compiler::on_path;
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

    /// What to say about a Python that lacks them.
    pub fn no_venv(&self) -> Trouble {
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
}

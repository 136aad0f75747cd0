//! Which libtorch is used, its version, and the link `.lab/libtorch` to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lock::Lock;
use crate::place::Place;
use crate::python::{self, Interpreter};
use crate::say;
use crate::trouble::{Result, Trouble};

/// Where libtorch comes from.
#[derive(Debug)]
pub enum Choice {
    /// The PyTorch wheel in `.venv`.
    Wheel,
    /// A folder: the user's `LIBTORCH`, or what the link already points to.
    Folder(PathBuf),
    /// The PyTorch of a Python outside of `.venv`; `folder` is its package `torch`.
    Python {
        /// That Python.
        interpreter: Interpreter,
        /// Its package `torch`.
        folder: PathBuf,
    },
}

impl Choice {
    /// Decides by the options, the environment and an earlier set-up, in this order.
    pub fn new(place: &Place, use_python: Option<&str>) -> Result<Self> {
        let own = place.own_libtorch();
        if let Some(path) = use_python {
            if own.is_some() {
                return Err(Trouble::usage(
                    "--use-python and LIBTORCH name two places for libtorch, and the build would use LIBTORCH",
                    "unset LIBTORCH, or leave --use-python out",
                ));
            }
            return Self::of_python(path, "--use-python");
        }
        // Before LIBTORCH, because torch-sys also asks for this one first.
        if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
            let active = if std::env::var_os("VIRTUAL_ENV").is_some() {
                "python"
            } else {
                "python3"
            };
            return Self::of_python(active, "LIBTORCH_USE_PYTORCH");
        }
        if let Some(folder) = own {
            check(&folder, "LIBTORCH")?;
            return Ok(Self::Folder(folder));
        }
        if let Some(folder) = linked_elsewhere(place) {
            if check(&folder, ".lab/libtorch").is_ok() {
                say::line(format!(
                    "libtorch: {}, as chosen earlier (`cargo lab clean` forgets it)",
                    folder.display()
                ));
                return Ok(Self::Folder(folder));
            }
            say::line(format!(
                "libtorch: {}, chosen earlier, is no libtorch 2.11 any more",
                folder.display()
            ));
        }
        Ok(Self::Wheel)
    }

    fn of_python(path: &str, source: &str) -> Result<Self> {
        let interpreter = python::named(Path::new(path), source)?;
        // The package is looked up and not imported: importing takes seconds.
        let output = Command::new(&interpreter.path)
            .args([
                "-c",
                "import importlib.util, os\n\
                 spec = importlib.util.find_spec('torch')\n\
                 print(os.path.dirname(spec.origin) if spec and spec.origin else '')",
            ])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Trouble::program(interpreter.path.display(), &error))?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if !folder.is_absolute() {
            return Err(Trouble::new(
                format!("{} has no package torch", interpreter.path.display()),
                format!(
                    "install it there: `{} -m pip install torch==2.11.0`; or leave {source} out",
                    interpreter.path.display()
                ),
            ));
        }
        check(&folder, source)?;
        Ok(Self::Python {
            interpreter,
            folder,
        })
    }

    /// Whether torch is installed into `.venv`.
    pub fn is_wheel(&self) -> bool {
        matches!(self, Self::Wheel)
    }

    /// The folder that the link points to, written as the link holds it.
    fn target(&self, place: &Place) -> Result<PathBuf> {
        match self {
            Self::Folder(folder) | Self::Python { folder, .. } => Ok(folder.clone()),
            Self::Wheel => {
                let folder = wheel(place).ok_or_else(|| {
                    Trouble::new(
                        "torch is not in .venv, although it was installed",
                        "run `cargo lab clean` and `cargo lab setup`",
                    )
                })?;
                // Relative, so that the link survives a move of the repository.
                Ok(folder
                    .strip_prefix(&place.root)
                    .map_or_else(|_| folder.clone(), |inside| Path::new("..").join(inside)))
            }
        }
    }
}

/// The package `torch` in `.venv`, if it is there in the right version.
pub fn wheel(place: &Place) -> Option<PathBuf> {
    let folder = Interpreter::ask(&place.python())?.packages.join("torch");
    let finished = folder
        .parent()?
        .join("torch-2.11.0.dist-info/RECORD")
        .is_file();
    (finished && version(&folder).is_some_and(|version| is_supported(&version))).then_some(folder)
}

/// The version of a libtorch: the file `build-version` of the published archives, else `version.py`
/// of the Python package.
pub fn version(folder: &Path) -> Option<String> {
    if let Ok(text) = std::fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = std::fs::read_to_string(folder.join("version.py")).ok()?;
    value_of(&text, "__version__").map(str::to_owned)
}

/// The CUDA version that the PyTorch package in `folder` was built for, like "13.0".
pub fn cuda(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("version.py")).ok()?;
    value_of(&text, "cuda").map(str::to_owned)
}

/// The string that `name = '...'` or `name: type = '...'` sets in a Python file.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with([' ', ':', '=']) {
            return None;
        }
        let value = rest.split_once('=')?.1.trim();
        value.strip_prefix('\'')?.strip_suffix('\'')
    })
}

/// tch 0.24 is made for PyTorch 2.11 and for nothing else.
pub fn is_supported(version: &str) -> bool {
    version == "2.11" || version.starts_with("2.11.")
}

/// Refuses a folder that is no libtorch 2.11.
fn check(folder: &Path, source: &str) -> Result<()> {
    let remedy = format!(
        "let {source} name a libtorch 2.11 (the folder that holds `lib` and `include`), \
         or leave it out: then `cargo lab setup` installs one"
    );
    if !folder.join("lib").is_dir() {
        return Err(Trouble::new(
            format!(
                "{source} gives {}, which has no folder `lib`",
                folder.display()
            ),
            remedy,
        ));
    }
    match version(folder) {
        Some(version) if is_supported(&version) => Ok(()),
        // torch-sys has the same way out, for libtorches of a distribution that name no version.
        _ if std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() => Ok(()),
        Some(version) => Err(Trouble::new(
            format!(
                "{source} gives {}, which is PyTorch {version}; 2.11 is needed",
                folder.display()
            ),
            remedy,
        )),
        None => Err(Trouble::new(
            format!(
                "{source} gives {}, which names no version: there is neither `build-version` nor `version.py`",
                folder.display()
            ),
            remedy,
        )),
    }
}

/// Where the link points, if that is outside of `.venv`.
fn linked_elsewhere(place: &Place) -> Option<PathBuf> {
    let target = place.libtorch().read_link().ok()?;
    let target = place.lab().join(target);
    let inside =
        target.starts_with(place.lab().join("../.venv")) || target.starts_with(place.venv());
    (!inside).then_some(target)
}

/// Whether the link is there and points where it should.
pub fn is_linked(place: &Place, choice: &Choice) -> bool {
    match (place.libtorch().read_link(), choice.target(place)) {
        (Ok(present), Ok(wanted)) => present == wanted && place.libtorch().join("lib").is_dir(),
        _ => false,
    }
}

/// Makes the link `.lab/libtorch`.
pub fn link(place: &Place, lock: &Lock, choice: &Choice) -> Result<()> {
    let target = choice.target(place)?;
    let link = place.libtorch();
    let before = link.read_link().ok();
    // Made to the side and renamed: whoever builds meanwhile finds the old link or the new one.
    let fresh = place.lab().join("libtorch.new");
    python::remove(&fresh)?;
    std::os::unix::fs::symlink(&target, &fresh)
        .map_err(|error| Trouble::file("make", &fresh, &error))?;
    std::fs::rename(&fresh, &link).map_err(|error| Trouble::file("replace", &link, &error))?;
    say::line(format!("  .lab/libtorch -> {}", target.display()));
    if before.is_some_and(|before| before != target) && place.root.join("target").is_dir() {
        say::line("  it was another one before: torch-sys will be built again");
        // Cargo sees the same path in LIBTORCH and would keep what it linked, also the names of
        // CUDA libraries that the new libtorch may not have.
        for profile in ["dev", "release"] {
            let _ = place
                .cargo([
                    "clean",
                    "--quiet",
                    "--package",
                    "torch-sys",
                    "--profile",
                    profile,
                ])
                .stdin(lock.as_input())
                .stderr(Stdio::null())
                .status();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_PY: &str = "from typing import Optional\n\n\
        __all__ = ['__version__', 'debug', 'cuda']\n\
        __version__ = '2.11.0+cu130'\ndebug = False\n\
        cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n";

    #[test]
    fn version_py_of_the_wheel_is_understood() {
        assert_eq!(value_of(VERSION_PY, "__version__"), Some("2.11.0+cu130"));
        assert_eq!(value_of(VERSION_PY, "cuda"), Some("13.0"));
        assert_eq!(value_of(VERSION_PY, "hip"), None);
        assert_eq!(value_of(VERSION_PY, "debu"), None);
    }

    #[test]
    fn only_2_11_is_supported() {
        for version in ["2.11", "2.11.0", "2.11.0+cu130", "2.11.1+cpu"] {
            assert!(is_supported(version), "{version}");
        }
        for version in ["2.1.1", "2.10.0", "2.110.0", "12.11.0", ""] {
            assert!(!is_supported(version), "{version}");
        }
    }
}

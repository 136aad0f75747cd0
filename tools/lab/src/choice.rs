//! Which libtorch is used.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use checkout::place::Place;
use checkout::say;

use crate::libtorch;
use crate::python::{self, Interpreter};
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
        let own = libtorch::own(place);
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
            libtorch::check(&folder, "LIBTORCH")?;
            return Ok(Self::Folder(folder));
        }
        if let Some(folder) = linked_elsewhere(place) {
            if libtorch::check(&folder, ".lab/libtorch").is_ok() {
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
        libtorch::check(&folder, source)?;
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
    pub fn target(&self, place: &Place) -> Result<PathBuf> {
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
    (finished && libtorch::version(&folder).is_some_and(|version| libtorch::is_supported(&version)))
        .then_some(folder)
}

/// Where the link points, if that is outside of `.venv`.
fn linked_elsewhere(place: &Place) -> Option<PathBuf> {
    let target = place.libtorch().read_link().ok()?;
    let target = place.lab().join(target);
    let inside =
        target.starts_with(place.lab().join("../.venv")) || target.starts_with(place.venv());
    (!inside).then_some(target)
}

//! A libtorch: its version, and whether it will do.

use std::path::{Path, PathBuf};

use checkout::place::Place;

use crate::trouble::{Result, Trouble};

/// The user's own `LIBTORCH`, as an absolute path.
///
/// `.cargo/config.toml` sets the variable to our own link for `cargo run`, and so for this
/// program, where the user has not set it: that value does not count.
pub fn own(place: &Place) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("LIBTORCH").filter(|value| !value.is_empty())?);
    let ours = folder.ends_with(".lab/libtorch")
        && folder
            .ancestors()
            .nth(2)
            .and_then(|root| root.canonicalize().ok())
            .is_some_and(|root| root == place.root);
    (!ours).then(|| std::path::absolute(&folder).unwrap_or(folder))
}

/// The libtorch that a build here and now uses.
pub fn used(place: &Place) -> Option<PathBuf> {
    let folder = own(place).unwrap_or_else(|| place.libtorch());
    folder.join("lib").is_dir().then_some(folder)
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
pub fn check(folder: &Path, source: &str) -> Result<()> {
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

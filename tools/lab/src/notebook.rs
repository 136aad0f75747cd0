//! `cargo lab`: JupyterLab on the folder `notebooks`, for this machine's own browser only.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::kernel;
use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;
use checkout::say;

/// The lesson, in the folder `notebooks`.
const LESSON: &str = "01_transfer_learning.ipynb";

/// Sets up what is missing, then runs JupyterLab until it is stopped. The first of `arguments` may be a folder or a
/// notebook of the user's own; the others are JupyterLab's.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    let (page, options) = match arguments.split_first() {
        Some((path, options)) if !path.starts_with('-') => (page(Path::new(path))?, options),
        _ => (
            (place.root.join("notebooks"), Some(LESSON.to_owned())),
            arguments,
        ),
    };
    let (folder, opened) = page;
    setup::for_notebooks(place)?;
    kernel::warm(place);
    say::line(match &opened {
        Some(name) => format!("JupyterLab opens {name}; Ctrl-C here ends it"),
        None => format!("JupyterLab opens {}; Ctrl-C here ends it", folder.display()),
    });
    let url = opened.map_or_else(|| "/lab".to_owned(), |name| format!("/lab/tree/{name}"));
    let status = programs::python(place)
        .args(["-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"])
        .arg(format!("--ServerApp.root_dir={}", folder.display()))
        .arg(format!("--LabApp.default_url={url}"))
        .args(options)
        .current_dir(&folder)
        .status()
        .map_err(|error| Trouble::program("JupyterLab", &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(0)))
}

/// The folder that JupyterLab shows for `path`, and the notebook in it that opens.
fn page(path: &Path) -> Result<(PathBuf, Option<String>)> {
    let whole = path.canonicalize().map_err(|error| {
        Trouble::usage(
            format!("{}: {error}", path.display()),
            "name a folder or a notebook that is there: `cargo lab notebook my_notebooks`",
        )
    })?;
    let name = whole.file_name().and_then(|name| name.to_str());
    match (whole.parent(), name) {
        (Some(folder), Some(name)) if whole.is_file() => {
            Ok((folder.to_owned(), Some(name.to_owned())))
        }
        _ => Ok((whole, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_a_notebook_of_ones_own_opens() -> std::result::Result<(), Trouble> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(page(folder)?, (folder.to_owned(), None));
        let opened = Some("Cargo.toml".to_owned());
        assert_eq!(
            page(&folder.join("Cargo.toml"))?,
            (folder.to_owned(), opened)
        );
        let error = page(Path::new("no_such_folder")).err();
        assert!(error.is_some_and(|error| error.to_string().contains("no_such_folder")));
        Ok(())
    }
}

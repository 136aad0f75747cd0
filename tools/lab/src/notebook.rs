//! `cargo lab`: JupyterLab on the folder `notebooks`, for this machine's own browser only.

use std::process::ExitCode;

use crate::kernel;
use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;
use checkout::say;

/// Sets up what is missing, then runs JupyterLab until it is stopped; `arguments` are JupyterLab's.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    setup::for_notebooks(place)?;
    kernel::warm(place);
    say::line("JupyterLab: open notebooks/01_transfer_learning.ipynb; Ctrl-C here ends it");
    let status = programs::python(place)
        .args(["-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"])
        .arg(format!(
            "--ServerApp.root_dir={}",
            place.root.join("notebooks").display()
        ))
        // The lesson is what opens, unless the user asks for something else.
        .arg("--LabApp.default_url=/lab/tree/01_transfer_learning.ipynb")
        .args(arguments)
        .current_dir(place.root.join("notebooks"))
        .status()
        .map_err(|error| Trouble::program("JupyterLab", &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(0)))
}

//! The sources of Rust's standard library, which evcxr infers types from.

use std::process::Command;

use checkout::place::Place;
use checkout::toolchain;

use crate::trouble::{Result, Trouble};

/// Whether they are installed.
pub fn are_installed(place: &Place) -> bool {
    toolchain::sysroot(&place.root).is_ok_and(|sysroot| {
        toolchain::standard_library(&sysroot)
            .join("std/src/lib.rs")
            .is_file()
    })
}

/// Installs them with rustup.
pub fn install(place: &Place) -> Result<()> {
    const REMEDY: &str = "install the sources of Rust's standard library the way Rust itself was \
                          installed (with rustup: `rustup component add rust-src`)";
    let status = Command::new("rustup")
        .args(["component", "add", "rust-src"])
        .current_dir(&place.root)
        .status()
        .map_err(|error| Trouble::new(format!("cannot start rustup: {error}"), REMEDY))?;
    if status.success() && are_installed(place) {
        return Ok(());
    }
    Err(Trouble::new("rustup did not add rust-src", REMEDY))
}

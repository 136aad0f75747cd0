//! The Rust toolchain that builds in the repository, and the sources of its standard library.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the toolchain that cargo uses in `root`.
///
/// # Errors
///
/// There is no rustc that can be started.
pub fn sysroot(root: &Path) -> io::Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(root)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

/// Where a toolchain keeps the sources of the standard library, if they are installed: one folder a
/// crate.
pub fn standard_library(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

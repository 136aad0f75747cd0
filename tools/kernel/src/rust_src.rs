//! The part of Rust's standard library that rust-analyzer reads: copies in `.lab/rust-src`.

use std::fs;
use std::path::{Path, PathBuf};

use checkout::place::Place;
use checkout::{toolchain, tree};

/// The crates of Rust's standard library that rust-analyzer is shown. The whole library is 33 MB of
/// source, half of it processor intrinsics, and takes a second longer to read.
const STANDARD_CRATES: [&str; 5] = ["alloc", "core", "panic_unwind", "proc_macro", "std"];

/// The file beside the standard library's sources that says where they come from.
const SYSROOT: &str = "sysroot";

/// The compiler that the template was made with.
pub fn rustc(place: &Place) -> Option<PathBuf> {
    let sysroot = std::fs::read_to_string(place.rust_src().join(SYSROOT)).ok()?;
    Some(Path::new(sysroot.trim()).join("bin/rustc")).filter(|path| path.is_file())
}

/// Makes the copies anew.
///
/// # Errors
///
/// One line: what could not be read or written.
pub fn write(place: &Place) -> Result<(), String> {
    let sysroot =
        toolchain::sysroot(&place.root).map_err(|error| format!("cannot start rustc: {error}"))?;
    let library = toolchain::standard_library(&sysroot);
    let target = place.rust_src();
    let _ = tree::remove(&target);
    fs::create_dir_all(&target)
        .and_then(|()| fs::write(target.join(SYSROOT), sysroot.as_os_str().as_encoded_bytes()))
        .map_err(|error| format!("cannot write into {}: {error}", target.display()))?;
    for name in STANDARD_CRATES {
        let source = library.join(name).join("src");
        tree::copy(&source, &target.join(name).join("src"), &|_| true).map_err(|error| {
            format!(
                "cannot copy {}: {error}; `rustup component add rust-src` installs the sources of the \
                 standard library, without which cells cannot infer types",
                source.display()
            )
        })?;
    }
    Ok(())
}

//! The seed: a folder in which evcxr has built the crate once, so that no session has to.
//!
//! `.lab/seed` is what evcxr's own code leaves after running a few cells there. A stamp beside it
//! lists everything that it was built from; a session whose stamp differs has the seed brought up to
//! date first, and says so.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use crate::environment;
use crate::place::Place;
use crate::session::copy_folder;
use crate::view;

/// What the seed is made with: a first cell as lessons have it, a plain one, and one whose type
/// cannot be inferred, for which evcxr runs `cargo check` over all crates (47 s in a session).
const CELLS: [&str; 3] = [
    "use evcxr_transfer::prelude::*;\nlet lab = Lab::open()?;\nlab",
    "let options = lab.fit();",
    "// fails\nlet unknown = Default::default();",
];

/// The crates of Rust's standard library that rust-analyzer is shown. The whole library is 33 MB of
/// source, half of it processor intrinsics, and takes a second longer to read.
const STANDARD_CRATES: [&str; 5] = ["alloc", "core", "panic_unwind", "proc_macro", "std"];

/// Whether the seed is what the present sources, compiler and engine would give.
pub fn is_fresh(place: &Place) -> bool {
    fs::read_to_string(stamp_path(place)).is_ok_and(|text| text == stamp(place))
}

/// Whether there is a seed at all, if perhaps an old one.
pub fn exists(place: &Place) -> bool {
    place.seed().join("target").is_dir()
}

/// Holds the seed as it is while a session copies it.
///
/// # Errors
///
/// One line: the lock file cannot be used.
pub fn hold(place: &Place) -> Result<File, String> {
    let lock = lock_file(place)?;
    lock.lock_shared()
        .map_err(|error| format!("cannot lock the ready-built crate: {error}"))?;
    Ok(lock)
}

/// Brings the seed up to date; `say` gets the compiler's lines as they come.
///
/// # Errors
///
/// What the reader has to know: the compiler's messages, or the file that could not be written.
pub fn prepare(place: &Place, say: &dyn Fn(&str)) -> Result<(), String> {
    let lock = lock_file(place)?;
    lock.lock()
        .map_err(|error| format!("cannot lock the ready-built crate: {error}"))?;
    if is_fresh(place) {
        // Another kernel has done it meanwhile.
        return Ok(());
    }
    if !place.engine().is_file() {
        return Err("the kernel is not installed completely; run `cargo lab setup`".to_owned());
    }
    let _ = fs::remove_file(stamp_path(place));
    write_rust_src(place)?;
    let stamp = stamp(place);
    view::write(place)?;
    let config = place.lab().join("seed-config");
    fs::create_dir_all(place.seed())
        .and_then(|()| environment::write_configuration(place, &config))
        .map_err(|error| format!("cannot write into {}: {error}", config.display()))?;
    run_cells(place, &config, say)?;
    fs::write(stamp_path(place), stamp)
        .map_err(|error| format!("cannot write into {}: {error}", place.lab().display()))
}

fn run_cells(place: &Place, config: &Path, say: &dyn Fn(&str)) -> Result<(), String> {
    let mut child = environment::engine(place, &place.seed(), config)
        .arg("prepare")
        .args(CELLS)
        // The cells are run to be compiled: no download, no search for a GPU's driver in vain.
        .env("EVCXR_TRANSFER_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", place.engine().display()))?;
    let mut text = String::new();
    for line in child
        .stderr
        .take()
        .into_iter()
        .flat_map(|stderr| BufReader::new(stderr).lines())
        .map_while(Result::ok)
    {
        if is_progress(&line) {
            say(&line);
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    let status = child
        .wait()
        .map_err(|error| format!("the build did not end: {error}"))?;
    if status.success() {
        return Ok(());
    }
    // evcxr passes on messages about the cell, not about a crate behind it: cargo tells those again.
    let compiler = compiler_says(place).unwrap_or_default();
    // The reader knows the repository's files, not the package of links that cells see.
    let links = format!("{}/", view::package(place).display());
    let text = format!("{compiler}\n{text}").replace(&links, "");
    Err(explain(text.trim()))
}

/// What cargo says about the crates behind the cells, with file and line, or nothing.
fn compiler_says(place: &Place) -> Option<String> {
    let seed = place.seed();
    // evcxr builds for a named target, whose folder is the one with a hyphen.
    let target = fs::read_dir(seed.join("target"))
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.contains('-'))?;
    let output = environment::build(place, &seed, &target).output().ok()?;
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether a line of stderr is cargo's "   Compiling tch v0.24.0".
pub fn is_progress(line: &str) -> bool {
    line.trim_start().starts_with("Compiling ")
}

/// The compiler's text, with what to do about it first.
fn explain(text: &str) -> String {
    let remedy =
        remedy(text).unwrap_or("evcxr_transfer does not compile; mend it, then run the cell again");
    if text.is_empty() {
        remedy.to_owned()
    } else {
        format!("{remedy}\n\n{text}")
    }
}

/// What to do about a failure that has nothing to do with the crate's source.
pub fn remedy(text: &str) -> Option<&'static str> {
    if text.contains("No space left on device") {
        Some("the disk is full: make room, then run the cell again")
    } else if text.contains("Could not resolve host") || text.contains("failed to download") {
        Some("a crate could not be downloaded: check the network, then run the cell again")
    } else {
        None
    }
}

/// Copies the sources that rust-analyzer reads.
fn write_rust_src(place: &Place) -> Result<(), String> {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("cannot start rustc: {error}"))?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    let target = place.rust_src();
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&target)
        .and_then(|()| fs::write(target.join(environment::SYSROOT), &sysroot))
        .map_err(|error| format!("cannot write into {}: {error}", target.display()))?;
    for name in STANDARD_CRATES {
        let source = library.join(name).join("src");
        copy_folder(&source, &target.join(name).join("src"), &|_| true).map_err(|error| {
            format!(
                "cannot copy {}: {error}; `rustup component add rust-src` installs the sources of the \
                 standard library, without which cells cannot infer types",
                source.display()
            )
        })?;
    }
    Ok(())
}

/// The file that says what the seed was built from.
pub fn stamp_path(place: &Place) -> PathBuf {
    place.lab().join("seed.stamp")
}

fn lock_file(place: &Place) -> Result<File, String> {
    let path = place.lab().join("seed.lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))
}

/// Everything that the seed depends on, one thing a line.
pub fn stamp(place: &Place) -> String {
    let mut text = environment::FIRST_CELL.to_owned();
    // Asking rustc itself would take longer than all the rest.
    if let Some(rustc) = environment::rustc(place) {
        list(&rustc, &mut text);
    }
    let rustup = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")))
        .and_then(|folder| fs::read_to_string(folder.join("settings.toml")).ok());
    text += &rustup.unwrap_or_default();
    let libtorch = place.libtorch();
    let _ = writeln!(
        text,
        "{}\n{:?}\n{}",
        environment::configuration(place),
        fs::canonicalize(&libtorch).unwrap_or(libtorch),
        CELLS.join("\n")
    );
    for name in ["Cargo.toml", "Cargo.lock", "build.rs", ".lab/bin/engine"] {
        list(&place.root.join(name), &mut text);
    }
    list(&place.root.join("src"), &mut text);
    text
}

/// Path, size and time of a file, or of each file in a folder, in the order of their names.
fn list(path: &Path, text: &mut String) {
    let Ok(about) = fs::metadata(path) else {
        let _ = writeln!(text, "{} is missing", path.display());
        return;
    };
    if about.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        for entry in entries {
            list(&entry, text);
        }
    } else {
        let time = about
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{} {} {}",
            path.display(),
            about.len(),
            time.as_nanos()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            root: folder.path().to_owned(),
        };
        fs::create_dir_all(folder.path().join("src/a")).unwrap();
        fs::write(folder.path().join("src/a/b.rs"), "one").unwrap();
        let before = stamp(&place);
        assert_eq!(before, stamp(&place));
        fs::write(folder.path().join("src/a/b.rs"), "other").unwrap();
        assert_ne!(before, stamp(&place));
        assert!(before.contains("Cargo.lock is missing"));
    }

    #[test]
    fn failures_name_what_to_do_first() {
        let full = explain("error: No space left on device (os error 28)");
        assert!(full.starts_with("the disk is full"), "{full}");
        let broken = explain("error[E0425]: cannot find value `x`\n --> src/lab.rs:3:4");
        assert!(broken.starts_with("evcxr_transfer does not compile"));
        assert!(broken.contains("src/lab.rs:3:4"));
    }

    #[test]
    fn cargos_lines_are_known() {
        assert!(is_progress("   Compiling tch v0.24.0"));
        assert!(!is_progress("error: could not compile `tch`"));
    }
}

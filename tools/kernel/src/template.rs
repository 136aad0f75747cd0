//! The template: a folder in which evcxr has built the crate once, so that no session has to.
//!
//! `.lab/template` is what evcxr's own code leaves after running a few cells there. A stamp beside it
//! lists everything that it was built from; a session whose stamp differs has the template brought up to
//! date first, and says so.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use checkout::lock::Lock;
use checkout::place::Place;
use checkout::stamp::{self, Stamp};
use checkout::tree;

use crate::environment;
use crate::first_cells;
use crate::linker;
use crate::rust_src;
use crate::stand_ins;
use crate::view;

/// The stamp that says what the template was built from.
pub fn stamp(place: &Place) -> Stamp {
    Stamp::new(place.lab().join("template.stamp"))
}

/// Whether the template is what the present sources, compiler and engine would give.
pub fn is_fresh(place: &Place) -> bool {
    stamp(place).is(&sources(place))
}

/// Whether there is a template at all, if perhaps an old one.
pub fn exists(place: &Place) -> bool {
    place.template().join("target").is_dir()
}

/// Whether cargo's line "   Compiling tch v0.24.0" is about a crate that the template has ready, in that version.
pub fn has(place: &Place, line: &str) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let (Some(name), Some(version)) = (words.next(), words.next()) else {
        return false;
    };
    let locked = fs::read_to_string(place.root.join("Cargo.lock")).unwrap_or_default();
    let version = version.trim_start_matches('v');
    // A crate of the project's other programs may stand there too.
    let is_locked = locked.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"));
    let start = format!("{}-", name.replace('-', "_"));
    let is_start_of = |path: PathBuf| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.trim_start_matches("lib").starts_with(&start))
    };
    is_locked && built(place).into_iter().any(is_start_of)
}

/// The files of the crates that the template has ready.
fn built(place: &Place) -> Vec<PathBuf> {
    let target = place.template().join("target");
    let folders = fs::read_dir(target).into_iter().flatten().flatten();
    let folders = folders.flat_map(|folder| fs::read_dir(folder.path().join("debug/deps")));
    folders
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// Holds the template as it is while a session copies it.
///
/// # Errors
///
/// One line: the lock file cannot be used.
pub fn hold(place: &Place) -> Result<Lock, String> {
    Lock::share(&lock_file(place)).map_err(no_lock)
}

/// Brings the template up to date; `say` gets the compiler's lines as they come.
///
/// # Errors
///
/// What the reader has to know: the compiler's messages, or the file that could not be written.
pub fn prepare(place: &Place, say: &dyn Fn(&str)) -> Result<(), String> {
    let path = lock_file(place);
    let lock = match Lock::try_take(&path) {
        Ok(None) => {
            say(if exists(place) {
                "evcxr_transfer has changed, and another kernel, or `cargo lab`, builds it already: waiting for that"
            } else {
                "another kernel, or `cargo lab`, builds evcxr_transfer already: waiting for that"
            });
            Lock::take(&path)
        }
        Ok(Some(lock)) => Ok(lock),
        Err(error) => Err(error),
    };
    let _lock = lock.map_err(no_lock)?;
    if is_fresh(place) {
        // Another kernel has done it meanwhile.
        return Ok(());
    }
    if !place.program("engine").is_file() {
        return Err("the kernel is not installed completely; run `cargo lab setup`".to_owned());
    }
    let stamp = stamp(place);
    let _ = stamp.remove();
    rust_src::write(place)?;
    let sources = sources(place);
    view::write(place)?;
    let config = place.lab().join("template-config");
    let temporary = environment::temporary(&place.template());
    tree::remove(&temporary)
        .and_then(|()| fs::create_dir_all(&temporary))
        .and_then(|()| environment::write_configuration(place, &config))
        .map_err(|error| format!("cannot write into {}: {error}", config.display()))?;
    stand_ins::install(place)
        .map_err(|error| format!("cannot write into {}: {error}", place.program("").display()))?;
    let target = place.template().join("target");
    // One of an earlier build would serve the first cells, and none would be made of what has changed.
    linker::forget(&target);
    first_cells::run(place, &config, say)?;
    // Without it cells work, if more slowly.
    if let Err(reason) = linker::gather(&target) {
        say(&format!(
            "cells will be linked from all archives each time: {reason}"
        ));
    }
    stamp
        .write(&sources)
        .map_err(|error| format!("cannot write into {}: {error}", place.lab().display()))
}

fn lock_file(place: &Place) -> PathBuf {
    place.lab().join("template.lock")
}

fn no_lock(error: io::Error) -> String {
    format!("cannot lock the ready-built crate: {error}")
}

/// Everything that the template depends on, one thing a line.
pub fn sources(place: &Place) -> String {
    let mut text = environment::FIRST_CELL.to_owned();
    // Asking rustc itself would take longer than all the rest.
    if let Some(rustc) = rust_src::rustc(place) {
        stamp::list(&rustc, &mut text);
    }
    let rustup = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")))
        .and_then(|folder| fs::read_to_string(folder.join("settings.toml")).ok());
    text += &rustup.unwrap_or_default();
    let libtorch = place.libtorch();
    let _ = writeln!(
        text,
        "{}\n{:?} {}\n{:?}\n{}",
        environment::configuration(place),
        stand_ins::NAMES,
        linker::EDITION,
        fs::canonicalize(&libtorch).unwrap_or(libtorch),
        first_cells::CELLS.join("\n")
    );
    for name in ["Cargo.toml", "Cargo.lock", "build.rs", ".lab/bin/engine"] {
        stamp::list(&place.root.join(name), &mut text);
    }
    stamp::list(&place.root.join("src"), &mut text);
    text
}

/// Copies into the folder `work` what a session needs of the template: everything but the traces of the
/// template's own cells, so that the engine can start while the copy is being made.
///
/// # Errors
///
/// The system's.
pub fn copy(place: &Place, work: &Path) -> io::Result<()> {
    let target = place.template().join("target");
    tree::copy(&target, &work.join("target"), &|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let of_a_cell = ["ctx-", "libctx", "libcode_"]
            .iter()
            .any(|start| name.starts_with(start));
        !of_a_cell && name != "incremental" && name != ".cargo-lock"
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn crates_that_are_ready_are_known_by_cargos_lines() {
        let root = tempfile::tempdir().unwrap();
        let place = Place {
            root: root.path().to_owned(),
        };
        let deps = place.template().join("target/x86_64/debug/deps");
        fs::create_dir_all(&deps).unwrap();
        fs::write(deps.join("libnum_traits-0a1b.rlib"), "").unwrap();
        let lock = "[[package]]\nname = \"num-traits\"\nversion = \"0.2.19\"\n\n[[package]]\nname = \"libm\"\nversion = \"0.2.16\"\n";
        fs::write(root.path().join("Cargo.lock"), lock).unwrap();
        for (line, is_ready) in [
            ("   Compiling num-traits v0.2.19", true),
            ("   Compiling num-traits v0.2.20", false),
            ("   Compiling libm v0.2.16", false),
            ("   Compiling ctx v1.0.0 (/tmp/x)", false),
            ("   Compiling", false),
        ] {
            assert_eq!(has(&place, line), is_ready, "{line}");
        }
    }

    #[test]
    fn a_changed_source_makes_the_template_old() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            root: folder.path().to_owned(),
        };
        for name in ["src/a", ".lab"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("src/a/b.rs"), "one").unwrap();
        assert!(!is_fresh(&place), "there is none");
        stamp(&place).write(&sources(&place)).unwrap();
        assert!(is_fresh(&place));
        fs::write(folder.path().join("src/a/b.rs"), "other").unwrap();
        assert!(!is_fresh(&place));
    }

    #[test]
    fn a_wait_behind_another_build_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            root: folder.path().to_owned(),
        };
        let other = RefCell::new(Some(Lock::take(&lock_file(&place)).unwrap()));
        let told = RefCell::new(Vec::new());
        let tell = |line: &str| {
            told.borrow_mut().push(line.to_owned());
            // The other one is ready, but what it has built is old by now.
            drop(other.take());
        };
        let reason = prepare(&place, &tell).unwrap_err();
        assert!(reason.contains("not installed completely"), "{reason}");
        assert_eq!(told.borrow().len(), 1);
        assert!(told.borrow()[0].contains("waiting"));
    }

    #[test]
    fn the_templates_own_cells_stay_behind() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            root: folder.path().to_owned(),
        };
        let work = folder.path().join("work");
        for name in [
            "deps/libctx.so",
            "deps/libtch.rlib",
            ".fingerprint/ctx-12/lib-ctx",
            ".fingerprint/tch-12/lib-tch",
            "incremental/ctx-1/s",
            "libcode_1.so",
            ".cargo-lock",
        ] {
            let path = place.template().join("target/x/debug").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        copy(&place, &work).unwrap();
        let debug = work.join("target/x/debug");
        assert!(debug.join("deps/libtch.rlib").exists());
        assert!(debug.join(".fingerprint/tch-12/lib-tch").exists());
        for name in [
            "deps/libctx.so",
            ".fingerprint/ctx-12",
            "incremental",
            "libcode_1.so",
            ".cargo-lock",
        ] {
            assert!(!debug.join(name).exists(), "{name}");
        }
    }
}

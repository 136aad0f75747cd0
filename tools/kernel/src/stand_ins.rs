//! The programs that evcxr and cargo meet in place of Rust's own: this one, under other names.
//!
//! ```text
//! evcxr -> rustup        says where cargo and rustc are
//!       -> cell-cargo -> cargo -> cell-rustc -> rustc -> cell-linker -> cc
//!                     ----------------------------^ where cargo would start the same one again
//! ```
//! `rustup` lies in a folder of its own, which evcxr finds first; evcxr takes its cargo from nowhere else.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use checkout::place::Place;
use checkout::{say, tree};

use crate::rust_src;

/// In place of cargo.
const CARGO: &str = "cell-cargo";

/// In place of rustc, where a cell is compiled and not a crate behind it.
const RUSTC: &str = "cell-rustc";

/// In place of `cc`, where a cell is linked.
const LINKER: &str = "cell-linker";

/// All that lie beside this program.
pub const NAMES: [&str; 3] = [CARGO, RUSTC, LINKER];

/// The folder with nothing but a `rustup`.
const FOLDER: &str = "path";

/// Lays this program beside itself under all names.
///
/// # Errors
///
/// The system's.
pub fn install(place: &Place) -> io::Result<()> {
    for name in NAMES {
        link("kernel", &place.program(name))?;
    }
    std::fs::create_dir_all(place.program(FOLDER))?;
    link("../kernel", &place.program(FOLDER).join("rustup"))
}

/// Links whole at any time: cells of other notebooks are being compiled by that name.
fn link(program: &str, name: &Path) -> io::Result<()> {
    if std::fs::read_link(name).is_ok_and(|present| present == Path::new(program)) {
        return Ok(());
    }
    let new = name.with_extension("new");
    tree::remove(&new)?;
    std::os::unix::fs::symlink(program, &new)?;
    std::fs::rename(new, name)
}

/// The search path by which evcxr finds them, where they are.
pub fn path(place: &Place) -> Option<OsString> {
    let before = std::env::var_os("PATH").unwrap_or_default();
    let folder = Some(place.program(FOLDER)).filter(|folder| folder.join("rustup").exists())?;
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&before))).ok()
}

/// What cargo has to call in place of rustc for cells, where it is there.
pub fn rustc(place: &Place) -> Option<PathBuf> {
    Some(place.program(RUSTC)).filter(|program| program.exists())
}

/// What a cell is linked with; only Linux has one.
pub fn linker(place: &Place) -> Option<PathBuf> {
    Some(place.program(LINKER)).filter(|program| cfg!(target_os = "linux") && program.exists())
}

/// Which of them this program was called as.
#[derive(Clone, Copy, Debug)]
pub enum StandIn {
    /// In place of rustup.
    Rustup,
    /// In place of cargo.
    Cargo,
    /// In place of rustc.
    Rustc,
    /// In place of `cc`.
    Linker,
}

/// Which of them this program was called as, and with what; nothing under its own name.
pub fn called() -> Option<(StandIn, Vec<OsString>)> {
    let mut arguments = std::env::args_os();
    let name = PathBuf::from(arguments.next()?);
    let stand_in = match name.file_name()?.to_str()? {
        "rustup" => StandIn::Rustup,
        CARGO => StandIn::Cargo,
        RUSTC => StandIn::Rustc,
        LINKER => StandIn::Linker,
        _ => return None,
    };
    Some((stand_in, arguments.collect()))
}

/// Answers evcxr's questions at once; what else is asked of rustup, it is asked.
pub fn rustup(place: &Place, arguments: &[OsString]) -> ExitCode {
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let found = match words.as_slice() {
        ["which", "cargo"] => Some(place.program(CARGO)),
        ["which", "rustc"] => rust_src::rustc(place),
        _ => None,
    };
    if let Some(path) = found {
        say::line(path.display());
        return ExitCode::SUCCESS;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).filter(|folder| *folder != place.program(FOLDER));
    let mut command = Command::new("rustup");
    command.args(arguments);
    if let Ok(path) = std::env::join_paths(others) {
        command.env("PATH", path);
    }
    become_program(&mut command)
}

/// Goes on as another program; comes back only where that cannot be started.
pub fn become_program(command: &mut Command) -> ExitCode {
    let error = command.exec();
    let program = command.get_program().to_string_lossy();
    say::error(format!("cannot start `{program}`: {error}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evcxr_finds_them_once_they_are_laid_out() {
        let root = tempfile::tempdir().unwrap();
        let place = Place {
            root: root.path().to_owned(),
        };
        std::fs::create_dir_all(place.program("")).unwrap();
        std::fs::write(place.program("kernel"), "this program").unwrap();
        assert_eq!(
            (path(&place), rustc(&place), linker(&place)),
            (None, None, None)
        );
        install(&place).unwrap();
        // Over those of an earlier set-up.
        install(&place).unwrap();
        let first = std::env::split_paths(&path(&place).unwrap())
            .next()
            .unwrap();
        for program in [
            first.join("rustup"),
            rustc(&place).unwrap(),
            place.program(CARGO),
        ] {
            assert_eq!(std::fs::read_to_string(program).unwrap(), "this program");
        }
        assert_eq!(linker(&place).is_some(), cfg!(target_os = "linux"));
    }
}

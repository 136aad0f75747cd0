//! Files on the disk: written whole, locked, missing, and what to say when there is no room.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, Result};

/// Writes `bytes` to `path` by way of a file beside it, which is renamed when it is on the disk. A kill
/// at any time leaves the old file or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = part_of(path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(source) = written {
        // What is half-written helps nobody; the reason of the failure is what gets reported.
        let _ = fs::remove_file(&part);
        return Err(Error::file(path, "write")(source));
    }
    fs::rename(&part, path).map_err(|source| {
        let _ = fs::remove_file(&part);
        Error::file(path, "rename a finished file to")(source)
    })
}

/// The file beside `path` that is written first; the process number keeps two writers apart.
fn part_of(path: &Path) -> PathBuf {
    with_suffix(path, &format!(".{}.part", std::process::id()))
}

/// The file or folder beside `path` whose name is longer by `suffix`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}

/// Waits until no other process holds the lock. `waiting` is called ten times a second meanwhile, and
/// ends the waiting by an error.
pub(crate) fn wait_for_lock(file: &File, mut waiting: impl FnMut() -> Result<()>) -> Result<()> {
    // Some network file systems know no locks. The work goes on without one there: who asks for a
    // lock checks what it finds or has made in any case.
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        waiting()?;
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A failed write of a large file, with a word on the disk where that is full.
pub(crate) fn write_error(path: &Path, error: io::Error) -> Error {
    let source = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => io::Error::new(
            error.kind(),
            format!("{error}. The disk is full: make room and call again"),
        ),
        _ => error,
    };
    Error::file(path, "write")(source)
}

/// Removing what is not there has succeeded.
pub(crate) fn accept_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_half_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.txt");
        fs::write(&path, b"old").unwrap();
        // A folder in the way of the side file makes the write fail before the old file is touched.
        fs::create_dir(part_of(&path)).unwrap();
        assert!(write_whole(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}

//! Files on the disk: written whole, locked, missing, nobody's, and what to say when there is no room.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use tch::Device;

use crate::error::{Error, Result};
use crate::machine::memory::check_room;

/// How long nobody must have written to a half-written file before it counts as left behind.
const ABANDONED: Duration = Duration::from_secs(10);

/// How many links may lead from one to the next; Linux follows as many.
const MOST_LINKS: usize = 40;

/// Files up to here are read without a look at the memory that is left, which takes as long as reading a small one.
const SMALL: u64 = 64 << 20;

/// A whole file; one that does not fit into memory is refused before any of it is read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(Error::file(path, "read"))?.len();
    if length > SMALL {
        let (length, what) = (usize::try_from(length), path.display().to_string());
        let remedy = "Check what file it is";
        check_room(Device::Cpu, length.unwrap_or(usize::MAX), &what, remedy)?;
    }
    fs::read(path).map_err(Error::file(path, "read"))
}

/// Writes `bytes` to `path` by way of a file beside it, which is renamed when it is on the disk. A kill
/// at any time leaves the old file or the new one, and what it left half-written is removed by the next
/// write. A link stays, and what it points to is written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let path = &followed(path);
    if is_device(path) {
        return fs::write(path, bytes).map_err(Error::file(path, "write"));
    }
    sweep_parts(path);
    let part = part_of(path);
    let written = File::create(&part).and_then(|mut file| {
        // Tells others that somebody is at it; where no locks are known, the file's age does.
        let _ = file.try_lock();
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

/// Whether a file could be written to `path`: better known before the work of hours than after it. Nothing
/// stays behind.
///
/// # Errors
/// [`Error::File`] says why not.
pub(crate) fn try_place(path: &Path) -> Result<()> {
    let path = &followed(path);
    if path.is_dir() || path.file_name().is_none() {
        return Err(Error::file(path, "write")(
            io::ErrorKind::IsADirectory.into(),
        ));
    }
    if is_device(path) {
        return Ok(());
    }
    let part = part_of(path);
    File::create(&part)
        .and_then(|_| fs::remove_file(&part))
        .map_err(Error::file(path, "write"))
}

/// Whether there is something that is no file, such as `/dev/null` or a pipe: nothing may take its place.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Where the links from `path` on lead, whether or not there is a file yet.
fn followed(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            // A target is seen from the folder of its link.
            Ok(target) => place = place.with_file_name("").join(target),
            Err(_) => return place,
        }
    }
    path.to_owned()
}

/// The file beside `path` that is written first; the process number keeps two writers apart.
fn part_of(path: &Path) -> PathBuf {
    with_suffix(path, &format!(".{}{PART}", std::process::id()))
}

/// What the name of a half-written file ends in.
const PART: &str = ".part";

/// Removes what killed processes left of writes to `path`: their half-written files, which nobody holds
/// or has touched for a while.
fn sweep_parts(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let process = found.to_str().and_then(|found| {
            let rest = found.strip_prefix(name)?.strip_prefix('.')?;
            rest.strip_suffix(PART)
        });
        let is_part = process.is_some_and(|process| process.parse::<u32>().is_ok());
        let changed = entry.metadata().and_then(|found| found.modified()).ok();
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if is_part && age.is_some_and(|age| age > ABANDONED) {
            let is_held = File::open(entry.path()).map(|file| file.try_lock().is_err());
            if matches!(is_held, Ok(false)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether a file or folder of this name is what systems and programs leave beside pictures, which nobody
/// put there for a class: macOS' `__MACOSX` and `._cat.jpg`, the thumbnails of Windows and of network
/// storage, bins, caches.
pub(crate) fn is_junk(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "__MACOSX",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "RECYCLER",
        "System Volume Information",
        "lost+found",
        "__pycache__",
    ];
    name.starts_with("._") || NAMES.contains(&name)
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

    #[test]
    fn what_a_killed_process_left_half_written_goes_with_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.safetensors");
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        let put = |name: &str, changed: SystemTime| {
            let place = folder.path().join(name);
            let file = File::create(&place).unwrap();
            file.set_modified(changed).unwrap();
            (place, file)
        };
        let left = put("run.safetensors.4000000.part", long_ago).0;
        // Somebody is at these: one is locked, one was written to just now. The others are no such files.
        let (held, lock) = put("run.safetensors.4000001.part", long_ago);
        lock.lock().unwrap();
        let fresh = put("run.safetensors.4000002.part", SystemTime::now()).0;
        let own = put("run.safetensors.mine.part", long_ago).0;
        let other = put("other.safetensors.4000000.part", long_ago).0;
        write_whole(&path, b"new").unwrap();
        assert!(!left.exists());
        for kept in [&held, &fresh, &own, &other] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_what_it_points_to_is_written() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("store")).unwrap();
        for (name, is_there) in [("old", true), ("new", false)] {
            if is_there {
                fs::write(at("store").join(name), b"old").unwrap();
            }
            // A link to a link, as seen from its own folder.
            symlink(format!("{name}.link"), at(name)).unwrap();
            symlink(format!("store/{name}"), at(&format!("{name}.link"))).unwrap();
            write_whole(&at(name), b"written").unwrap();
            assert!(at(name).is_symlink());
            assert_eq!(fs::read(at("store").join(name)).unwrap(), b"written");
        }
        symlink("circle", at("circle")).unwrap();
        assert!(try_place(&at("circle")).is_ok(), "it is replaced");
        write_whole(&at("circle"), b"written").unwrap();
        assert_eq!(fs::read(at("circle")).unwrap(), b"written");
    }

    #[test]
    fn a_place_is_tried_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.safetensors");
        fs::write(&path, b"old").unwrap();
        try_place(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        for place in [folder.path().to_owned(), folder.path().join("no/run")] {
            let error = try_place(&place).unwrap_err().to_string();
            assert!(error.starts_with("cannot write "), "{error}");
        }
    }
}

//! One process at a time: a lock on a file, which the system frees when the process ends, however it
//! ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

/// A lock that is held as long as the value lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits until nobody else has the lock on the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The system's: the file cannot be made, opened or locked.
    pub fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = open(path)?;
            file.lock()?;
            if is_at(&file, path) {
                return Ok(Self { file });
            }
        }
    }

    /// Waits until nobody has the lock alone, and shares it with others who do the same.
    ///
    /// # Errors
    ///
    /// As [`Lock::take`].
    pub fn share(path: &Path) -> io::Result<Self> {
        loop {
            let file = open(path)?;
            file.lock_shared()?;
            if is_at(&file, path) {
                return Ok(Self { file });
            }
        }
    }

    /// The lock, or `None` while somebody else has it.
    ///
    /// # Errors
    ///
    /// As [`Lock::take`].
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Some(Self { file })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// The lock as a child's (empty) input.
    ///
    /// A child that outlives this process, as pip does for a moment when only this process is
    /// killed, then still keeps others waiting.
    pub fn as_input(&self) -> Stdio {
        self.file
            .try_clone()
            .map_or_else(|_| Stdio::null(), Stdio::from)
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}

/// Whether `path` still leads to `file`. `cargo lab clean` removes locks while others wait for them, and
/// a lock on a removed file keeps nobody out.
fn is_at(file: &File, path: &Path) -> bool {
    let held = file.metadata().map(|about| about.ino()).ok();
    held.is_some() && held == fs::metadata(path).map(|about| about.ino()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_keeps_others_out_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/lock");
        let lock = Lock::take(&path).unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(lock);
        let shared = (Lock::share(&path).unwrap(), Lock::share(&path).unwrap());
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(shared);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_on_a_file_that_was_removed_meanwhile_is_not_taken_for_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let old = Lock::take(&path).unwrap();
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || Lock::take(&path).unwrap()
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        fs::remove_file(&path).unwrap();
        drop(old);
        let _new = waiting.join().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
    }
}

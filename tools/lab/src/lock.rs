//! One set-up at a time: an exclusive lock on `.lab/lock`.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::place::Place;
use crate::say;
use crate::trouble::{Result, Trouble};

/// Held while the repository's folders are changed; the system frees it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits until no other `cargo lab` changes this repository.
    pub fn take(place: &Place) -> Result<Self> {
        let folder = place.lab();
        let path = folder.join("lock");
        loop {
            std::fs::create_dir_all(&folder)
                .map_err(|error| Trouble::file("make", &folder, &error))?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .map_err(|error| Trouble::file("open", &path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    say::line("another cargo lab is setting up; waiting ...");
                    file.lock()
                        .map_err(|error| Trouble::file("lock", &path, &error))?;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Trouble::file("lock", &path, &error));
                }
            }
            // `cargo lab clean` removes the file while others wait for it: a lock on a removed
            // file keeps nobody out.
            let held = file.metadata().map(|data| data.ino()).ok();
            let present = std::fs::metadata(&path).map(|data| data.ino()).ok();
            if held.is_some() && held == present {
                return Ok(Self { file });
            }
        }
    }

    /// The lock as a child's (empty) input.
    ///
    /// A child that outlives this process, as pip does for a moment when only this process is
    /// killed, then still keeps other set-ups waiting.
    pub fn as_input(&self) -> Stdio {
        self.file
            .try_clone()
            .map_or_else(|_| Stdio::null(), Stdio::from)
    }
}

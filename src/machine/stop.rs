//! The wish to stop: a flag that long work asks at each batch.
//!
//! A run that is stopped ends at its next batch and keeps what it has: training gives back its
//! history so far and leaves the model with what it has learned. The kernel "Rust (transfer)" makes
//! a file, named in `EVCXR_TRANSFER_STOP`, when a notebook's reader interrupts a cell: every flag
//! hears it. A program can set a flag from another thread.
//!
//! ```
//! use evcxr_transfer::{Fit, Stop};
//! let stop = Stop::new();
//! let fit = Fit::default().stop(&stop);
//! let watcher = stop.clone();
//! std::thread::spawn(move || watcher.request()).join().ok();
//! assert!(stop.is_requested()); // a run with `fit` would end before its first batch now
//! stop.reset();
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::machine::environment;

/// A flag that asks work to stop. All clones are one flag.
#[derive(Clone)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    /// Exists while somebody outside of this process asks for a stop.
    file: Option<PathBuf>,
}

impl Stop {
    /// A flag that is not set. It also hears an interrupt of the notebook's cell.
    pub fn new() -> Self {
        Self {
            flag: Arc::default(),
            file: environment::stop_file(),
        }
    }

    /// A flag that counts as set while this file exists, too: a way for another process to ask. It
    /// hears this file instead of the notebook's.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self {
            flag: Arc::default(),
            file: Some(path.as_ref().to_owned()),
        }
    }

    /// Asks the work that listens to this flag to stop at its next batch. The flag stays set until
    /// [`Stop::reset`].
    pub fn request(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Takes the request back, so that the next run is not stopped at its start. A file is left to
    /// whoever made it.
    pub fn reset(&self) {
        self.flag.store(false, Ordering::Relaxed);
    }

    /// Whether a stop has been asked for.
    pub fn is_requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.file.as_ref().is_some_and(|file| file.exists())
    }
}

impl Default for Stop {
    /// The same as [`Stop::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_requested() {
            "Stop: requested"
        } else {
            "Stop: not requested"
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_flag_and_a_file_counts_while_it_exists() {
        let stop = Stop::new();
        stop.clone().request();
        assert!(stop.is_requested());
        stop.reset();
        assert!(!stop.is_requested());

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stop");
        let stop = Stop::file(&file);
        assert!(!stop.is_requested());
        std::fs::write(&file, b"").unwrap();
        assert!(stop.is_requested());
        std::fs::remove_file(&file).unwrap();
        assert!(!stop.is_requested());
    }
}

//! One set-up at a time: the lock `.lab/lock`, held while the repository's folders are changed.

use checkout::lock::Lock;
use checkout::place::Place;
use checkout::say;

use crate::trouble::{Result, Trouble};

/// Waits until no other `cargo lab` changes this repository.
pub fn take(place: &Place) -> Result<Lock> {
    let path = place.lab().join("lock");
    let lock = match Lock::try_take(&path) {
        Ok(None) => {
            say::line("another cargo lab is setting up; waiting ...");
            Lock::take(&path)
        }
        Ok(Some(lock)) => Ok(lock),
        Err(error) => Err(error),
    };
    lock.map_err(|error| Trouble::file("lock", &path, &error))
}

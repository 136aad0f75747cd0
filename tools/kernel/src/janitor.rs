//! Tidies up after engines, whichever way they ended.
//!
//! A keeper holds the lock on the file `lock` in its session's folder. When its engine or its front has ended,
//! it stops what is left and removes the folder; of one that was killed, the next keeper does so.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use checkout::lock::Lock;

/// Makes a session's folder and takes the lock in it, which says that its keeper lives.
///
/// # Errors
///
/// The system's.
pub fn make(sessions: &Path, folder: &Path) -> io::Result<Lock> {
    // Between the two steps the folder looks like that of a keeper that was killed.
    let _turn = turn(sessions)?;
    fs::create_dir(folder)?;
    Lock::take(&folder.join("lock"))
}

/// Waits until nobody makes a folder or looks whether one is left behind.
fn turn(sessions: &Path) -> io::Result<Lock> {
    Lock::take(&sessions.join("turn"))
}

/// Removes what keepers have left behind that were killed.
pub fn sweep(sessions: &Path, engine: &Path) {
    for entry in fs::read_dir(sessions).into_iter().flatten().flatten() {
        let folder = entry.path();
        if !folder.is_dir() {
            continue;
        }
        let Ok(turn) = turn(sessions) else {
            return;
        };
        // A folder without the file is being removed at this moment, or goes at the next start.
        let Ok(lock) = File::open(folder.join("lock")) else {
            if is_older_than_a_minute(&folder) {
                remove(&folder);
            }
            continue;
        };
        let is_left_behind = lock.try_lock().is_ok();
        drop(turn);
        if is_left_behind {
            // After a restart of the machine the number may be another program's.
            let process = fs::read_to_string(folder.join("engine")).unwrap_or_default();
            let program = fs::read_link(format!("/proc/{}/exe", process.trim()));
            if program.is_ok_and(|program| engine.canonicalize().is_ok_and(|own| own == program)) {
                stop_engine(&folder);
            }
            remove(&folder);
        }
    }
}

fn is_older_than_a_minute(folder: &Path) -> bool {
    fs::metadata(folder)
        .and_then(|about| about.modified())
        .is_ok_and(|time| {
            time.elapsed()
                .is_ok_and(|age| age > Duration::from_secs(60))
        })
}

/// Kills the engine of the session in `folder`, with all that it has started.
pub fn stop_engine(folder: &Path) {
    let number = fs::read_to_string(folder.join("engine")).unwrap_or_default();
    if let Ok(number) = number.trim().parse() {
        stop_group(number);
    }
}

/// Kills an engine's process group: the engine, the process with the variables, running builds.
pub fn stop_group(number: u32) {
    let group = i32::try_from(number).ok().filter(|&number| number > 1);
    if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
        // Where it is gone already, nothing is to be done.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// Removes a folder in which processes that were just killed may still be writing.
pub fn remove(folder: &Path) {
    for _ in 0..20 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_kernels_go_and_those_of_living_ones_stay() {
        let sessions = tempfile::tempdir().unwrap();
        let (dead, living) = (sessions.path().join("a"), sessions.path().join("b"));
        for folder in [&dead, &living] {
            fs::create_dir_all(folder.join("work")).unwrap();
            File::create(folder.join("lock")).unwrap();
        }
        let lock = File::open(living.join("lock")).unwrap();
        lock.lock().unwrap();
        sweep(sessions.path(), Path::new("/nowhere"));
        assert!(!dead.exists());
        assert!(living.exists());
    }

    #[test]
    fn a_folder_that_is_being_made_is_not_taken_for_one_that_was_left_behind() {
        let sessions = tempfile::tempdir().unwrap();
        let folder = sessions.path().join("a");
        // As in the middle of `make`.
        let turn = turn(sessions.path()).unwrap();
        fs::create_dir(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| sweep(sessions.path(), Path::new("/nowhere")));
            std::thread::sleep(Duration::from_millis(200));
            assert!(folder.exists());
            lock.lock().unwrap();
            drop(turn);
            sweeper.join().unwrap();
        });
        assert!(folder.exists());
    }
}

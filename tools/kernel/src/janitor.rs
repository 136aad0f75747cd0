//! Tidies up after engines, whichever way they ended.
//!
//! A keeper holds the lock on the file `lock` in its session's folder. When its engine or its front has ended,
//! it stops what is left and removes the folder; of one that was killed, the next keeper does so.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// Removes what keepers have left behind that were killed.
pub fn sweep(sessions: &Path, engine: &Path) {
    for entry in fs::read_dir(sessions).into_iter().flatten().flatten() {
        let folder = entry.path();
        // A folder without the file is being made at this moment, or goes at the next start.
        let Ok(lock) = File::open(folder.join("lock")) else {
            if is_older_than_a_minute(&folder) {
                remove(&folder);
            }
            continue;
        };
        if lock.try_lock().is_ok() {
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
}

//! Tidies up after kernels, whichever way they ended.
//!
//! A kernel holds the lock on the file `lock` in its session's folder; its janitor, a process of its own,
//! waits for that lock, gets it when the kernel is gone, even killed, and then stops what is left and
//! removes the folder.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The work of one session's janitor: waits for the end of the kernel, then tidies up.
pub fn run(folder: &Path) {
    let Ok(lock) = File::open(folder.join("lock")) else {
        return;
    };
    if lock.lock().is_ok() {
        stop_engine(folder);
        remove(folder);
    }
}

/// Removes what kernels have left behind whose janitor was killed too.
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

/// Kills the engine's process group: the engine, the process with the variables, running builds.
fn stop_engine(folder: &Path) {
    let Ok(process) = fs::read_to_string(folder.join("engine")) else {
        return;
    };
    if process.trim().parse::<u32>().is_ok_and(|number| number > 1) {
        // The shell's own `kill`: a small machine may lack the program.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -KILL -{}", process.trim())])
            .stderr(Stdio::null())
            .status();
    }
}

/// Removes a folder in which processes that were just killed may still be writing.
fn remove(folder: &Path) {
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

//! A session's private folder: copied from the seed, removed whichever way the session ends.
//!
//! Cargo and evcxr write into the folder that they build in, and two kernels in one folder run each
//! other's cells. So each session has a copy (a copy, not links: cargo writes through those), mostly the
//! one that was made in advance ([`crate::spare`]). The
//! kernel holds a lock on the file `lock` in it; a helper process, the janitor, waits for that lock,
//! gets it when the kernel is gone, even killed, and then stops what is left and removes the folder.

use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::environment;
use crate::place::Place;
use crate::seed;
use crate::spare;
use crate::stop;

/// The private folder of one kernel.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    /// Held as long as the kernel lives.
    _lock: File,
}

impl Session {
    /// Makes an empty folder and starts its janitor; what dead kernels have left behind goes.
    ///
    /// # Errors
    ///
    /// One line: what could not be made.
    pub fn open(place: &Place) -> Result<Self, String> {
        let sessions = place.sessions();
        fs::create_dir_all(&sessions)
            .map_err(|error| format!("cannot make {}: {error}", sessions.display()))?;
        sweep(&sessions, &place.engine());
        let folder = sessions.join(uuid::Uuid::new_v4().simple().to_string());
        let made = fs::create_dir(&folder)
            .and_then(|()| File::create(folder.join("lock")))
            .and_then(|lock| lock.lock().map(|()| lock));
        let lock = made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let config = folder.join("config");
        environment::write_configuration(place, &config)
            .and_then(|()| fs::create_dir(folder.join("work")))
            .map_err(|error| format!("cannot write into {}: {error}", folder.display()))?;
        let mut janitor = Command::new(environment::program())
            .arg("janitor")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Jupyter kills the kernel's whole process group.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start the kernel's helper: {error}"))?;
        // A session may end before its kernel, with an engine that crashed: then its janitor ends too.
        std::thread::spawn(move || janitor.wait());
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Where evcxr builds.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The session's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The engine on this session's folder, in a process group of its own.
    pub fn engine(&self, place: &Place) -> Command {
        let mut command = environment::engine(place, &self.work(), &self.folder.join("config"));
        command
            .env(environment::SESSION, &self.folder)
            .env(stop::VARIABLE, stop::file(&self.folder))
            .process_group(0);
        command
    }

    /// Writes down which process group the janitor has to stop.
    pub fn remember_engine(&self, process: u32) {
        // Without the file an engine whose kernel is killed stays until it is killed itself.
        let _ = fs::write(self.folder.join("engine"), process.to_string());
    }

    /// Gives the session its copy of the seed: the spare one at once, or a new one that is made beside
    /// everything else. The sign that it is there, or why it is not, is left for [`await_copy`].
    pub fn fill(&self, place: &Place) {
        if spare::take(place, &self.folder) {
            let _ = fs::write(self.folder.join("filled"), "");
            return;
        }
        let (place, folder) = (place.clone(), self.folder.clone());
        std::thread::spawn(move || {
            let outcome = seed::hold(&place).and_then(|_hold| {
                copy_seed(&place.seed(), &folder.join("work")).map_err(|error| {
                    format!(
                        "cannot copy the ready-built crate into {}: {error}; make room there (a \
                         session needs 0.7 GB), then run the cell again",
                        folder.display()
                    )
                })
            });
            let (name, text) = match outcome {
                Ok(()) => ("filled", String::new()),
                Err(error) => ("failed", error),
            };
            // Written whole before it can be seen. On a full disk the empty name alone may fit.
            let _ = fs::write(folder.join("outcome"), text);
            let _ = fs::rename(folder.join("outcome"), folder.join(name));
        });
    }
}

/// Waits until the session's copy is complete.
///
/// # Errors
///
/// The text that says why it is not.
pub fn await_copy(folder: &Path) -> Result<(), String> {
    loop {
        if folder.join("filled").exists() {
            return Ok(());
        }
        if let Ok(error) = fs::read_to_string(folder.join("failed")) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The janitor's work: waits for the end of the kernel, then tidies up.
pub fn janitor(folder: &Path) {
    let Ok(lock) = File::open(folder.join("lock")) else {
        return;
    };
    if lock.lock().is_ok() {
        stop_engine(folder);
        remove(folder);
    }
}

/// Removes what kernels have left behind whose janitor was killed too.
fn sweep(sessions: &Path, engine: &Path) {
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
pub fn remove(folder: &Path) {
    for _ in 0..20 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Copies what a session needs of the seed: everything but the traces of the seed's own cells, so
/// that the engine can start while the copy is being made.
pub fn copy_seed(seed: &Path, work: &Path) -> io::Result<()> {
    copy_folder(&seed.join("target"), &work.join("target"), &|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let of_a_cell = ["ctx-", "libctx", "libcode_"]
            .iter()
            .any(|start| name.starts_with(start));
        !of_a_cell && name != "incremental" && name != ".cargo-lock"
    })
}

/// Copies a folder with the times of its files, which cargo compares. `keep` decides by source path.
pub fn copy_folder(from: &Path, to: &Path, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if !keep(&source) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&source, &target, keep)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

/// Copies a file with its times.
pub fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    fs::copy(source, target)?;
    let about = fs::metadata(source)?;
    let times = FileTimes::new()
        .set_modified(about.modified()?)
        .set_accessed(about.accessed()?);
    File::options()
        .write(true)
        .open(target)
        .and_then(|file| file.set_times(times))
        // A file that is not to be written has its time of copying: cargo compares none of those.
        .or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Ok(()),
            _ => Err(error),
        })
}

/// The kernel's own command that evcxr runs before the first cell: see
/// [`environment::configuration`].
///
/// # Errors
///
/// The line that the reader of the notebook gets.
pub fn ready(place: &Place) -> Result<(), String> {
    if let Some(folder) = std::env::var_os(environment::SESSION) {
        await_copy(Path::new(&folder))?;
    }
    let work = std::env::var_os("EVCXR_TMPDIR")
        .ok_or("EVCXR_TMPDIR is not set; this command is for the kernel's own use")?;
    let lock = Path::new(&work).join("Cargo.lock");
    fs::copy(place.root.join("Cargo.lock"), &lock)
        .map_err(|error| format!("cannot write {}: {error}", lock.display()))?;
    Ok(())
}

/// Writes whole lines to stderr, where the process that started this one reads them.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_files_and_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("a/incremental")).unwrap();
        fs::write(from.join("a/lib.rlib"), "content").unwrap();
        fs::write(from.join("a/incremental/x"), "x").unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(10_000);
        File::options()
            .write(true)
            .open(from.join("a/lib.rlib"))
            .unwrap()
            .set_times(FileTimes::new().set_modified(old))
            .unwrap();
        let to = folder.path().join("to");
        copy_folder(&from, &to, &|path| !path.ends_with("incremental")).unwrap();
        let copied = to.join("a/lib.rlib");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "content");
        assert_eq!(fs::metadata(&copied).unwrap().modified().unwrap(), old);
        assert!(!to.join("a/incremental").exists());
    }

    #[test]
    fn the_seeds_own_cells_stay_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (seed, work) = (folder.path().join("seed"), folder.path().join("work"));
        for name in [
            "deps/libctx.so",
            "deps/libtch.rlib",
            ".fingerprint/ctx-12/lib-ctx",
            ".fingerprint/tch-12/lib-tch",
            "incremental/ctx-1/s",
            "libcode_1.so",
            ".cargo-lock",
        ] {
            let path = seed.join("target/x/debug").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        copy_seed(&seed, &work).unwrap();
        let debug = work.join("target/x/debug");
        assert!(debug.join("deps/libtch.rlib").exists());
        assert!(debug.join(".fingerprint/tch-12/lib-tch").exists());
        for name in [
            "deps/libctx.so",
            ".fingerprint/ctx-12",
            "incremental",
            "libcode_1.so",
            ".cargo-lock",
        ] {
            assert!(!debug.join(name).exists(), "{name}");
        }
    }

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
    fn a_failed_copy_is_told_to_the_one_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("failed"), "disk full").unwrap();
        assert_eq!(await_copy(folder.path()).unwrap_err(), "disk full");
        fs::write(folder.path().join("filled"), "").unwrap();
        assert!(await_copy(folder.path()).is_ok());
    }
}

//! A session's private folder: copied from the template, removed whichever way the session ends.
//!
//! Cargo and evcxr write into the folder that they build in, and two kernels in one folder run each
//! other's cells. So each session has a copy (a copy, not links: cargo writes through those), mostly the
//! one that was made in advance ([`crate::spare`]). Its keeper ([`crate::keep`]) removes it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use checkout::lock::Lock;
use checkout::place::Place;

use crate::environment;
use crate::janitor;
use crate::sessions;
use crate::spare;
use crate::stop;
use crate::template;

/// The private folder of one engine.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    /// The engine's process group.
    engine: OnceLock<u32>,
    /// Held as long as the keeper lives.
    _lock: Lock,
}

impl Session {
    /// Makes the empty folder; what killed keepers have left behind goes.
    ///
    /// # Errors
    ///
    /// One line: what could not be made.
    pub fn open(place: &Place, folder: &Path) -> Result<Self, String> {
        let sessions = sessions::folder(place)?;
        janitor::sweep(&sessions, &place.program("engine"));
        let lock = janitor::make(&sessions, folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        environment::write_configuration(place, &folder.join("config"))
            .and_then(|()| fs::create_dir_all(environment::temporary(&folder.join("work"))))
            .map_err(|error| format!("cannot write into {}: {error}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            engine: OnceLock::new(),
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

    /// Writes down which process group is to be stopped with the session.
    pub fn remember_engine(&self, process: u32) {
        let _ = self.engine.set(process);
        // Without the file an engine whose keeper is killed ends when it finds its stdin closed.
        let _ = fs::write(self.folder.join("engine"), process.to_string());
    }

    /// Whether the folder is still there: somebody may have removed it.
    pub fn is_there(&self) -> bool {
        is_there(&self.folder)
    }

    /// Kills the engine, with all that it has started, and removes the folder.
    pub fn end(&self) {
        if let Some(process) = self.engine.get() {
            janitor::stop_group(*process);
        }
        janitor::remove(&self.folder);
    }

    /// Gives the session its copy of the template: the spare one at once, or a new one that is made beside
    /// everything else. The sign that it is there, or why it is not, is left for [`await_copy`].
    pub fn fill(&self, place: &Place) {
        if spare::take(place, &self.folder) {
            let _ = fs::write(self.folder.join("filled"), "");
            return;
        }
        let (place, folder) = (place.clone(), self.folder.clone());
        std::thread::spawn(move || {
            let outcome = template::hold(&place).and_then(|_hold| {
                template::copy(&place, &folder.join("work")).map_err(|error| {
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

/// Whether the folder of a session is one still.
pub fn is_there(folder: &Path) -> bool {
    folder.join("lock").exists()
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
        if !is_there(folder) {
            return Err(format!("{} was removed", folder.display()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_copy_is_told_to_the_one_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            await_copy(folder.path())
                .unwrap_err()
                .ends_with("was removed")
        );
        fs::write(folder.path().join("failed"), "disk full").unwrap();
        assert_eq!(await_copy(folder.path()).unwrap_err(), "disk full");
        fs::write(folder.path().join("filled"), "").unwrap();
        assert!(await_copy(folder.path()).is_ok());
    }
}

//! A download: resumed when it was cut, checked, stopped when asked, and never half a file in place.
//!
//! This is the first step of the flow: weight files and picture archives land in the data folder
//! here, before anything reads them.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::files::attempt::{Attempt, Ended, Shown};
use crate::files::part::Part;
use crate::files::remote::Remote;
use crate::machine::patience::PATIENCE;
use crate::show::progress::Progress;

/// How often one call asks the server before it gives up.
const TRIES: u32 = 3;

impl Remote {
    /// Brings the file into `folder`, which is created if need be, and returns its path.
    ///
    /// A file that is already there and fits (size, sum) is returned at once, without the
    /// network. Otherwise it is downloaded beside its place as `.part`, checked, and then renamed,
    /// so a file under its final name is always whole. A download that was cut or stopped goes on
    /// where it ended, within this call (three tries) and in later ones. Two processes may ask for
    /// the same file: the second waits for the first (a `.lock` file stays behind for that).
    ///
    /// # Errors
    /// [`Error::Download`] if the server cannot be reached, refuses, sends a web page instead of
    /// the file, breaks off three times, or has a file of another size or sum; [`Error::File`] if
    /// the folder cannot be written or the disk is full; [`Error::Argument`] if the file's name is
    /// not a plain one; [`Error::Stopped`] if a stop is asked for.
    pub(crate) fn fetch(&self, folder: &Path, progress: &Progress) -> Result<PathBuf> {
        let mut parts = Path::new(&self.file_name).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(Error::Argument {
                argument: "file_name",
                value: format!("{:?}", self.file_name),
                expected: "it must be a plain file name, without folders".into(),
            });
        }
        let place = folder.join(&self.file_name);
        if place.is_file() && self.misfit(&place)?.is_none() {
            return Ok(place);
        }
        fs::create_dir_all(folder).map_err(Error::file(folder, "create"))?;
        let mut download = Download {
            remote: self,
            part: Part::open(&place)?,
            shown: Shown {
                progress,
                doing: format!("downloading {}", self.file_name),
                task: None,
            },
            place: &place,
        };
        download.run().map_err(|error| match error {
            Error::Stopped { doing } => match download.part.kept_of(self) {
                0 => Error::Stopped { doing },
                kept => Error::Stopped {
                    doing: format!("{doing} ({:.1} MB are kept)", kept as f64 / 1e6),
                },
            },
            other => other,
        })?;
        if let Some(task) = download.shown.task {
            task.finish();
        }
        Ok(place)
    }
}

/// A file on its way to its place.
struct Download<'a> {
    remote: &'a Remote,
    place: &'a Path,
    part: Part,
    shown: Shown<'a>,
}

impl Download<'_> {
    /// Brings the file to its place, unless another process does so meanwhile.
    fn run(&mut self) -> Result<()> {
        let (part, shown) = (&self.part, &mut self.shown);
        part.wait(|| {
            shown.done(part.len(), self.remote.bytes);
            shown.check()
        })?;
        let mut in_place = String::new();
        if self.place.is_file() {
            match self.remote.misfit(self.place)? {
                None => return Ok(()),
                Some(problem) => in_place = format!("{} {problem}, and ", self.place.display()),
            }
        }
        self.bring().map_err(|error| match error {
            Error::Download {
                url,
                problem,
                remedy,
            } => Error::Download {
                url,
                problem: in_place + &problem,
                remedy,
            },
            other => other,
        })?;
        self.part.rename_to(self.place)
    }

    /// Fills the part with the checked file.
    fn bring(&mut self) -> Result<()> {
        let mut answered_before = false;
        for tried in 1.. {
            let start = self.part.kept_of(self.remote);
            let mut attempt = Attempt {
                remote: self.remote,
                place: self.place,
                part: &mut self.part,
                shown: &mut self.shown,
            };
            let problem = match attempt.run(start) {
                Ok(()) => match self.remote.misfit(&self.part.path)? {
                    None => break,
                    Some(problem) => {
                        self.part.remove()?;
                        // A file in two pieces may have changed between them: that is no reason
                        // to give up before it was brought in one.
                        if start == 0 || tried >= TRIES {
                            let problem = format!("the file that came {problem}; it was removed");
                            return Err(self.remote.failure(self.place, problem, "Call again"));
                        }
                        continue;
                    }
                },
                Err(Ended::Over(error)) => return Err(error),
                Err(Ended::Again { problem, answered }) => {
                    answered_before |= answered;
                    problem
                }
            };
            // Without any answer the network is not there, and waiting would only hide that.
            if tried >= TRIES || !answered_before {
                let advice = match self.part.kept_of(self.remote) {
                    0 => "Look whether the network is there and call again".to_owned(),
                    kept => format!("Call again to go on ({kept} bytes are kept)"),
                };
                return Err(self.remote.failure(self.place, problem, &advice));
            }
            self.pause(self.remote.patience / 30 * tried)?;
        }
        Ok(())
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        let start = Instant::now();
        while let Some(left) = pause.checked_sub(start.elapsed()) {
            self.shown.check()?;
            sleep(left.min(PATIENCE));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

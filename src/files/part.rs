//! A [`Part`]: what has come of a download so far, and whose it is.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::remote::Remote;
use crate::machine::disk::{accept_missing, wait_for_lock, with_suffix};

/// The `.part` file beside a file's place, and the `.lock` file that keeps other processes away from it.
///
/// The address and the validator (ETag or date) of its bytes lie in the lock file, and go through its
/// one handle, because Windows keeps all other handles out of a locked file.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    lock: File,
}

impl Part {
    /// Opens the lock of the file that is to be at `place`.
    pub(crate) fn open(place: &Path) -> Result<Self> {
        let lock = with_suffix(place, ".lock");
        Ok(Self {
            path: with_suffix(place, ".part"),
            lock: OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&lock)
                .map_err(Error::file(&lock, "open"))?,
        })
    }

    /// Waits until no other process has the part, calling `waiting` meanwhile.
    pub(crate) fn wait(&self, waiting: impl FnMut() -> Result<()>) -> Result<()> {
        wait_for_lock(&self.lock, waiting)
    }

    /// How many bytes have come.
    pub(crate) fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// Whether a part of the file is of the same version as the bytes that are here: `of_answer` looks up a
    /// header of the answer that it came with. Without the header that they came with nobody knows.
    pub(crate) fn is_of_this_version<'a>(
        &mut self,
        of_answer: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<bool> {
        let own = self.validator()?;
        let is_tag = own.starts_with('"');
        let header = if is_tag { "ETag" } else { "Last-Modified" };
        of_answer(header).map(|found| found == own)
    }

    /// How many of them belong to `remote` and may be kept.
    pub(crate) fn kept_of(&mut self, remote: &Remote) -> u64 {
        let have = self.len();
        let (url, validator) = self.origin();
        // With neither a validator nor a sum nobody could tell two versions glued together.
        let provable = validator.is_some() || remote.sum.is_some();
        let fits = remote.bytes.is_none_or(|bytes| have <= bytes);
        if url == remote.url && provable && fits {
            have
        } else {
            0
        }
    }

    /// The address and the validator of the bytes.
    fn origin(&mut self) -> (String, Option<String>) {
        let mut text = String::new();
        let read = self.lock.rewind();
        if read
            .and_then(|()| self.lock.read_to_string(&mut text))
            .is_err()
        {
            return (String::new(), None);
        }
        let mut lines = text.lines().map(str::to_owned);
        let url = lines.next().unwrap_or_default();
        (url, lines.next().filter(|line| !line.is_empty()))
    }

    /// The validator of the bytes.
    pub(crate) fn validator(&mut self) -> Option<String> {
        self.origin().1
    }

    /// Begins anew with bytes of this address and validator.
    pub(crate) fn create(&mut self, url: &str, validator: Option<&str>) -> Result<File> {
        let text = format!("{url}\n{}\n", validator.unwrap_or_default());
        let written = self
            .lock
            .set_len(0)
            .and_then(|()| self.lock.rewind())
            .and_then(|()| self.lock.write_all(text.as_bytes()));
        if written.is_err() {
            // Half a record could vouch for the wrong bytes; an empty one only costs the resuming.
            self.lock.set_len(0).ok();
        }
        File::create(&self.path).map_err(Error::file(&self.path, "create"))
    }

    /// Goes on behind the bytes that are there.
    pub(crate) fn append(&self) -> Result<File> {
        let file = OpenOptions::new().append(true).open(&self.path);
        file.map_err(Error::file(&self.path, "open"))
    }

    /// Drops the bytes.
    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path)
            .or_else(accept_missing)
            .map_err(Error::file(&self.path, "remove"))
    }

    /// Makes the whole file the one at `place`. Another file of that name is somebody's: it makes room
    /// and is kept, beside those that did so before.
    pub(crate) fn rename_to(&self, place: &Path) -> Result<()> {
        if place.exists() {
            let mut asides = (1..).map(|number| match number {
                1 => with_suffix(place, ".replaced"),
                _ => with_suffix(place, &format!(".replaced{number}")),
            });
            if let Some(aside) = asides.find(|aside| fs::symlink_metadata(aside).is_err()) {
                fs::rename(place, &aside).map_err(Error::file(place, "move aside"))?;
            }
        }
        fs::rename(&self.path, place).map_err(Error::file(place, "rename the download to"))
    }
}

//! Pictures that cannot be decoded: found by decoding them all, and left out.
//!
//! ```
//! use evcxr_transfer::Data;
//! let train = Data::open("data/samples")?.train;
//! assert!(train.unreadable()?.is_empty());
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::pictures::data::Data;
use crate::pictures::dataset::Dataset;
use crate::pictures::folder::KNOWN_ENDINGS;
use crate::pictures::left_out;
use crate::pictures::photo::Photo;
use crate::pictures::reader::in_order;
use crate::show::progress::Progress;

/// What is being done while pictures are decoded only to see whether they can be.
pub(crate) const CHECKING: &str = "checking pictures";

impl Dataset {
    /// The pictures that cannot be decoded, each with the reason. Decodes every picture once.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the work was asked to stop.
    pub fn unreadable(&self) -> Result<Vec<(PathBuf, String)>> {
        self.find_unreadable(0, &Progress::default())
    }

    /// Those from the picture `first` on; the progress is asked for a stop at each picture.
    pub(crate) fn find_unreadable(
        &self,
        first: usize,
        progress: &Progress,
    ) -> Result<Vec<(PathBuf, String)>> {
        let files = self.files().get(first..).unwrap_or_default();
        let mut task = progress.task(CHECKING, "pictures", Some(files.len()));
        let mut found = Vec::new();
        let reason = |file: &Path| Photo::read(file).err().map(reason_of);
        let check = || progress.check(CHECKING);
        in_order(
            files,
            size_of::<String>(),
            reason,
            &check,
            |index, reason| {
                progress.check(CHECKING)?;
                found.extend(reason.map(|reason| (files[index].clone(), reason)));
                task.done(index + 1);
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// The same dataset less the pictures that cannot be decoded.
    ///
    /// # Errors
    /// [`Error::Dataset`] if no picture is left, [`Error::Stopped`] if the work was asked to stop.
    pub fn without_unreadable(&self) -> Result<Self> {
        self.without(&self.unreadable()?)
    }

    /// The same dataset less these pictures, which cannot be decoded.
    pub(crate) fn without(&self, unreadable: &[(PathBuf, String)]) -> Result<Self> {
        let is_readable = |index: &usize| {
            let file = &self.files()[*index];
            !unreadable.iter().any(|(path, _)| path == file)
        };
        let chosen = (0..self.len()).filter(is_readable).collect::<Vec<_>>();
        if chosen.is_empty() {
            return Err(Error::Dataset {
                path: self.folder().to_owned(),
                problem: left_out::explained(
                    "there is no picture in it that can be read",
                    self.left_out(),
                    self.folder(),
                ),
                remedy: format!("Put readable pictures there ({KNOWN_ENDINGS})"),
            });
        }
        Ok(self.select(&chosen))
    }
}

impl Data {
    /// The same data less the pictures that cannot be decoded.
    ///
    /// # Errors
    /// [`Error::Dataset`] if a class then has no picture to train or none to validate on, which
    /// [`Data::split`] had given it; otherwise as [`Dataset::without_unreadable`].
    pub fn without_unreadable(&self) -> Result<Self> {
        let data = Self {
            train: self.train.without_unreadable()?,
            validation: self.validation.without_unreadable()?,
        };
        for (before, after) in [
            (&self.train, &data.train),
            (&self.validation, &data.validation),
        ] {
            let emptied = before.counts().into_iter().zip(after.counts());
            let mut emptied =
                emptied.filter(|((_, before), (_, after))| *before > 0 && *after == 0);
            if let Some(((class, _), _)) = emptied.next() {
                return Err(Error::Dataset {
                    path: before.folder().to_owned(),
                    problem: format!(
                        "none of the {} pictures of {class} can be read",
                        before.name()
                    ),
                    remedy:
                        "Put readable ones there; pictures that were shared out by `Data::split` \
                             are shared out in another way with another seed"
                            .into(),
                });
            }
        }
        Ok(data)
    }
}

/// The reason without the path, which the caller names beside it.
pub(crate) fn reason_of(error: Error) -> String {
    match error {
        Error::Picture { problem, .. } => problem,
        Error::File { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::stop::Stop;

    #[test]
    fn looking_for_unreadable_pictures_shows_itself_and_can_be_stopped() {
        let train = Dataset::open("data/samples/train").unwrap();
        let progress = Progress::keeping().pace(Duration::ZERO, Duration::ZERO);
        assert!(train.find_unreadable(0, &progress).unwrap().is_empty());
        let first = &progress.kept()[0];
        assert!(
            first.starts_with("checking pictures: 1/60 pictures"),
            "{first}"
        );
        let stop = Stop::new();
        stop.request();
        let stopped = train.find_unreadable(0, &progress.stop(&stop));
        assert!(matches!(stopped, Err(Error::Stopped { .. })));
    }
}

//! Where official files may lie on this machine, and how one of them is had.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::remote::Remote;
use crate::lab::lab::Lab;

impl Lab {
    /// Each place where an official file lies, whole or not, in words: a cut one is an error, not a reason
    /// to do without.
    pub(crate) fn lying(&self, file: &Remote) -> Vec<(PathBuf, &'static str)> {
        let mirror = self.mirror.as_ref().and_then(|mirror| mirror.folder());
        let places = [
            (Some(self.folder.value.as_path()), "the data folder"),
            (self.keras_cache.as_deref(), "Keras' cache"),
            (mirror, "the mirror"),
        ];
        let file_in = |folder: &Path| Some(folder.join(&file.file_name)).filter(|at| at.is_file());
        let found = places
            .into_iter()
            .filter_map(|(folder, words)| Some((file_in(folder?)?, words)));
        found.collect()
    }

    /// Whether an official file is to be had, from this machine or the network.
    pub(crate) fn can_have(&self, file: &Remote) -> bool {
        !self.samples_only && (self.online.value || !self.lying(file).is_empty())
    }

    /// An official file, checked: from this machine if it is there, otherwise from the network.
    pub(crate) fn fetch(&self, file: &Remote) -> Result<PathBuf> {
        let mut unfit = None;
        for (path, _) in self.lying(file) {
            match file.misfit(&path)? {
                None => return Ok(path),
                Some(problem) => unfit = unfit.or(Some((path, problem))),
            }
        }
        match unfit {
            _ if self.online.value => self
                .mirrored(file.clone())
                .fetch(&self.folder.value, &self.progress),
            Some((path, problem)) => Err(Error::Weights {
                path,
                problem: format!("the file {problem}"),
                remedy: "It is cut or changed: copy it again, or remove it to go on without".into(),
            }),
            None => {
                let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                Err(Error::file(self.folder.value.join(&file.file_name), "read")(missing))
            }
        }
    }

    /// An official file as the mirror has it, where there is one.
    pub(crate) fn mirrored(&self, file: Remote) -> Remote {
        match &self.mirror {
            Some(mirror) => mirror.remote(file),
            None => file,
        }
    }
}

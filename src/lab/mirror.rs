//! The [`Mirror`]: what somebody names in place of the official download sites.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::remote::Remote;

/// A place that has the official files under their names.
#[derive(Debug, Clone)]
pub(crate) enum Mirror {
    /// An `http://` or `https://` address: files are downloaded from there instead.
    Address(String),
    /// A folder of this machine or a shared one: files are taken from there, and not copied.
    Folder(PathBuf),
}

impl Mirror {
    pub(crate) fn new(named: String) -> Self {
        match named.starts_with("http://") || named.starts_with("https://") {
            true => Self::Address(named),
            false => Self::Folder(named.into()),
        }
    }

    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Address(_) => None,
        }
    }

    /// Where an official file is downloaded from.
    pub(crate) fn remote(&self, official: Remote) -> Remote {
        match self {
            Self::Address(address) => official.at(address),
            Self::Folder(_) => official,
        }
    }

    /// Why it is taken, and what is wrong with it.
    pub(crate) fn reason(&self) -> &'static str {
        match self.folder().is_some_and(|folder| !folder.is_dir()) {
            true => "EVCXR_TRANSFER_MIRROR says so, but it is neither a folder nor an address",
            false => "EVCXR_TRANSFER_MIRROR says so",
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Folder(folder) => folder.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_an_address_or_a_folder() {
        let official = Remote::new("https://example.org/a/b.h5").md5("0");
        for (named, url, folder) in [
            ("http://mirror/x/", "http://mirror/x/b.h5", None),
            ("https://mirror", "https://mirror/b.h5", None),
            ("/srv/x", "https://example.org/a/b.h5", Some("/srv/x")),
        ] {
            let mirror = Mirror::new(named.into());
            let remote = mirror.remote(official.clone());
            assert_eq!((&*remote.url, &*remote.file_name), (url, "b.h5"));
            assert_eq!(remote.sum, official.sum);
            assert_eq!(mirror.folder(), folder.map(Path::new));
        }
    }
}

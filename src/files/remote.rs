//! A [`Remote`]: a file on a server, and how one tells that a file on the disk is that file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Bytes read at once.
pub(crate) const CHUNK: usize = 64 * 1024;

/// A published sum of a file's bytes, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sum {
    Md5(String),
    Sha256(String),
}

impl Sum {
    /// Why the file at `path` has another sum, as the end of a sentence; nothing if it has this one.
    fn misfit(&self, path: &Path) -> Result<Option<String>> {
        let (name, expected, found) = match self {
            Self::Md5(expected) => ("MD5", expected, sum_of::<Md5>(path)),
            Self::Sha256(expected) => ("SHA-256", expected, sum_of::<Sha256>(path)),
        };
        let found = found.map_err(Error::file(path, "read"))?;
        let fits = found.eq_ignore_ascii_case(expected);
        Ok((!fits).then(|| format!("has the {name} sum {found} instead of {expected}")))
    }
}

/// A file on a server, and what is known about it beforehand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remote {
    /// The address, `https://...` or `http://...`.
    pub(crate) url: String,
    /// The name that the file gets in the data folder, without folders.
    pub(crate) file_name: String,
    /// The size that the file must have, in bytes. Default: any.
    pub(crate) bytes: Option<u64>,
    /// The sum that the file must have. Default: any.
    pub(crate) sum: Option<Sum>,
    /// How long the server may stay silent before the connection counts as dead. Default: 30 s.
    pub(crate) patience: Duration,
}

impl Remote {
    /// The file at `url`, of any size and content, to be stored under the last part of its address.
    pub(crate) fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let address = url.split(['?', '#']).next().unwrap_or_default();
        let file_name = address.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            url,
            file_name,
            bytes: None,
            sum: None,
            patience: Duration::from_secs(30),
        }
    }

    /// The same file from a mirror, which has it under its name at this address.
    pub(crate) fn at(self, mirror: &str) -> Self {
        Self {
            url: format!("{}/{}", mirror.trim_end_matches('/'), self.file_name),
            ..self
        }
    }

    /// The same file, which must have this many bytes.
    pub(crate) fn bytes(self, bytes: u64) -> Self {
        Self {
            bytes: Some(bytes),
            ..self
        }
    }

    /// The same file, which must have this MD5 sum (32 hexadecimal digits).
    pub(crate) fn md5(self, md5: impl Into<String>) -> Self {
        Self {
            sum: Some(Sum::Md5(md5.into())),
            ..self
        }
    }

    /// The same file, which must have this SHA-256 sum (64 hexadecimal digits).
    pub(crate) fn sha256(self, sha256: impl Into<String>) -> Self {
        Self {
            sum: Some(Sum::Sha256(sha256.into())),
            ..self
        }
    }

    /// Why the file at `path` is not this one, as the end of a sentence; nothing if it is.
    pub(crate) fn misfit(&self, path: &Path) -> Result<Option<String>> {
        let found = fs::metadata(path).map_err(Error::file(path, "read"))?.len();
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes != found) {
            return Ok(Some(format!("has {found} bytes instead of {bytes}")));
        }
        self.sum.as_ref().map_or(Ok(None), |sum| sum.misfit(path))
    }

    /// The error of a download that was to end at `place`.
    pub(crate) fn failure(&self, place: &Path, problem: String, advice: &str) -> Error {
        let url = self.url.clone();
        let remedy = format!(
            "{advice}; or bring {url} to {} by another way, or work offline: `Lab::open()?.offline()`",
            place.display()
        );
        Error::Download {
            url,
            problem,
            remedy,
        }
    }

    /// Whether the file is a web page itself, so that one in its place is no surprise.
    pub(crate) fn wants_web_page(&self) -> bool {
        let name = self.file_name.to_ascii_lowercase();
        name.ends_with(".html") || name.ends_with(".htm")
    }
}

fn sum_of<D: Digest>(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = D::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let sum = hasher.finalize();
    Ok(sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

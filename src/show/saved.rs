//! What saving gives back: where the file is, in a form that a cell can end with.
//!
//! ```
//! # fn main() -> evcxr_transfer::Result<()> {
//! # let folder = std::env::temp_dir();
//! use evcxr_transfer::{Features, ndarray::Array4};
//!
//! let values = Array4::<f32>::zeros((2, 4, 4, 512));
//! let features = Features::from_array(&values, &[0, 1], &["cats", "dogs"])?;
//! let saved = features.save(folder.join("saved_example.safetensors"))?;
//! assert!(saved.to_string().starts_with("saved "));
//! # std::fs::remove_file(saved.path()).ok();
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::machine::disk;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;

/// A file that was written. Shows itself under a notebook cell as one line: place and size.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    path: PathBuf,
    /// As the caller wrote it.
    given: PathBuf,
    bytes: u64,
}

impl Saved {
    /// Writes `bytes` to `path`; an older file there stays whole until the new one is.
    pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Self> {
        disk::write_whole(path, bytes)?;
        Ok(Self::new(path, bytes.len()))
    }

    fn new(path: &Path, bytes: usize) -> Self {
        Self {
            // The whole place: it stays the same wherever the program goes.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            given: path.to_owned(),
            bytes: bytes as u64,
        }
    }

    /// The file, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

displayed!(
    Saved,
    "Shows place and size under a notebook cell.",
    |saved| Bundle::text(&saved.to_string())
);

/// "saved cats.safetensors (16.8 MB)": the place as it was given, in decimal units.
impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saved {} ", self.given.display())?;
        match self.bytes {
            0..1_000_000 => write!(f, "({} kB)", self.bytes.div_ceil(1000)),
            bytes => write!(f, "({:.1} MB)", bytes as f64 / 1e6),
        }
    }
}

/// A file or folder as seen from the current folder, if it lies in that or in the one above: "../data". Shorter to
/// read, and a notebook that is handed on does not tell where it lay.
pub(crate) fn from_here(path: &Path) -> PathBuf {
    let Ok(here) = std::env::current_dir() else {
        return path.to_owned();
    };
    if let Ok(below) = path.strip_prefix(&here) {
        if below.starts_with("..") {
            return below.to_owned();
        }
        return Path::new(".").join(below);
    }
    match here.parent().map(|above| path.strip_prefix(above)) {
        // Of the file system's root everything is a part.
        Some(Ok(beside)) if here.parent() != Some(Path::new("/")) => Path::new("..").join(beside),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_file_names_its_place_and_size() {
        let saved = Saved::new(Path::new("/x/cats.safetensors"), 16_812_353);
        assert_eq!(saved.to_string(), "saved /x/cats.safetensors (16.8 MB)");
        let saved = Saved::new(Path::new("a.csv"), 12);
        assert!(saved.path().is_absolute());
        assert_eq!(saved.to_string(), "saved a.csv (1 kB)");
    }
}

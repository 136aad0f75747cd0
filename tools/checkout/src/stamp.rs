//! Stamps: files that say from what something was built, so that it is built again when that changes.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A stamp's file. It is removed before work begins and written when the work is done, so that work
/// which was interrupted counts as not done.
#[derive(Clone, Debug)]
pub struct Stamp {
    path: PathBuf,
}

impl Stamp {
    /// The stamp in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The stamp's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; `None` where nothing was built.
    pub fn text(&self) -> Option<String> {
        fs::read_to_string(&self.path).ok()
    }

    /// Whether what was built was built from `text`.
    pub fn is(&self, text: &str) -> bool {
        self.text().is_some_and(|present| present == text)
    }

    /// Says that it was.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn write(&self, text: &str) -> io::Result<()> {
        fs::write(&self.path, text)
    }

    /// Says that nothing is built.
    ///
    /// # Errors
    ///
    /// The system's, but for a file that is not there.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Adds path, size and time of a file, or of each file in a folder in the order of their names, one a
/// line: what a stamp says about sources.
pub fn list(path: &Path, text: &mut String) {
    let Ok(about) = fs::metadata(path) else {
        let _ = writeln!(text, "{} is missing", path.display());
        return;
    };
    if about.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            list(&entry, text);
        }
        return;
    }
    let time = about
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "{} {} {}",
        path.display(),
        about.len(),
        time.as_nanos()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_until_its_sources_change() {
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().join("src");
        fs::create_dir_all(sources.join("a")).unwrap();
        fs::write(sources.join("a/b.rs"), "one").unwrap();
        let present = || {
            let mut text = String::new();
            list(&sources, &mut text);
            list(&folder.path().join("Cargo.lock"), &mut text);
            text
        };
        let stamp = Stamp::new(folder.path().join("x.stamp"));
        assert!(!stamp.is(&present()), "nothing is built yet");
        stamp.remove().unwrap();
        stamp.write(&present()).unwrap();
        assert!(stamp.is(&present()));
        assert!(present().contains("Cargo.lock is missing"));
        fs::write(sources.join("a/b.rs"), "other").unwrap();
        assert!(!stamp.is(&present()));
        stamp.remove().unwrap();
        assert_eq!(stamp.text(), None);
    }
}

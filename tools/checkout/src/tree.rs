//! Folders as wholes: copied with the times of their files, and removed.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;

/// Copies a folder with the times of its files, which cargo compares. `keep` decides by source path.
///
/// # Errors
///
/// The system's, for the first file that cannot be copied.
pub fn copy(from: &Path, to: &Path, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if !keep(&source) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target, keep)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

/// Copies a file with its times.
///
/// # Errors
///
/// The system's.
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

/// Removes a file, link or folder, whichever it is; nothing there is fine.
///
/// # Errors
///
/// The system's.
pub fn remove(path: &Path) -> io::Result<()> {
    let Ok(about) = path.symlink_metadata() else {
        return Ok(());
    };
    if about.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_copy_has_the_files_and_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("a/incremental")).unwrap();
        fs::write(from.join("a/lib.rlib"), "content").unwrap();
        fs::write(from.join("a/incremental/x"), "x").unwrap();
        let old = SystemTime::now() - Duration::from_secs(10_000);
        File::options()
            .write(true)
            .open(from.join("a/lib.rlib"))
            .unwrap()
            .set_times(FileTimes::new().set_modified(old))
            .unwrap();
        let to = folder.path().join("to");
        copy(&from, &to, &|path| !path.ends_with("incremental")).unwrap();
        let copied = to.join("a/lib.rlib");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "content");
        assert_eq!(fs::metadata(&copied).unwrap().modified().unwrap(), old);
        assert!(!to.join("a/incremental").exists());
    }

    #[test]
    fn what_a_removed_link_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for path in [&link, &link, &folder.path().join("nothing")] {
            remove(path).unwrap();
        }
        assert!(target.is_dir());
        remove(&target).unwrap();
        assert!(!target.exists());
    }
}

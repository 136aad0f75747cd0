//! The folder in which the sessions' private copies lie.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use checkout::place::Place;

/// The folder, made if it is not there.
///
/// evcxr splits the paths that it is given at blanks, and knows only UTF-8, and a socket's path has no more
/// than 100 bytes: a repository in another place has its sessions in the temporary folder, in one of this
/// user's own.
///
/// # Errors
///
/// What is wrong with the folder, and what to do about it.
pub fn folder(place: &Place) -> Result<PathBuf, String> {
    let here = place.lab().join("sessions");
    if is_plain(&here) {
        fs::create_dir_all(&here)
            .map_err(|error| format!("cannot make {}: {error}", here.display()))?;
        return Ok(here);
    }
    let temporary = std::env::temp_dir();
    if !is_plain(&temporary) {
        return Err(format!(
            "the paths of the repository and of the temporary folder, {}, both hold blanks, with which \
             evcxr cannot build, or are too long; set TMPDIR to a short one without blanks",
            temporary.display()
        ));
    }
    let user = rustix::process::geteuid().as_raw();
    let own = temporary.join(format!("evcxr_transfer-sessions-{user}"));
    make_private(&own, user)?;
    Ok(own)
}

/// Notes whose the session in `folder` is: a notebook's path, or the folder that it runs in.
pub fn name(folder: &Path, notebook: &str) {
    // Without it, it is one without a name.
    let _ = fs::write(folder.join("notebook"), notebook);
}

/// The notebooks whose kernels run.
///
/// # Errors
///
/// What is wrong with the sessions' folder.
pub fn running(place: &Place) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder(place)?);
    let folders = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    // An engine that waits for its notebook is nobody's loss.
    let is_taken = |folder: &Path| !folder.join("spare").exists() || folder.join("taken").exists();
    let is_held = |folder: &Path| {
        fs::File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_err())
    };
    Ok(folders
        .filter(|folder| is_taken(folder) && is_held(folder))
        .map(|folder| {
            fs::read_to_string(folder.join("notebook"))
                .unwrap_or_else(|_| "a notebook whose kernel is starting".to_owned())
        })
        .collect())
}

/// Makes a folder that only this user can enter, or makes sure that the one that is there is such a one:
/// where everybody may make folders, somebody else can have made it before, to read what sessions hold or
/// to have their programs run.
fn make_private(folder: &Path, user: u32) -> Result<(), String> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("cannot make {}: {error}", folder.display()));
        }
        _ => {}
    }
    // Of the name itself, not of what a link leads to.
    let about = fs::symlink_metadata(folder)
        .map_err(|error| format!("cannot look at {}: {error}", folder.display()))?;
    let wrong = if !about.is_dir() {
        "it is no folder, or a link to one"
    } else if about.uid() != user {
        "it belongs to another user"
    } else if about.mode() & 0o077 != 0 {
        "other users may enter it"
    } else {
        return Ok(());
    };
    Err(format!(
        "sessions are not safe in {}: {wrong}; remove it, or set TMPDIR to a folder of your own",
        folder.display()
    ))
}

/// Whether evcxr can build in `path`, and a session in it have a socket.
fn is_plain(path: &Path) -> bool {
    // Behind it "/", 32 letters of the session's name, "/socket" and the byte that ends it.
    let most = 100 - 41;
    path.to_str()
        .is_some_and(|text| !text.contains(char::is_whitespace) && text.len() <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkout::lock::Lock;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    const SOMEBODY: u32 = 12_345;

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn sessions_of_a_checkout_with_a_blank_lie_in_a_private_folder_of_the_user() {
        let place = |root: &str| Place { root: root.into() };
        let own = folder(&place("/with a/blank")).unwrap();
        assert!(own.starts_with(std::env::temp_dir()));
        assert!(own.to_str().unwrap().ends_with(&format!("-{}", me())));
        let about = fs::symlink_metadata(&own).unwrap();
        assert_eq!((about.mode() & 0o777, about.uid()), (0o700, me()));
        let here = tempfile::tempdir().unwrap();
        let root = here.path().to_str().unwrap();
        assert!(folder(&place(root)).unwrap().starts_with(here.path()));
    }

    #[test]
    fn the_notebooks_whose_kernels_run_are_known() {
        let root = tempfile::tempdir().unwrap();
        let place = Place {
            root: root.path().to_owned(),
        };
        let all = folder(&place).unwrap();
        let session = |name: &str| {
            let session = all.join(name);
            fs::create_dir(&session).unwrap();
            (Lock::take(&session.join("lock")).unwrap(), session)
        };
        let (_lock, mine) = session("a");
        assert!(running(&place).unwrap()[0].contains("starting"));
        name(&mine, "lesson.ipynb");
        let (lock, _) = session("killed");
        drop(lock);
        let (_spare, waiting) = session("spare");
        fs::write(waiting.join("spare"), "").unwrap();
        assert_eq!(running(&place).unwrap(), ["lesson.ipynb"]);
    }

    #[test]
    fn a_folder_that_somebody_else_could_have_made_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("sessions");
        make_private(&folder, me()).unwrap();
        make_private(&folder, me()).unwrap();
        let refused = |words: &str, user: u32| {
            let error = make_private(&folder, user).unwrap_err();
            assert!(error.contains(words) && error.contains("TMPDIR"), "{error}");
        };
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        refused("other users may enter it", me());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        refused("another user", me() + 1);
        // Only root may give a folder away.
        if chown(&folder, Some(SOMEBODY), None).is_ok() {
            refused("another user", me());
        }
        fs::remove_dir(&folder).unwrap();
        symlink(temporary.path(), &folder).unwrap();
        refused("a link", me());
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        refused("no folder", me());
    }
}

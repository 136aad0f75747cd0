//! A copy of the seed made in advance, which the next session takes by renaming it.
//!
//! Copying 700 MB in 3,000 files takes the better part of a second from the first answer. So a kernel that
//! has become idle makes the copy for the next one: `.lab/spare`, with the stamp of its seed in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::place::Place;
use crate::seed;
use crate::session::{copy_seed, remove};

/// The seed's stamp in a spare copy.
const STAMP: &str = "stamp";

fn folder(place: &Place) -> PathBuf {
    place.lab().join("spare")
}

/// Makes the spare copy of the present seed `work/target` of the session; `false` if there is none.
pub fn take(place: &Place, session: &Path) -> bool {
    // Whoever renames it first has it.
    let taken = session.join("spare");
    if fs::rename(folder(place), &taken).is_err() {
        return false;
    }
    let is_current = fs::read_to_string(taken.join(STAMP)).is_ok_and(|spare| {
        fs::read_to_string(seed::stamp_path(place)).is_ok_and(|present| present == spare)
    });
    let fits = is_current && fs::rename(taken.join("target"), session.join("work/target")).is_ok();
    remove(&taken);
    fits
}

/// Makes a spare copy if there is no current one. What goes wrong only costs the next session time.
pub fn make(place: &Place) {
    let Ok(lock) = File::create(place.lab().join("spare.lock")) else {
        return;
    };
    if lock.try_lock().is_err() {
        // Another kernel is at it.
        return;
    }
    let Ok(_hold) = seed::hold(place) else {
        return;
    };
    let part = place.lab().join("spare.new");
    // Of a kernel that ended meanwhile.
    remove(&part);
    if make_whole(place, &part).is_err() {
        remove(&part);
    }
}

fn make_whole(place: &Place, part: &Path) -> io::Result<()> {
    let stamp = fs::read_to_string(seed::stamp_path(place))?;
    let spare = folder(place);
    if fs::read_to_string(spare.join(STAMP)).is_ok_and(|text| text == stamp) {
        return Ok(());
    }
    copy_seed(&place.seed(), part)?;
    fs::write(part.join(STAMP), stamp)?;
    remove(&spare);
    fs::rename(part, spare)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a seed of one file.
    fn place(root: &Path) -> Place {
        let place = Place {
            root: root.to_owned(),
        };
        fs::create_dir_all(place.seed().join("target/x/debug/deps")).unwrap();
        fs::write(place.seed().join("target/x/debug/deps/libtch.rlib"), "tch").unwrap();
        fs::write(seed::stamp_path(&place), "one").unwrap();
        place
    }

    #[test]
    fn a_spare_copy_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let session = folder.path().join("session");
        fs::create_dir_all(session.join("work")).unwrap();
        assert!(!take(&place, &session), "there is none yet");
        make(&place);
        assert!(take(&place, &session));
        let file = session.join("work/target/x/debug/deps/libtch.rlib");
        assert_eq!(fs::read_to_string(file).unwrap(), "tch");
        assert!(!take(&place, &session), "it was taken");
    }

    #[test]
    fn a_spare_copy_of_an_old_seed_is_not_taken_but_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let session = folder.path().join("session");
        fs::create_dir_all(session.join("work")).unwrap();
        make(&place);
        fs::write(seed::stamp_path(&place), "two").unwrap();
        assert!(!take(&place, &session));
        assert!(!session.join("work/target").exists());
        make(&place);
        fs::write(seed::stamp_path(&place), "three").unwrap();
        make(&place);
        assert!(take(&place, &session));
    }
}

//! A copy of the template made in advance, which the next session takes by renaming it.
//!
//! Copying 700 MB in 3,000 files takes the better part of a second from the first answer. So a kernel that
//! has become idle makes the copy for the next one: `.lab/spare`, with the stamp of its template in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use checkout::lock::Lock;
use checkout::place::Place;
use checkout::stamp::Stamp;
use checkout::tree;

use crate::template;

fn folder(place: &Place) -> PathBuf {
    place.lab().join("spare")
}

/// The stamp of the template in a spare copy of it.
fn stamp(spare: &Path) -> Stamp {
    Stamp::new(spare.join("stamp"))
}

/// Makes the spare copy of the present template `work/target` of the session; `false` if there is none.
pub fn take(place: &Place, session: &Path) -> bool {
    // Whoever renames it first has it.
    let taken = session.join("spare");
    if fs::rename(folder(place), &taken).is_err() {
        return false;
    }
    let present = template::stamp(place).text();
    let is_current = present.is_some_and(|present| stamp(&taken).is(&present));
    let fits = is_current && fs::rename(taken.join("target"), session.join("work/target")).is_ok();
    let _ = tree::remove(&taken);
    fits
}

/// Makes a spare copy if there is no current one. What goes wrong only costs the next session time.
pub fn make(place: &Place) {
    let Ok(Some(_lock)) = Lock::try_take(&place.lab().join("spare.lock")) else {
        // Another kernel is at it.
        return;
    };
    let Ok(_hold) = template::hold(place) else {
        return;
    };
    let part = place.lab().join("spare.new");
    // Of a kernel that ended meanwhile.
    let _ = tree::remove(&part);
    if make_whole(place, &part).is_err() {
        let _ = tree::remove(&part);
    }
}

fn make_whole(place: &Place, part: &Path) -> io::Result<()> {
    let present = template::stamp(place).text();
    let present = present.ok_or(io::ErrorKind::NotFound)?;
    let spare = folder(place);
    if stamp(&spare).is(&present) {
        return Ok(());
    }
    template::copy(place, part)?;
    stamp(part).write(&present)?;
    tree::remove(&spare)?;
    fs::rename(part, spare)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a template of one file.
    fn place(root: &Path) -> Place {
        let place = Place {
            root: root.to_owned(),
        };
        fs::create_dir_all(place.template().join("target/x/debug/deps")).unwrap();
        fs::write(
            place.template().join("target/x/debug/deps/libtch.rlib"),
            "tch",
        )
        .unwrap();
        template::stamp(&place).write("one").unwrap();
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
    fn a_spare_copy_of_an_old_template_is_not_taken_but_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let session = folder.path().join("session");
        fs::create_dir_all(session.join("work")).unwrap();
        make(&place);
        template::stamp(&place).write("two").unwrap();
        assert!(!take(&place, &session));
        assert!(!session.join("work/target").exists());
        make(&place);
        template::stamp(&place).write("three").unwrap();
        make(&place);
        assert!(take(&place, &session));
    }
}

//! What lies in folders of pictures, in the order of Keras' `flow_from_directory`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::machine::disk::is_junk;
use crate::machine::patience::patiently;
use crate::pictures::left_out::{LeftOut, reason_of};

/// What a name may end with for Keras' directory iterator, in lower case; the dot is not asked for. And WebP, which
/// pictures from the web are.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff", "webp"];

/// The endings in words, for who has none of them.
pub(crate) const KNOWN_ENDINGS: &str = ".jpg, .png, .webp, .bmp, .ppm or .tif";

/// Whether a folder of this name is one that somebody put pictures into: not Jupyter's
/// `.ipynb_checkpoints`, nor what systems leave.
pub(crate) fn holds_pictures(name: &str) -> bool {
    !name.starts_with('.') && !is_junk(name)
}

/// The last part of a path, for people to read.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Refuses an address on the web, which is no path: "https://...".
pub(crate) fn check_is_local(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme)
            if ["http", "https", "ftp"].contains(&scheme.to_ascii_lowercase().as_str()) =>
        {
            Err(Error::Download {
                url: text.into_owned(),
                problem: "this is an address, and pictures are read from files".into(),
                remedy: "Download it, with a browser or `wget`, and give the path of the file"
                    .into(),
            })
        }
        _ => Ok(()),
    }
}

/// What `look` makes of a folder, whose disk may be slow or gone.
pub(crate) fn looked_through<T: Send + 'static>(
    folder: &Path,
    look: impl FnOnce(&Path) -> Result<T> + Send + 'static,
) -> Result<T> {
    let folder = folder.to_owned();
    let doing = format!("looking through {}", folder.display());
    patiently(&doing, move || look(&folder))
}

/// The entries of a folder, sorted as Python sorts their names: by code point.
pub(crate) fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    check_is_local(folder)?;
    let entries = std::fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
    });
    let mut entries = entries.map_err(Error::file(folder, "read the folder"))?;
    entries.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(entries)
}

/// Whether a file counts as a picture, by its name.
pub(crate) fn is_picture(path: &Path) -> bool {
    let name = name_of(path);
    let lower = name.to_lowercase();
    path.is_file() && ENDINGS.iter().any(|ending| lower.ends_with(ending)) && !is_junk(&name)
}

/// The pictures in a class folder and in the folders inside it, and what lies beside them: folders in the
/// order of their whole path, files sorted within each, which is what Keras makes of `os.walk`.
pub(crate) fn pictures_below(class: &Path) -> Result<(Vec<PathBuf>, Vec<LeftOut>)> {
    let mut folders = vec![class.to_owned()];
    let mut visited = 0;
    while visited < folders.len() {
        for entry in sorted_entries(&folders[visited])? {
            // Links to folders are not followed (Keras' follow_links=False): they may lead in circles.
            if entry.is_dir() && !entry.is_symlink() && holds_pictures(&name_of(&entry)) {
                folders.push(entry);
            }
        }
        visited += 1;
    }
    folders.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let (mut pictures, mut left_out) = (Vec::new(), Vec::new());
    for folder in folders {
        for path in sorted_entries(&folder)? {
            if is_picture(&path) {
                pictures.push(path);
            } else if path.is_file() {
                left_out.extend(reason_of(&path).map(|reason| (path, reason)));
            }
        }
    }
    Ok((pictures, left_out))
}

/// Refuses a folder whose folders are the parts of a split, in whatever words, and would pass for classes.
///
/// # Errors
/// [`Error::Dataset`] says how to open it.
pub(crate) fn refuse_split(folder: &Path) -> Result<()> {
    const TRAIN: [&str; 2] = ["train", "training"];
    const OTHERS: [&str; 6] = ["validation", "val", "valid", "dev", "test", "testing"];
    // Parts have the classes in them; a folder "train" of locomotives has not.
    let has_folders = |part: &PathBuf| {
        let inner = sorted_entries(part).unwrap_or_default();
        let mut inner = inner.iter().filter(|entry| entry.is_dir());
        inner.any(|entry| holds_pictures(&name_of(entry)))
    };
    let entries = sorted_entries(folder)?;
    let called = |words: &[&str]| {
        let so_called = entries
            .iter()
            .filter(|entry| words.contains(&name_of(entry).to_lowercase().as_str()));
        let parts = so_called.filter(|entry| has_folders(entry));
        parts.map(|part| name_of(part)).collect::<Vec<_>>()
    };
    let (train, others) = (called(&TRAIN), called(&OTHERS));
    let (Some(train), Some(other)) = (train.first(), others.first()) else {
        return Ok(());
    };
    let validation = others
        .iter()
        .find(|other| other.to_lowercase().starts_with('v'));
    let validation = validation.unwrap_or(other);
    let renamed = [(train.as_str(), "train"), (validation, "validation")];
    let renamed = renamed.iter().filter(|(old, new)| old != new);
    let renamed = renamed.map(|(old, new)| format!("{old} to {new}"));
    let renamed = renamed.collect::<Vec<_>>().join(" and ");
    let remedy = match renamed.as_str() {
        "" => "Open it with `Data::open`".to_owned(),
        renamed => format!(
            "Rename {renamed} and open it with `Data::open`; or share one part out: \
             `Data::split({:?}, 0.2, 42)`",
            folder.join(train).display().to_string()
        ),
    };
    let mut parts = vec![train.as_str()];
    parts.extend(others.iter().map(String::as_str));
    let parts = parts.join(", ");
    Err(Error::Dataset {
        path: folder.to_owned(),
        problem: format!("it is split already: {parts} are no classes"),
        remedy,
    })
}

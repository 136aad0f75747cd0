//! What lies in folders of pictures, in the order of Keras' `flow_from_directory`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::pictures::left_out::{LeftOut, reason_of};

/// What a name may end with for Keras' directory iterator, in lower case; the dot is not asked for. And WebP, which
/// pictures from the web are.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff", "webp"];

/// The endings in words, for who has none of them.
pub(crate) const KNOWN_ENDINGS: &str = ".jpg, .png, .webp, .bmp, .ppm or .tif";

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
    let name = name_of(path).to_lowercase();
    path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The pictures in a class folder and in the folders inside it, and what lies beside them: folders in the
/// order of their whole path, files sorted within each, which is what Keras makes of `os.walk`.
pub(crate) fn pictures_below(class: &Path) -> Result<(Vec<PathBuf>, Vec<LeftOut>)> {
    let mut folders = vec![class.to_owned()];
    let mut visited = 0;
    while visited < folders.len() {
        for entry in sorted_entries(&folders[visited])? {
            // Links to folders are not followed (Keras' follow_links=False): they may lead in circles.
            if entry.is_dir() && !entry.is_symlink() && !name_of(&entry).starts_with('.') {
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

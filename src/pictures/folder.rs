//! What lies in folders of pictures, in the order of Keras' `flow_from_directory`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a name may end with for Keras' directory iterator, in lower case; the dot is not asked for.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff"];

/// The last part of a path, for people to read.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// The entries of a folder, sorted as Python sorts their names: by code point.
pub(crate) fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
    });
    let mut entries = entries.map_err(Error::file(folder, "read the folder"))?;
    entries.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(entries)
}

/// The pictures in a class folder and in the folders inside it: folders in the order of their whole
/// path, files sorted within each, which is what Keras makes of `os.walk`.
pub(crate) fn pictures_below(class: &Path) -> Result<Vec<PathBuf>> {
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
    let mut pictures = Vec::new();
    for folder in folders {
        let is_picture = |path: &PathBuf| {
            let name = name_of(path).to_lowercase();
            path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending))
        };
        pictures.extend(sorted_entries(&folder)?.into_iter().filter(is_picture));
    }
    Ok(pictures)
}

//! The data folder: what lies in it, and the drawn pictures that stand in.

use std::path::{Path, PathBuf};

/// Where the lesson's pictures are unpacked.
const PICTURES_FOLDER: &str = "cats_and_dogs_filtered";

/// The `data` folder of the project that this crate was built from.
pub(crate) fn project_data() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    // Notebooks are given the crate through a folder of links: people know the place itself.
    folder.canonicalize().unwrap_or(folder)
}

/// The drawn pictures: in the data folder, or in the project's own.
pub(crate) fn sample_folder(folder: &Path) -> PathBuf {
    let here = folder.join("samples");
    if here.is_dir() {
        here
    } else {
        project_data().join("samples")
    }
}

/// Where the lesson's pictures are, once they are unpacked.
pub(crate) fn unpacked_pictures(folder: &Path) -> PathBuf {
    folder.join(PICTURES_FOLDER)
}

/// Whether they are unpacked.
pub(crate) fn is_unpacked(folder: &Path) -> bool {
    let unpacked = unpacked_pictures(folder);
    let mut parts = ["train", "validation"].iter();
    parts.all(|part| unpacked.join(part).is_dir())
}

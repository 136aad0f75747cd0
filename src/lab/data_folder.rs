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

/// The few drawn pictures that come with the project, for tests.
const SAMPLES: &str = "samples";
/// The drawn pictures of a lesson without a network; the set-up puts them there as a whole.
const DRAWN: &str = "drawn";

/// The sample pictures: in the data folder, or in the project's own.
pub(crate) fn sample_folder(folder: &Path) -> PathBuf {
    first(folder, &[SAMPLES])
}

/// The pictures that stand in for photographs: the drawn ones, or the samples where there are none. What is
/// in the data folder comes before what is in the project's own.
pub(crate) fn stand_in_folder(folder: &Path) -> PathBuf {
    first(folder, &[DRAWN, SAMPLES])
}

/// The first of these that is there, in the data folder or in the project's own.
fn first(folder: &Path, names: &[&str]) -> PathBuf {
    let project = project_data();
    let mut all = [folder, &project]
        .into_iter()
        .flat_map(|data| names.iter().map(|name| data.join(name)));
    all.find(|place| place.is_dir())
        .unwrap_or_else(|| project.join(SAMPLES))
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

//! The crate's own source, as far as help is read out of it.

use std::path::{Path, PathBuf};

/// Names the folder with the source.
const VARIABLE: &str = "EVCXR_TRANSFER_SOURCE";

/// The texts of all files of the source; none where nobody says where it is.
pub fn texts() -> Vec<String> {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from);
    let files = folder.map(|folder| rust_files(&folder)).unwrap_or_default();
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

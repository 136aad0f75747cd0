//! What the process' environment tells the crate. Its variables are read here and nowhere else:
//!
//! | variable | what it tells |
//! | --- | --- |
//! | `EVCXR_TRANSFER_DATA` | the data folder |
//! | `EVCXR_TRANSFER_OFFLINE` | with any value: the network is not to be used |
//! | `EVCXR_TRANSFER_STOP` | a file: while it exists, long work ends at its next batch. The kernel makes it when a cell is interrupted |

use std::env::var_os;
use std::path::PathBuf;

/// The folder that downloads are kept in, if somebody names one.
pub(crate) fn data_folder() -> Option<PathBuf> {
    var_os("EVCXR_TRANSFER_DATA").map(PathBuf::from)
}

/// Whether the network is forbidden.
pub(crate) fn is_offline() -> bool {
    var_os("EVCXR_TRANSFER_OFFLINE").is_some()
}

/// The file that stands for the wish to stop, where the program runs under our kernel.
pub(crate) fn stop_file() -> Option<PathBuf> {
    var_os("EVCXR_TRANSFER_STOP").map(PathBuf::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::path::{Path, PathBuf};

    fn readers(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                readers(&path, found);
            } else if std::fs::read_to_string(&path).unwrap().contains("env::var") {
                found.push(path);
            }
        }
    }

    #[test]
    fn no_other_file_reads_the_environment() {
        let mut found = Vec::new();
        readers(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        assert_eq!(found, [Path::new(env!("CARGO_MANIFEST_DIR")).join(file!())]);
    }
}

//! What the process' environment tells the crate. Its variables are read here and nowhere else:
//!
//! | variable | what it tells |
//! | --- | --- |
//! | `EVCXR_TRANSFER_DATA` | the data folder |
//! | `EVCXR_TRANSFER_OFFLINE` | with any value: the network is not to be used |
//! | `EVCXR_TRANSFER_WEIGHTS` | a weight file, or a folder with some |
//! | `EVCXR_TRANSFER_MIRROR` | an address or a folder that has the official files under their names |
//! | `EVCXR_TRANSFER_STOP` | a file: while it exists, long work ends at its next batch. The kernel makes it when a cell is interrupted |
//! | `EVCXR_TRANSFER_DISPLAY` | `live`: whoever reads stdout understands displays whose content changes, as our kernel does |
//! | `KERAS_HOME`, `TORCH_HOME`, `XDG_CACHE_HOME`, `HOME` | where Keras and PyTorch keep what they have downloaded |
//! | `HOME` | below it, the fonts that are the user's own |
//! | `TMPDIR` | where temporary files belong |
//! | `OMPI_COMM_WORLD_SIZE`, `PMI_SIZE`, `SLURM_STEP_NUM_TASKS` | how many processes `mpirun` or `srun` started at once |

use std::env::var_os;
use std::ffi::OsString;
use std::path::PathBuf;

/// The folder that downloads are kept in, if somebody names one.
pub(crate) fn data_folder() -> Option<PathBuf> {
    var_os("EVCXR_TRANSFER_DATA").map(PathBuf::from)
}

/// The weight file that somebody names, or the folder with some.
pub(crate) fn weights() -> Option<PathBuf> {
    said("EVCXR_TRANSFER_WEIGHTS").map(PathBuf::from)
}

/// Where temporary files belong, if somebody says so.
pub(crate) fn temporary_folder() -> Option<PathBuf> {
    said("TMPDIR").map(PathBuf::from)
}

/// What somebody names in place of the official download sites.
pub(crate) fn mirror() -> Option<String> {
    Some(
        said("EVCXR_TRANSFER_MIRROR")?
            .to_string_lossy()
            .into_owned(),
    )
}

/// The user's own folder.
pub(crate) fn home() -> Option<PathBuf> {
    said("HOME").map(PathBuf::from)
}

/// Where Keras keeps weight files and the names of ImageNet's classes (keras/src/utils/file_utils.py).
pub(crate) fn keras_cache() -> Option<PathBuf> {
    let keras = || Some(home()?.join(".keras"));
    let home = said("KERAS_HOME").map(PathBuf::from).or_else(keras)?;
    Some(home.join("models"))
}

/// Where torchvision keeps weight files (torch/hub.py).
pub(crate) fn torch_cache() -> Option<PathBuf> {
    let own = || Some(home()?.join(".cache"));
    let cache = || said("XDG_CACHE_HOME").map(PathBuf::from).or_else(own);
    let torch = || Some(cache()?.join("torch"));
    let home = said("TORCH_HOME").map(PathBuf::from).or_else(torch)?;
    Some(home.join("hub").join("checkpoints"))
}

/// A variable's value; an empty one says nothing.
fn said(variable: &str) -> Option<OsString> {
    var_os(variable).filter(|value| !value.is_empty())
}

/// Whether the network is forbidden.
pub(crate) fn is_offline() -> bool {
    var_os("EVCXR_TRANSFER_OFFLINE").is_some()
}

/// The file that stands for the wish to stop, where the program runs under our kernel.
pub(crate) fn stop_file() -> Option<PathBuf> {
    var_os("EVCXR_TRANSFER_STOP").map(PathBuf::from)
}

/// How many processes were started at once, as those tell who start them: Open MPI, MPICH and Slurm. 1 where nobody says.
pub(crate) fn processes_started() -> usize {
    let variables = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    let said = variables.iter().filter_map(|variable| said(variable));
    let counts = said.filter_map(|count| count.to_str()?.trim().parse().ok());
    counts.max().unwrap_or(1)
}

/// Whether the program runs under our kernel, which understands displays whose content changes.
pub(crate) fn is_live() -> bool {
    said("EVCXR_TRANSFER_DISPLAY").is_some_and(|value| value == "live")
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
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && std::fs::read_to_string(&path).unwrap().contains("env::var")
            {
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

//! Free space on a disk, the space that a folder takes, and taking it back.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use checkout::tree;

use crate::trouble::{Result, Trouble};

/// The free bytes on the disk that holds `folder`, as `df` sees them; `None` if it does not say.
pub fn free(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    parse_df(&String::from_utf8_lossy(&output.stdout))
}

/// The available bytes in the answer of `df -Pk`. Names of disks and mount points may hold
/// spaces, so the figure is found by its right neighbour, the only field like "23%".
fn parse_df(answer: &str) -> Option<u64> {
    let fields: Vec<&str> = answer.lines().nth(1)?.split_whitespace().collect();
    let percent = fields.iter().position(|field| {
        field
            .strip_suffix('%')
            .is_some_and(|number| number.parse::<u32>().is_ok())
    })?;
    let kilobytes: u64 = fields.get(percent.checked_sub(1)?)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The bytes that a file, link or folder takes on the disk; 0 for what does not exist.
pub fn used(path: &Path) -> u64 {
    let Ok(data) = path.symlink_metadata() else {
        return 0;
    };
    // `blocks` counts units of 512 bytes, whatever the file system's own blocks are.
    let own = data.blocks() * 512;
    if !data.is_dir() {
        return own;
    }
    let Ok(entries) = path.read_dir() else {
        return own;
    };
    own + entries
        .flatten()
        .map(|entry| used(&entry.path()))
        .sum::<u64>()
}

/// Removes a file, link or folder, whichever it is; nothing there is fine.
pub fn remove(path: &Path) -> Result<()> {
    tree::remove(path).map_err(|error| Trouble::file("remove", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn df_of_linux_and_macos_is_understood() {
        let linux = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                     /dev/vda         263174212 21402104  73728000      23% /\n";
        assert_eq!(parse_df(linux), Some(73_728_000 * 1024));
        let spaces = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                      map auto home 100 40 60 40% /Volumes/My Disk 2\n";
        assert_eq!(parse_df(spaces), Some(60 * 1024));
    }

    #[test]
    fn an_unknown_answer_gives_no_figure() {
        assert_eq!(parse_df(""), None);
        assert_eq!(parse_df("df: no such folder\n"), None);
        assert_eq!(parse_df("Filesystem\n- - - -\n"), None);
    }
}

//! How much memory there still is, asked before much of it is used.
//!
//! A program may have what the machine has free, and no more than its control groups (containers,
//! batch systems, `systemd-run -p MemoryMax=..`) leave it. Both are told by files of Linux; elsewhere
//! nothing is known, and nothing refused.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// The files of a control group that tell what it may have and what it has, in version 2 and in version 1.
const LIMIT_AND_USAGE: [(&str, &str); 2] = [
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
];

/// What to do where pictures do not fit.
pub(crate) const FEWER_PICTURES: &str = "`take` fewer pictures, or use a base for smaller ones";

/// What to do where weights do not fit.
pub(crate) const CLOSE_OTHERS: &str =
    "Close other programs, or load it on a machine with more memory";

/// Refuses what does not fit into the memory that is left: Linux would promise more than there is, and
/// end the program when it is used. A GPU says so itself. `remedy` is what to do then.
pub(crate) fn check_room(device: Device, bytes: usize, what: &str, remedy: &str) -> Result<()> {
    let free = free_memory().filter(|_| device == Device::Cpu);
    match free.filter(|&free| bytes as u64 > free) {
        None => Ok(()),
        Some(free) => Err(Error::Mismatch {
            what: format!("memory for {what}"),
            expected: format!("{:.1} GB", bytes as f64 / 1e9),
            found: format!("{:.1} GB free", free as f64 / 1e9),
            remedy: remedy.to_owned(),
        }),
    }
}

/// Whether so many bytes fit on the device and leave a quarter of what is free there for the work on them. Where
/// nothing is known they do. A GPU is asked by trying; libtorch keeps what it got there for its next use.
pub(crate) fn has_room(device: Device, bytes: usize) -> bool {
    match device {
        Device::Cpu => free_memory().is_none_or(|free| fits(bytes, free)),
        _ => {
            let with_the_rest = i64::try_from(bytes / 3 * 4).unwrap_or(i64::MAX);
            Tensor::f_empty([with_the_rest], (Kind::Uint8, device)).is_ok()
        }
    }
}

fn fits(bytes: usize, free: u64) -> bool {
    bytes as u64 <= free / 4 * 3
}

/// How many bytes this process can still have.
fn free_memory() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| available(&text));
    let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = groups(&own)
        .into_iter()
        .filter_map(|folder| left_in(&folder));
    groups.chain(machine).min()
}

/// What the machine has free for programs, as Linux estimates it in /proc/meminfo.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

/// The folders of the memory control groups that /proc/self/cgroup names: the process' own and all
/// above it, each of which may have a limit. In a container some of them cannot be seen; its own limit
/// then stands in the topmost folder.
fn groups(own: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in own.lines() {
        // `0::/user.slice/run.scope` in version 2, `4:memory:/docker/1a2b` in version 1.
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            _ if controllers.split(',').any(|name| name == "memory") => "/sys/fs/cgroup/memory",
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        folders.extend(path.ancestors().map(|part| Path::new(root).join(part)));
    }
    folders
}

/// What the control group in `folder` leaves; nothing if it has no limit or cannot be seen.
fn left_in(folder: &Path) -> Option<u64> {
    let read = |name: &str| read_to_string(folder.join(name));
    let (limit, usage) = LIMIT_AND_USAGE
        .iter()
        .find_map(|(limit, usage)| Some((read(limit).ok()?, read(usage).ok()?)))?;
    left(&limit, &usage, &read("memory.stat").unwrap_or_default())
}

/// What a control group leaves by the texts of its files: its limit less what is used, where cached
/// files count as free, since Linux drops them when the memory is wanted.
fn left(limit: &str, usage: &str, stat: &str) -> Option<u64> {
    let limit: u64 = limit.trim().parse().ok()?; // "max" is no limit
    let usage: u64 = usage.trim().parse().ok()?;
    let number = |name: &str| {
        let mut values = stat.lines().filter_map(|line| line.split_once(' '));
        let value = values.find(|(key, _)| *key == name)?.1;
        value.trim().parse::<u64>().ok()
    };
    // Version 1 counts groups below this one under names of their own, version 2 always.
    let cached = |name: &str| number(&format!("total_{name}")).or_else(|| number(name));
    let cached = ["active_file", "inactive_file"].map(|name| cached(name).unwrap_or(0));
    let used = usage.saturating_sub(cached.iter().sum());
    Some(limit.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2, a group with file caches of 311,296 + 96,468,992 bytes.
    const STAT_2: &str = "anon 17301504\nfile 104857600\nkernel 4550656\nkernel_stack 65536\n\
        pagetables 229376\nsec_pagetables 0\npercpu 2784\nsock 0\nvmalloc 0\nshmem 8077312\n\
        file_mapped 0\nfile_dirty 0\nfile_writeback 0\nswapcached 0\ninactive_anon 25350144\n\
        active_anon 28672\ninactive_file 96468992\nactive_file 311296\nunevictable 0\n\
        slab_reclaimable 3711544\nslab_unreclaimable 290512\nslab 4002056\n";

    /// Version 1, the lines that count: first of the group alone, then with those below it.
    const STAT_1: &str = "cache 11739136\nrss 11280384\nrss_huge 0\nshmem 8998912\n\
        inactive_anon 0\nactive_anon 1531904\ninactive_file 36864\nactive_file 2703360\n\
        unevictable 18747392\nhierarchical_memory_limit 9223372036854771712\n\
        total_cache 10541182976\ntotal_rss 18833408\ntotal_inactive_anon 7352320\n\
        total_active_anon 1585152\ntotal_inactive_file 7328411648\n\
        total_active_file 3203772416\ntotal_unevictable 18747392\n";

    #[test]
    fn a_group_leaves_its_limit_less_what_is_used_and_cached_files_are_free() {
        // 2,147,483,648 - (126,877,696 - 311,296 - 96,468,992)
        assert_eq!(
            left("2147483648\n", "126877696\n", STAT_2),
            Some(2_117_386_240)
        );
        assert_eq!(left("max\n", "126877696\n", STAT_2), None);
        // 12 GiB - (11,882,508,288 - 3,203,772,416 - 7,328,411,648)
        assert_eq!(
            left("12884901888\n", "11882508288\n", STAT_1),
            Some(11_534_577_664)
        );
        // More used than allowed, as for a moment after the limit was lowered.
        assert_eq!(left("1048576\n", "2097152\n", ""), Some(0));
    }

    #[test]
    fn a_group_of_version_1_without_a_limit_leaves_more_than_any_machine_has() {
        let left = left("9223372036854771712\n", "11882508288\n", STAT_1);
        assert!(left.is_some_and(|bytes| bytes > 1 << 60));
    }

    #[test]
    fn what_fits_leaves_a_quarter() {
        assert!(fits(3_000_000, 4_000_000) && !fits(3_000_001, 4_000_000));
        assert!(fits(0, 0) && !fits(usize::MAX, 1 << 40));
        assert!(has_room(Device::Cpu, 1 << 20) && !has_room(Device::Cpu, usize::MAX));
    }

    #[test]
    fn limits_of_all_groups_above_count() {
        let paths = |own: &str| {
            let folders = groups(own);
            let shown = folders.iter().map(|folder| folder.display().to_string());
            shown
                .map(|folder| folder.trim_end_matches('/').to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            paths("0::/user.slice/user-1000.slice/run-r5f.scope\n"),
            [
                "/sys/fs/cgroup/user.slice/user-1000.slice/run-r5f.scope",
                "/sys/fs/cgroup/user.slice/user-1000.slice",
                "/sys/fs/cgroup/user.slice",
                "/sys/fs/cgroup",
            ]
        );
        // Version 1 beside an empty version 2, as systemd's hybrid set-up has it.
        let hybrid = "9:name=systemd:/\n8:pids:/\n4:memory:/docker/54ea\n3:cpuset:/\n0::/\n";
        assert_eq!(
            paths(hybrid),
            [
                "/sys/fs/cgroup/memory/docker/54ea",
                "/sys/fs/cgroup/memory/docker",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup",
            ]
        );
    }

    #[test]
    fn the_machine_tells_what_it_has_free_in_kilobytes() {
        let meminfo = "MemTotal:       24684096 kB\nMemFree:        12393352 kB\n\
                       MemAvailable:   23403044 kB\nBuffers:           48432 kB\n";
        assert_eq!(available(meminfo), Some(23_403_044 * 1024));
    }

    #[test]
    fn a_group_in_a_folder_is_read_in_both_versions() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        assert_eq!(left_in(folder.path()), None);
        for (limit, usage) in LIMIT_AND_USAGE {
            std::fs::write(folder.path().join(limit), "1000\n")?;
            std::fs::write(folder.path().join(usage), "400\n")?;
            assert_eq!(left_in(folder.path()), Some(600), "{limit}");
            std::fs::remove_file(folder.path().join(limit))?;
        }
        Ok(())
    }
}

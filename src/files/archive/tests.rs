//! Archives as programs make them, and as nobody should make them.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that fails"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::{TempDir, tempdir};

use crate::error::{Error, Result};
use crate::machine::stop::Stop;
use crate::show::progress::Progress;

#[path = "../../../tests/common/damage.rs"]
mod damage;

fn unpack(archive: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    super::unpack(archive.as_ref(), into.as_ref(), &Progress::quiet())
}

fn names(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// An entry of an archive as `archive_of` writes it: name, content, and what the headers claim.
struct Entry<'a> {
    name: &'a str,
    content: &'a [u8],
    claimed_bytes: u32,
    crc: u32,
    unix_mode: u32,
}

fn entry<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    let mut crc = !0_u32;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    Entry {
        name,
        content,
        claimed_bytes: content.len() as u32,
        crc: !crc,
        unix_mode: 0o100_644,
    }
}

/// A zip file of stored entries, byte by byte after the format's description (APPNOTE 4.3), because
/// no proper zip program writes the archives that must be refused.
fn archive_of(folder: &TempDir, entries: &[Entry]) -> std::path::PathBuf {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = bytes.len() as u32;
        let stored = entry.content.len() as u32;
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58];
        for number in [entry.crc, stored, entry.claimed_bytes] {
            common.extend(number.to_le_bytes());
        }
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(entry.name.as_bytes());
        bytes.extend(entry.content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.unix_mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let (start, count) = (bytes.len() as u32, entries.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    let path = folder.path().join("archive.zip");
    fs::write(&path, bytes).unwrap();
    path
}

/// `pets/train/cats/1.jpg` (40 times "cat") and `pets/notes.txt` ("läuft"), deflated by Python's
/// zipfile.
const BY_PYTHON: &str = "\
    504b03041400000008000000215881823619080000007800000015000000706574732f747261696e2f63617473\
    2f312e6a70674b4e2c491e080400504b03041400000008000000215864a1bd9408000000060000000e00000070\
    6574732f6e6f7465732e747874cb39bca434ad0400504b01021403140000000800000021588182361908000000\
    78000000150000000000000000000000800100000000706574732f747261696e2f636174732f312e6a7067504b\
    010214031400000008000000215864a1bd9408000000060000000e000000000000000000000080013b00000070\
    6574732f6e6f7465732e747874504b050600000000020002007f0000006f0000000000";

fn content(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn an_archive_made_by_python_is_unpacked_without_its_top_folder() {
    let folder = tempdir().unwrap();
    let digits = |at: usize| u8::from_str_radix(&BY_PYTHON[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..BY_PYTHON.len()).step_by(2).map(digits).collect();
    let archive = folder.path().join("pets.zip");
    fs::write(&archive, bytes).unwrap();

    let into = folder.path().join("pets");
    assert!(unpack(&archive, &into).unwrap().is_empty());
    assert_eq!(content(&into, "train/cats/1.jpg"), "cat".repeat(40));
    assert_eq!(content(&into, "notes.txt"), "läuft");
    assert_eq!(names(&folder), ["pets", "pets.zip"]);
}

#[test]
fn what_macos_and_windows_add_is_left_out() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[
            entry("pets/cats/1.jpg", b"1"),
            entry("pets/cats/._1.jpg", b"x"),
            entry("pets/.DS_Store", b"x"),
            entry("pets/dogs/Thumbs.db", b"x"),
            entry("__MACOSX/pets/cats/._1.jpg", b"x"),
        ],
    );
    let into = folder.path().join("out");
    assert!(unpack(archive, &into).unwrap().is_empty());
    assert_eq!(fs::read_dir(into.join("cats")).unwrap().count(), 1);
    let names: Vec<_> = fs::read_dir(&into)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["cats"]);
}

#[test]
fn several_top_folders_stay_as_they_are() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let into = folder.path().join("out/");
    unpack(archive, &into).unwrap();
    assert_eq!(
        content(&into, "cats/1.jpg") + &content(&into, "dogs/1.jpg"),
        "12"
    );
}

#[test]
fn a_folder_in_place_is_left_alone_and_what_it_lacks_is_told() {
    let folder = tempdir().unwrap();
    let entries = [
        entry("cats/1.jpg", b"1"),
        entry("cats/2.jpg", b"2"),
        entry("dogs/1.jpg", b"3"),
    ];
    let archive = archive_of(&folder, &entries);
    let into = folder.path().join("out");
    fs::create_dir(&into).unwrap(); // an empty one counts as none
    unpack(&archive, &into).unwrap();
    assert!(unpack(&archive, &into).unwrap().is_empty());

    fs::write(into.join("cats/1.jpg"), "mine").unwrap();
    fs::remove_file(into.join("dogs/1.jpg")).unwrap();
    let again = unpack(&archive, &into).unwrap();
    assert_eq!(again, [Path::new("cats/1.jpg"), Path::new("dogs/1.jpg")]);
    assert_eq!(content(&into, "cats/1.jpg"), "mine");
}

#[test]
fn what_a_killed_process_left_is_cleared_away() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    fs::create_dir_all(folder.path().join("out.unpacking/cats")).unwrap();
    fs::write(folder.path().join("out.unpacking/cats/1.jpg"), "half").unwrap();
    let into = folder.path().join("out");
    unpack(archive, &into).unwrap();
    assert_eq!(content(&into, "cats/1.jpg"), "1");
    assert_eq!(names(&folder), ["archive.zip", "out"]);
}

#[test]
fn a_stopped_unpacking_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let stop = Stop::new();
    stop.request();
    let progress = Progress::quiet().stop(&stop);
    let into = folder.path().join("out");
    let error = super::unpack(&archive, &into, &progress).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(names(&folder), ["archive.zip"]);
}

#[test]
fn several_callers_unpack_the_same_archive_once() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let into = folder.path().join("out");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(unpack(&archive, &into).unwrap().is_empty()));
        }
    });
}

/// Unpacks what must be refused; returns the text, having checked that nothing was left behind.
fn refusal(entries: &[Entry]) -> String {
    let outer = tempdir().unwrap();
    let folder = TempDir::new_in(&outer).unwrap();
    let archive = archive_of(&folder, entries);
    let error = unpack(&archive, folder.path().join("out")).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    assert_eq!(names(&folder), ["archive.zip"]);
    assert_eq!(fs::read_dir(&outer).unwrap().count(), 1);
    error.to_string()
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    for name in [
        "../evil.txt",
        "a/../../evil.txt",
        "/evil.txt",
        "C:/evil.txt",
    ] {
        let text = refusal(&[entry("cats/1.jpg", b"1"), entry(name, b"x")]);
        assert!(
            text.contains(name) && text.contains("leads out of the folder"),
            "{text}"
        );
    }
}

#[test]
fn links_are_refused() {
    let link = Entry {
        unix_mode: 0o120_777,
        ..entry("cats/link", b"/etc/passwd")
    };
    let text = refusal(&[entry("cats/1.jpg", b"1"), link]);
    assert!(
        text.contains("cats/link") && text.contains("a link"),
        "{text}"
    );
}

#[test]
fn a_zip_bomb_is_refused_before_anything_is_written() {
    let huge = |name| Entry {
        claimed_bytes: 0xffff_fff0,
        ..entry(name, b"x")
    };
    let text = refusal(&[huge("cats/1.jpg"), huge("cats/2.jpg")]);
    assert!(
        text.contains("8589934560 bytes, more than the 4294967296"),
        "{text}"
    );
}

#[test]
fn an_entry_longer_or_shorter_than_it_says_is_refused() {
    for claimed_bytes in [2, 400] {
        let lying = Entry {
            claimed_bytes,
            ..entry("cats/1.jpg", &[b'x'; 100])
        };
        let text = refusal(&[entry("dogs/1.jpg", b"1"), lying]);
        assert!(text.contains("cats/1.jpg"), "{text}");
    }
}

#[test]
fn a_wrong_check_sum_names_the_entry() {
    let damaged = Entry {
        crc: 1,
        ..entry("cats/1.jpg", b"1")
    };
    let text = refusal(&[entry("dogs/1.jpg", b"1"), damaged]);
    assert!(
        text.contains("cats/1.jpg in it is damaged") && text.contains("again"),
        "{text}"
    );
}

#[test]
fn what_is_no_zip_file_or_a_cut_one_is_refused() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let whole = fs::read(&archive).unwrap();
    for bytes in [&whole[..whole.len() - 30], b"<html>", b""] {
        fs::write(&archive, bytes).unwrap();
        let error = unpack(&archive, folder.path().join("out"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot be read as a zip file"), "{error}");
    }
    let error = unpack(folder.path().join("none.zip"), folder.path().join("out")).unwrap_err();
    assert!(
        matches!(error, Error::File { action: "open", .. }),
        "{error}"
    );
}

/// Nothing where this is not a part of the test below, which starts it in the folder of an archive.
#[test]
#[ignore = "a part of another test"]
fn an_archive_is_unpacked_where_there_is_no_room() {
    let (archive, into) = (Path::new("archive.zip"), Path::new("into"));
    if archive.is_file() {
        let error = unpack(archive, into).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        assert!(
            text.contains("dogs/2.jpg") && text.contains("ulimit -f"),
            "{text}"
        );
    }
}

#[test]
fn a_disk_that_is_full_leaves_no_half_of_a_folder_and_the_archive() {
    let folder = tempdir().unwrap();
    let content = [7; 3000];
    let entries = [entry("cats/1.jpg", b"small"), entry("dogs/2.jpg", &content)];
    let archive = archive_of(&folder, &entries);
    // The system then refuses what is longer than a block of 512 bytes, as a full disk does; without the trap it would
    // end the process.
    let ended = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .arg("files::archive::tests::an_archive_is_unpacked_where_there_is_no_room")
        .args(["--exact", "--ignored"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && out.contains("1 passed"), "{out}");
    assert_eq!(names(&folder), ["archive.zip"]);
    // With room again the same call does what it could not do before.
    let into = folder.path().join("into");
    assert!(unpack(&archive, &into).unwrap().is_empty());
    assert_eq!(fs::read(into.join("dogs/2.jpg")).unwrap(), content);
}

/// The same archive with another number in the headers of its entries: at `local` and `central` bytes behind the
/// signatures of APPNOTE 4.3.7 and 4.3.12.
fn with_number(path: &Path, local: usize, central: usize, number: u16) {
    let mut bytes = fs::read(path).unwrap();
    for (signature, place) in [(b"PK\x03\x04", local), (b"PK\x01\x02", central)] {
        let headers = bytes.windows(4).enumerate();
        let headers = headers.filter(|(_, found)| found == signature);
        for place in headers.map(|(start, _)| start + place).collect::<Vec<_>>() {
            bytes[place..place + 2].copy_from_slice(&number.to_le_bytes());
        }
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_other_programs_can_unpack_is_told_from_what_is_damaged() {
    let folder = tempdir().unwrap();
    let packed = |names: &[&str]| {
        let entries = names.iter().map(|name| entry(name, b"x"));
        archive_of(&folder, &entries.collect::<Vec<_>>())
    };
    let refused = |words: &str| {
        let into = folder.path().join("into");
        let error = unpack(folder.path().join("archive.zip"), &into);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("another program"),
            "{error}"
        );
        assert!(!into.exists());
    };
    for (method, words) in [
        (9, "packed with Deflate64"),
        (14, "packed with LZMA"),
        (77, "a rare method"),
    ] {
        with_number(&packed(&["cats/1.jpg"]), 8, 10, method);
        refused(words);
    }
    with_number(&packed(&["cats/1.jpg"]), 6, 8, 1);
    refused("locked with a password");
    for names in [["x/a.jpg", "x//a.jpg"], ["x/a.jpg", "x/./a.jpg"]] {
        packed(&names);
        refused("a.jpg is in it twice");
    }
    packed(&["x/a", "x/a/b.jpg", "y"]);
    refused("lies in a folder that is a file there");
}

/// More cases: EVCXR_TRANSFER_FUZZ=60 cargo test --lib archive:: -- --nocapture
#[test]
fn damaged_archives_are_unpacked_whole_or_refused_with_words() {
    let folder = tempdir().unwrap();
    let plain = archive_of(
        &folder,
        &[entry("a/1.txt", b"one"), entry("a/2.txt", &[7; 3000])],
    );
    let mut files = vec![("stored".to_owned(), fs::read(plain).unwrap())];
    let mut packed = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["pictures/cats/1.jpg", "pictures/dogs/ü.jpg", "__MACOSX/x"] {
        packed
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        packed.write_all(&b"0123456789".repeat(700)).unwrap();
    }
    files.push(("deflated".to_owned(), packed.finish().unwrap().into_inner()));
    let archive = folder.path().join("damaged.zip");
    let refused = damage::damaged("zip", &files, 1000, |_, bytes| {
        fs::write(&archive, bytes).unwrap();
        let home = tempdir().unwrap();
        let into = home.path().join("into");
        match unpack(&archive, &into) {
            Ok(lacking) => {
                assert!(lacking.is_empty() && into.is_dir());
                true
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.len() < 2000 && !text.contains("Err("), "{text}");
                // Neither half of a folder nor a file elsewhere.
                assert!(names(&home).is_empty(), "{:?}", names(&home));
                false
            }
        }
    });
    assert!(refused > 200, "the damage is real: {refused}");
}

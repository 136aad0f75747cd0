//! Files that lie among pictures and are passed over: which, and why, so that nothing is left out without a word.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::machine::disk::is_junk;
use crate::pictures::decode::{Kind, kind_of};
use crate::show::table::counted;

/// A file with the reason why it is passed over.
pub(crate) type LeftOut = (PathBuf, String);

/// How many files a line names.
const MOST_NAMED: usize = 5;

/// What pictures are saved as that nothing here decodes.
const OTHER_PICTURES: [&str; 14] = [
    "heic", "heif", "avif", "jxl", "jp2", "svg", "psd", "xcf", "raw", "dng", "cr2", "nef", "arw",
    "pdf",
];

/// Why a file is passed over that does not end as pictures do; nothing for what systems and programs put
/// there by themselves, hidden or known by name.
pub(crate) fn reason_of(file: &Path) -> Option<String> {
    let name = file.file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    if name.starts_with('.') || is_junk(&name) {
        return None;
    }
    let name = name.to_lowercase();
    let ending = file
        .extension()
        .map(|_| name.rsplit('.').next().unwrap_or(""));
    Some(match (kind_of(&beginning(file)), ending) {
        (Kind::Known("GIF"), Some("gif")) => {
            "a GIF, passed over as in Keras: save it as PNG or JPEG".into()
        }
        (Kind::Known(format), None) => {
            format!(
                "a {format} picture without an ending: add .{}",
                usual_ending(format)
            )
        }
        (Kind::Known(format), Some(_)) => format!(
            "a {format} picture under another ending: rename it to end in .{}",
            usual_ending(format)
        ),
        (Kind::Other(format), _) => format!("{format}: export it as JPEG"),
        (Kind::None, Some(ending)) if OTHER_PICTURES.contains(&ending) => {
            format!("{}: export it as JPEG", ending.to_uppercase())
        }
        (Kind::None, _) => "no picture".into(),
    })
}

fn usual_ending(format: &str) -> String {
    match format {
        "JPEG" => "jpg".into(),
        // A folder of pictures takes no GIF.
        "GIF" => "png, saved as PNG".into(),
        other => other.to_lowercase(),
    }
}

/// The bytes that tell what a file is; none if it cannot be read.
fn beginning(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(64).read_to_end(&mut bytes));
    read.map(|_| bytes).unwrap_or_default()
}

/// "Left out: 2 files: cats/phone.HEIC (HEIC: export it as JPEG), notes.txt (no picture)"; nothing if there is
/// none. Names are those within `folder`.
pub(crate) fn line(left_out: &[LeftOut], folder: &Path) -> Option<String> {
    let named = left_out.iter().take(MOST_NAMED).map(|(path, reason)| {
        let name = path.strip_prefix(folder).unwrap_or(path);
        format!("{} ({reason})", name.display())
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match left_out.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(", ... and {more} more"),
    };
    let count = left_out.len();
    (count > 0).then(|| format!("Left out: {}: {named}{more}", counted(count, "file")))
}

/// A problem with a folder, with what was left out of it.
pub(crate) fn explained(problem: &str, left_out: &[LeftOut], folder: &Path) -> String {
    match line(left_out, folder) {
        Some(line) => format!("{problem}. {line}"),
        None => problem.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let jpeg = std::fs::read("data/samples/train/cats/cat.0.jpg").unwrap();
        // The first bytes of a picture of a phone: a box of type "ftyp" whose brand is "heic".
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".as_slice();
        let avif = b"\0\0\0\x18ftypavif\0\0\0\0mif1avif".as_slice();
        for (name, content, expected) in [
            (
                "phone.HEIC",
                b"".as_slice(),
                Some("HEIC: export it as JPEG"),
            ),
            ("phone", heic, Some("HEIC: export it as JPEG")),
            ("web.avif", avif, Some("AVIF: export it as JPEG")),
            ("notes.txt", b"roses are red", Some("no picture")),
            (
                "noending",
                &jpeg,
                Some("a JPEG picture without an ending: add .jpg"),
            ),
            (
                "chrome.jfif",
                &jpeg,
                Some("a JPEG picture under another ending: rename it to end in .jpg"),
            ),
            (
                "moving.gif",
                b"GIF89a",
                Some("a GIF, passed over as in Keras: save it as PNG or JPEG"),
            ),
            (".DS_Store", b"", None),
            ("Thumbs.db", b"", None),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert_eq!(reason_of(&path).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_line_names_the_first_and_counts_the_rest() {
        let file = |n: usize| (PathBuf::from(format!("a/{n}.txt")), "no picture".to_owned());
        let folder = Path::new("a");
        assert_eq!(line(&[], folder), None);
        let one = line(&[file(0)], folder);
        assert_eq!(one.unwrap(), "Left out: 1 file: 0.txt (no picture)");
        let all = line(&(0..7).map(file).collect::<Vec<_>>(), folder).unwrap();
        assert!(
            all.starts_with("Left out: 7 files: 0.txt (no picture), 1.txt"),
            "{all}"
        );
        assert!(all.ends_with("4.txt (no picture), ... and 2 more"), "{all}");
    }
}

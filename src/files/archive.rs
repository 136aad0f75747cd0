//! An archive of pictures, unpacked safely: whole or not at all, and never outside its folder.
//!
//! The step after a download. Nothing is printed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Result};
use crate::files::remote::CHUNK;
use crate::machine::disk::{accept_missing, is_junk, wait_for_lock, with_suffix, write_error};
use crate::show::progress::Progress;

/// No archive of pictures for a lesson is larger than this unpacked; a zip bomb is.
const UNPACKED_LIMIT: u64 = 4 << 30;

/// Unpacks the zip file `archive` as the folder `into`, and gives back what that folder lacks.
///
/// A single folder at the archive's top becomes `into` itself: `pictures.zip` with
/// `pictures/train/...`, unpacked into `data/pictures`, gives `data/pictures/train/...`. The files
/// that macOS and Windows add (`__MACOSX`, `.DS_Store`, `Thumbs.db`) are left out. Everything is
/// written to a folder beside `into`, which is renamed at the end: when the process is killed or the
/// work stopped, no half of a folder remains. An `into` that already holds something is not touched:
/// the files of the archive that it lacks or has in another size are given back, since somebody has
/// removed or changed them. After an unpacking there are none.
///
/// # Errors
/// [`Error::Archive`] if it is no zip file, is damaged, holds links or names that lead out of the
/// folder, or more than 4 GiB; [`Error::File`] if the folder cannot be written; [`Error::Stopped`] if
/// `progress` hears a stop.
pub(crate) fn unpack(archive: &Path, into: &Path, progress: &Progress) -> Result<Vec<PathBuf>> {
    let check = || progress.check(&format!("unpacking {}", archive.display()));
    let file = File::open(archive).map_err(Error::file(archive, "open"))?;
    // Held until the reader below closes the file: a second process waits, then finds the folder.
    wait_for_lock(&file, check)?;
    if into.file_name().is_none() {
        return Err(Error::Argument {
            argument: "into",
            value: format!("{into:?}"),
            expected: "it must end in the name of the folder to make".into(),
        });
    }
    if into.is_file() {
        return Err(Error::Argument {
            argument: "into",
            value: format!("{into:?}"),
            expected: "there is a file of that name; name a folder".into(),
        });
    }
    let damaged = |problem: String| Error::Archive {
        path: archive.into(),
        problem,
        remedy: "Remove the file and download it again".into(),
    };
    let mut zip = ZipArchive::new(BufReader::with_capacity(CHUNK, file)).map_err(|error| {
        damaged(format!(
            "it cannot be read as a zip file: {}",
            in_words(&error)
        ))
    })?;
    let entries = list(archive, &zip)?;
    if fs::read_dir(into).is_ok_and(|mut content| content.next().is_some()) {
        let size = |path: &Path| fs::metadata(into.join(path)).map(|found| found.len()).ok();
        let lacking = entries
            .iter()
            .filter(|entry| size(&entry.path) != Some(entry.bytes));
        return Ok(lacking.map(|entry| entry.path.clone()).collect());
    }

    let aside = with_suffix(into, ".unpacking");
    // What a killed process left behind; nobody else writes there while this one has the lock.
    fs::remove_dir_all(&aside)
        .or_else(accept_missing)
        .map_err(Error::file(&aside, "remove"))?;
    fs::create_dir_all(&aside).map_err(Error::file(&aside, "create"))?;
    let mut buffer = vec![0; CHUNK];
    let written = entries.iter().try_for_each(|entry| {
        check()?;
        let path = aside.join(&entry.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder, "create"))?;
        }
        let shown = entry.path.display();
        let source = zip.by_index(entry.index).map_err(|error| {
            damaged(format!(
                "{shown} in it cannot be read: {}",
                in_words(&error)
            ))
        })?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(Error::file(&path, "create"))?;
        // One byte more than declared: it shows a lying entry, and reaching the end is also what
        // makes the zip library compare the CRC.
        let mut source = source.take(entry.bytes.saturating_add(1));
        let mut done = 0;
        loop {
            let count = source
                .read(&mut buffer)
                .map_err(|error| damaged(format!("{shown} in it is damaged: {error}")))?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count])
                .map_err(|error| write_error(&path, error))?;
            done += count as u64;
        }
        if done == entry.bytes {
            return Ok(());
        }
        Err(damaged(format!(
            "{shown} in it is not {} bytes long, as it says",
            entry.bytes
        )))
    });
    if let Err(error) = written {
        // The first error is the one to tell; a leftover is removed by the next call.
        fs::remove_dir_all(&aside).ok();
        return Err(error);
    }
    // An empty folder in the way stops the renaming on some systems.
    fs::remove_dir(into)
        .or_else(accept_missing)
        .map_err(Error::file(into, "replace"))?;
    fs::rename(&aside, into).map_err(Error::file(into, "rename the unpacked folder to"))?;
    Ok(Vec::new())
}

/// A file in an archive: where it goes and how long it says it is.
struct Entry {
    index: usize,
    path: PathBuf,
    bytes: u64,
}

/// The archive's files, all of them checked, with the single top folder taken off.
fn list(archive: &Path, zip: &ZipArchive<BufReader<File>>) -> Result<Vec<Entry>> {
    let refused = |problem: String| Error::Archive {
        path: archive.into(),
        problem,
        remedy: "Nothing was unpacked; use an archive from a source that you trust".into(),
    };
    let mut entries = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(|error| {
            refused(format!(
                "entry {index} cannot be read: {}",
                in_words(&error)
            ))
        })?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let Some(path) = entry.enclosed_name().filter(|_| stays_inside(&name)) else {
            return Err(refused(format!("{name:?} in it leads out of the folder")));
        };
        if entry.is_symlink() {
            return Err(refused(format!("{name:?} in it is a link, not a file")));
        }
        if let Some(problem) = unusual(&entry.compression(), entry.encrypted()) {
            return Err(Error::Archive {
                path: archive.into(),
                problem: format!("{name:?} in it {problem}, which cannot be read here"),
                remedy: UNPACK_IT_YOURSELF.into(),
            });
        }
        if !entry.is_dir() && !path.iter().filter_map(|part| part.to_str()).any(is_junk) {
            entries.push(Entry {
                index,
                path,
                bytes: entry.size(),
            });
        }
    }
    let bytes = entries
        .iter()
        .fold(0, |sum: u64, entry| sum.saturating_add(entry.bytes));
    if bytes > UNPACKED_LIMIT {
        return Err(refused(format!(
            "it would unpack to {bytes} bytes, more than the {UNPACKED_LIMIT} that are allowed"
        )));
    }
    let top = |entry: &Entry| {
        let mut parts = entry.path.components();
        let first = parts.next().map(|part| PathBuf::from(part.as_os_str()));
        first.filter(|_| parts.next().is_some())
    };
    if let Some(folder) = entries.first().and_then(top)
        && entries
            .iter()
            .all(|entry| top(entry).as_ref() == Some(&folder))
    {
        for entry in &mut entries {
            entry.path = entry.path.iter().skip(1).collect();
        }
    }
    check_places(archive, &entries)?;
    Ok(entries)
}

/// What the zip library says of an archive, without the names of its types.
pub(crate) fn in_words(error: &ZipError) -> String {
    match error {
        ZipError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "it ends too soon".into()
        }
        ZipError::Io(error) => error.to_string(),
        ZipError::InvalidArchive(_) => "its list of parts is damaged or cut off".into(),
        _ => "it is packed in a way that is not known here".into(),
    }
}

/// What to do with an archive that other programs can unpack.
const UNPACK_IT_YOURSELF: &str =
    "Unpack it with another program, such as 7-Zip or `unzip`, and open the folder";

/// How an entry is packed if that is another way than the usual one.
fn unusual(method: &CompressionMethod, is_encrypted: bool) -> Option<String> {
    if is_encrypted {
        return Some("is locked with a password".into());
    }
    if [CompressionMethod::STORE, CompressionMethod::DEFLATE].contains(method) {
        return None;
    }
    let known = [
        (CompressionMethod::DEFLATE64, "Deflate64"),
        (CompressionMethod::BZIP2, "bzip2"),
        (CompressionMethod::LZMA, "LZMA"),
        (CompressionMethod::ZSTD, "Zstandard"),
        (CompressionMethod::XZ, "XZ"),
    ];
    let name = known.iter().find(|(known, _)| known == method);
    let name = name.map_or("a rare method", |(_, name)| name);
    Some(format!("is packed with {name}"))
}

/// Refuses two entries of one place: two of the same path, or one that is the folder of another.
fn check_places(archive: &Path, entries: &[Entry]) -> Result<()> {
    let mut places = BTreeSet::new();
    let twice = entries.iter().find(|entry| !places.insert(&*entry.path));
    let above = |entry: &&Entry| {
        let mut above = entry.path.ancestors().skip(1);
        above.any(|folder| places.contains(folder))
    };
    let problem = match (twice, entries.iter().find(above)) {
        (Some(entry), _) => format!("{} is in it twice", entry.path.display()),
        (None, Some(entry)) => format!(
            "{} in it lies in a folder that is a file there",
            entry.path.display()
        ),
        (None, None) => return Ok(()),
    };
    Err(Error::Archive {
        path: archive.into(),
        problem,
        remedy: UNPACK_IT_YOURSELF.into(),
    })
}

/// Whether the name is neither absolute nor climbs up.
///
/// The zip library takes roots and drives off silently; an archive with such names is not one that
/// anybody made for a lesson.
fn stays_inside(name: &str) -> bool {
    let mut parts = name.split(['/', '\\']);
    !name.starts_with(['/', '\\'])
        && name.as_bytes().get(1) != Some(&b':')
        && parts.all(|part| part != "..")
}

#[cfg(test)]
mod tests;

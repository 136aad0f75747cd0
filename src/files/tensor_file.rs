//! A [`TensorFile`]: a .safetensors file whose header is judged before anything else of it is read.
//!
//! A header is a few kilobytes of JSON. Whether the file is whole, whose it is, and whether there is memory for it
//! is known from there; tensors are then read one by one.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo};
use tch::Device;

use crate::error::{Error, Result};
use crate::machine::memory::{CLOSE_OTHERS, check_room};
use crate::machine::patience::patiently;

/// No header is longer, in bytes; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open file with its header.
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    /// Where the header ends and the tensors begin.
    start: u64,
    header: Metadata,
    /// What to do about a damaged file.
    remedy: String,
}

impl TensorFile {
    /// Opens the file and reads its header: eight bytes say how long it is. `remedy` is what to do about a file
    /// that cannot be read.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Weights`] if there is no such header, [`Error::Stopped`] if the cell is stopped while the
    /// disk does not answer.
    pub(crate) fn open(path: &Path, remedy: &str) -> Result<Self> {
        let place = path.to_owned();
        let (file, bytes) = patiently(&doing(path), move || {
            let failed = || Error::file(&place, "read");
            let mut file = File::open(&place).map_err(failed())?;
            let mut length = [0; 8];
            let mut bytes = Vec::new();
            if file.read_exact(&mut length).is_ok() {
                // A damaged length ends with the file at the latest.
                (&mut file)
                    .take(u64::from_le_bytes(length).min(LONGEST_HEADER))
                    .read_to_end(&mut bytes)
                    .map_err(failed())?;
            }
            Ok((file, bytes))
        })?;
        let header = serde_json::from_slice(&bytes).map_err(|e| damaged(path, e, remedy))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            start: 8 + bytes.len() as u64,
            header,
            remedy: remedy.to_owned(),
        })
    }

    /// What the file says of itself.
    pub(crate) fn metadata(&self) -> HashMap<String, String> {
        self.header.metadata().clone().unwrap_or_default()
    }

    /// The tensors by their names, with their shapes and kinds of number.
    pub(crate) fn tensors(&self) -> HashMap<String, &TensorInfo> {
        self.header.tensors()
    }

    /// Refuses a file that has not exactly the bytes of its tensors, or more of them than fit into memory as f32.
    ///
    /// # Errors
    /// [`Error::Weights`], [`Error::Mismatch`].
    pub(crate) fn check_whole(&self) -> Result<()> {
        let found = self
            .file
            .metadata()
            .map_err(Error::file(&self.path, "read"))?;
        let expected = self.start.saturating_add(self.header.data_len() as u64);
        if found.len() != expected {
            let problem = format!("it has {} bytes instead of {expected}", found.len());
            return Err(self.damaged(problem));
        }
        let values = |info: &&TensorInfo| info.shape.iter().product::<usize>();
        let all = self.header.tensors();
        let bytes = all.values().map(values).sum::<usize>().saturating_mul(4);
        check_room(
            Device::Cpu,
            bytes,
            &self.path.display().to_string(),
            CLOSE_OTHERS,
        )
    }

    /// The bytes of a tensor, little-endian, the last dimension fastest. [`TensorFile::check_whole`] comes before.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read.
    pub(crate) fn bytes(&self, info: &TensorInfo) -> Result<Vec<u8>> {
        let ((begin, end), start) = (info.data_offsets, self.start);
        let failed = || Error::file(&self.path, "read");
        let mut file = self.file.try_clone().map_err(failed())?;
        patiently(&doing(&self.path), move || {
            let mut bytes = vec![0; end - begin];
            let read = file
                .seek(SeekFrom::Start(start + begin as u64))
                .and_then(|_| file.read_exact(&mut bytes));
            Ok(read.map(|()| bytes))
        })?
        .map_err(failed())
    }

    fn damaged(&self, problem: impl Display) -> Error {
        damaged(&self.path, problem, &self.remedy)
    }
}

fn doing(path: &Path) -> String {
    format!("reading {}", path.display())
}

fn damaged(path: &Path, problem: impl Display, remedy: &str) -> Error {
    Error::Weights {
        path: path.to_owned(),
        problem: format!("the safetensors file is damaged or cut short ({problem})"),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    /// A file of so many bytes, mostly a hole, with this header.
    fn put(folder: &Path, header: &str, bytes: u64) -> PathBuf {
        let path = folder.join("x.safetensors");
        let mut all = (header.len() as u64).to_le_bytes().to_vec();
        all.extend(header.as_bytes());
        std::fs::write(&path, &all).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(all.len() as u64 + bytes).unwrap();
        path
    }

    #[test]
    fn a_huge_file_is_judged_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        // A terabyte, which no test reads.
        const VALUES: u64 = 1 << 38;
        let header = format!(
            r#"{{"__metadata__":{{"kind":"head"}},"a":{{"dtype":"F32","shape":[{VALUES}],"data_offsets":[0,{}]}}}}"#,
            4 * VALUES
        );
        let path = put(folder.path(), &header, 4 * VALUES);
        let file = TensorFile::open(&path, "Load another").unwrap();
        assert_eq!(file.metadata()["kind"], "head");
        let error = file.check_whole().unwrap_err().to_string();
        assert!(
            error.contains("memory for") && error.contains("GB free"),
            "{error}"
        );
        let path = put(folder.path(), &header, 12);
        let file = TensorFile::open(&path, "Load another").unwrap();
        let error = file.check_whole().unwrap_err().to_string();
        assert!(
            error.contains("cut short") && error.ends_with("Load another"),
            "{error}"
        );
        // Noise whose first bytes claim a long header, and less than eight bytes.
        for bytes in [&[0xff; 64][..], b"{", b""] {
            std::fs::write(&path, bytes).unwrap();
            assert!(TensorFile::open(&path, "Load another").is_err());
        }
    }
}

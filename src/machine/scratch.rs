//! Room for more numbers than fit into memory: a tensor whose values lie in a file.
//!
//! Such a tensor is one as any other. Linux reads a row from the disk when it is asked for, and takes the memory back
//! when others need it. The file has no name any more once it is open, so that its space is free again when the
//! tensor goes, however the program ends.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tch::{Device, Kind, TchError, Tensor};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::machine::environment;
use crate::machine::memory::has_room;

/// Where temporary files lie that are too large for memory: `/tmp` often lies in memory itself.
const LARGE_FILES: &str = "/var/tmp";

/// How many bytes of zeros are written at once.
const AT_ONCE: usize = 1 << 20;

/// An uninitialised tensor on the device where it fits there, else one of zeros in a file, which counts as on the
/// CPU. `what` names it in errors: "the features of 2000 pictures".
///
/// # Errors
/// [`Error::File`] if the disk has no room either, [`Error::Compute`] from libtorch.
pub(crate) fn room_for(shape: &[i64], options: (Kind, Device), what: &str) -> Result<Tensor> {
    let values = shape.iter().product::<i64>().unsigned_abs() as usize;
    let bytes = values.saturating_mul(options.0.elt_size_in_bytes());
    match has_room(options.1, bytes) {
        true => Tensor::f_empty(shape, options)
            .map_err(Error::compute(format!("making room for {what}"))),
        false => in_file(shape, options.0, what),
    }
}

/// The same in a file always, in `TMPDIR` where that is set, else where large temporary files belong.
///
/// # Errors
/// As [`room_for`].
pub(crate) fn in_file(shape: &[i64], kind: Kind, what: &str) -> Result<Tensor> {
    let own = environment::temporary_folder();
    let usual = Some(PathBuf::from(LARGE_FILES)).filter(|folder| folder.is_dir());
    let folder = own.or(usual).unwrap_or_else(std::env::temp_dir);
    in_folder(&folder, shape, kind, what)
}

fn in_folder(folder: &Path, shape: &[i64], kind: Kind, what: &str) -> Result<Tensor> {
    let values = shape.iter().product::<i64>();
    if values == 0 {
        // A file of no bytes cannot be mapped.
        return Tensor::f_zeros(shape, (kind, Device::Cpu))
            .map_err(Error::compute(format!("making room for {what}")));
    }
    let doing = || {
        Error::file(
            folder,
            "keep what is too large for memory (set TMPDIR to a folder with more room) in",
        )
    };
    // Gone when this function ends: the mapping keeps the space, and nobody else needs the name.
    let file = NamedTempFile::new_in(folder).map_err(doing())?;
    let bytes = values.unsigned_abs() as usize * kind.elt_size_in_bytes();
    filled(file.as_file(), bytes).map_err(doing())?;
    map(file.path(), shape, kind).map_err(Error::compute(format!("keeping {what} in a file")))
}

/// Takes the space on the disk at once: a full disk is an error here, and would be the end of the program when a
/// mapped page is written.
fn filled(mut file: &File, bytes: usize) -> io::Result<()> {
    let zeros = vec![0; AT_ONCE.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let some = left.min(AT_ONCE);
        file.write_all(&zeros[..some])?;
        left -= some;
    }
    Ok(())
}

fn map(path: &Path, shape: &[i64], kind: Kind) -> std::result::Result<Tensor, TchError> {
    let values = shape.iter().product::<i64>();
    let name = path.to_str().ok_or_else(|| {
        let message = format!(
            "{} is not UTF-8; set TMPDIR to another folder",
            path.display()
        );
        TchError::FileFormat(message)
    })?;
    Tensor::f_from_file(name, true, values, (kind, Device::Cpu))?.f_view(shape)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn values_in_a_file_are_values_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [Kind::Float, Kind::BFloat16, Kind::Uint8] {
            let values = Tensor::arange(60, (Kind::Float, Device::Cpu))
                .to_kind(kind)
                .view([5, 3, 4]);
            let mut kept = in_folder(folder.path(), &[5, 3, 4], kind, "numbers").unwrap();
            let second = in_folder(folder.path(), &[5, 3, 4], kind, "numbers").unwrap();
            assert!(folder.path().read_dir().unwrap().next().is_none());
            kept.f_copy_(&values).unwrap();
            assert_eq!(kept, values);
            let rows = Tensor::from_slice(&[4i64, 0]);
            assert_eq!(kept.index_select(0, &rows), values.index_select(0, &rows));
            assert_eq!(
                second
                    .to_kind(Kind::Float)
                    .sum(Kind::Float)
                    .double_value(&[]),
                0.0
            );
        }
        assert_eq!(
            in_folder(folder.path(), &[0, 3], Kind::Float, "none")
                .unwrap()
                .size(),
            [0, 3]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_before_anything_is_mapped() {
        // Linux' own disk without room.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = filled(&full, 3 * AT_ONCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_fits_lies_in_memory_and_a_folder_without_room_is_named() {
        let small = room_for(&[2, 3], (Kind::Float, Device::Cpu), "numbers").unwrap();
        assert_eq!(small.size(), [2, 3]);
        let error = in_folder(
            Path::new("no/such/folder"),
            &[2],
            Kind::Float,
            "the features",
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::File { .. }) && text.contains("TMPDIR"),
            "{text}"
        );
    }
}

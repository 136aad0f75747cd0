//! What a file that is to be written will be, by the ending of its name: said in one place for everything that is saved.
//!
//! ```
//! # use evcxr_transfer::{Features, ndarray::Array4};
//! let features = Features::from_array(&Array4::zeros((2, 1, 1, 4)), &[0, 1], &["cats", "dogs"])?;
//! let error = features.save("features.npy").unwrap_err();
//! assert!(error.to_string().contains("features.safetensors"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::path::Path;

use crate::error::{Error, Result};

/// Weights under their names; also what a name without an ending means.
pub(crate) const SAFETENSORS: &str = "safetensors";
/// A network with its weights, for programs that only run it.
pub(crate) const ONNX: &str = "onnx";

/// Which of these endings a file's name has, in capitals or not; `what` is saved under it: "a figure".
///
/// # Errors
/// [`Error::Argument`] for another ending, and for none.
pub(crate) fn one_of(path: &Path, endings: &[&'static str], what: &str) -> Result<&'static str> {
    let found = ending_of(path);
    let known = endings.iter().find(|ending| **ending == found);
    known.copied().ok_or_else(|| {
        let (last, others) = match endings {
            [others @ .., last] => (*last, others),
            [] => ("", endings),
        };
        let others = match others {
            [] => String::new(),
            others => format!(".{} or ", others.join(", .")),
        };
        refused(
            path,
            format!("{what} is saved under a name that ends in {others}.{last}"),
        )
    })
}

/// Whether something with weights is to be saved ([`SAFETENSORS`], or no ending) or exported ([`ONNX`]).
///
/// # Errors
/// [`Error::Argument`] for another ending: no Keras or PyTorch file is written, whatever its name.
pub(crate) fn of_weights(path: &Path, what: &str) -> Result<&'static str> {
    match ending_of(path).as_str() {
        "" | SAFETENSORS => Ok(SAFETENSORS),
        ONNX => Ok(ONNX),
        _ => Err(refused(path, {
            let exported = path.with_extension(ONNX);
            let saved = saved_as(path, what);
            format!(
                "{saved}, or exported to {:?}, which onnxruntime runs",
                name(&exported)
            )
        })),
    }
}

/// Whether the name is that of an exported model.
pub(crate) fn is_onnx(path: &Path) -> bool {
    ending_of(path) == ONNX
}

/// Refuses other names for numbers that are only saved than those of safetensors files.
///
/// # Errors
/// [`Error::Argument`] for another ending.
pub(crate) fn check_tensors(path: &Path, what: &str) -> Result<()> {
    match ending_of(path).as_str() {
        "" | SAFETENSORS => Ok(()),
        _ => Err(refused(path, saved_as(path, what))),
    }
}

/// In small letters, without the dot; nothing if there is none.
fn ending_of(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_ascii_lowercase()
}

fn saved_as(path: &Path, what: &str) -> String {
    let saved = path.with_extension(SAFETENSORS);
    let saved = name(&saved);
    format!(
        "{what} is saved to {saved:?}, which Python opens with safetensors.torch.load_file({saved:?}) \
         or, for NumPy and Keras, safetensors.numpy.load_file({saved:?})"
    )
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn refused(path: &Path, expected: String) -> Error {
    Error::Argument {
        argument: "path",
        value: format!("{:?}", path.display().to_string()),
        expected,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn endings_say_what_is_written() {
        let model = |path: &str| of_weights(Path::new(path), "a classifier");
        for path in ["m", "m.safetensors", "a.b/m", "M.SafeTensors"] {
            assert_eq!(model(path).unwrap(), SAFETENSORS, "{path}");
        }
        assert_eq!(model("a/m.onnx").unwrap(), ONNX);
        for path in [
            "a/m.h5",
            "a/m.keras",
            "a/m.pt",
            "a/m.pth",
            "a/m.pkl",
            "a/m.ckpt",
        ] {
            let error = model(path).unwrap_err().to_string();
            for part in [
                path,
                "load_file(\"m.safetensors\")",
                "safetensors.torch",
                "safetensors.numpy",
                "\"m.onnx\"",
            ] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        assert!(check_tensors(Path::new("train"), "features").is_ok());
        let error = check_tensors(Path::new("train.onnx"), "features").unwrap_err();
        assert!(!error.to_string().contains("exported"), "{error}");
        let figure = |path: &str| one_of(Path::new(path), &["png", "svg"], "a figure");
        assert_eq!(figure("a.PNG").unwrap(), "png");
        let error = figure("a.jpg").unwrap_err().to_string();
        assert!(error.ends_with("ends in .png or .svg"), "{error}");
        assert!(figure("png").is_err());
    }
}

//! What can go wrong, and what to do about it.
//!
//! Every fallible call of the crate returns [`Result`]. The text of an [`Error`] is made for the
//! line under a notebook cell: it says what was found, what was expected and the next step.

use std::path::{Path, PathBuf};

/// The crate's result type. It is not part of the prelude, because a second `Result` in scope
/// breaks the code that evcxr wraps around a cell.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that a call of this crate can fail with.
///
/// The variants are named for what the reader has to mend, not for the library that complained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, written, moved or removed.
    #[error("cannot {action} {}: {source}. {}", path.display(), next_step(path, source))]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "read", "write", "create", "rename", ...
        action: &'static str,
        /// What the operating system answered.
        source: std::io::Error,
    },

    /// A single picture could not be decoded.
    #[error("{}: {problem}. Replace the file by a readable picture or remove it", path.display())]
    Picture {
        /// The picture's file, or the name that it was given.
        path: PathBuf,
        /// Why it cannot be used.
        problem: String,
    },

    /// Some pictures of a dataset could not be decoded; none is dropped without a word.
    #[error(
        "{} of {total} pictures cannot be read, the first is {}. Remove them, or go on without \
         them: `data.train.without_unreadable()?`",
        unreadable.len(),
        first_of(unreadable)
    )]
    Pictures {
        /// Each unreadable file with the reason.
        unreadable: Vec<(PathBuf, String)>,
        /// How many pictures the dataset holds.
        total: usize,
    },

    /// A folder does not hold pictures in class folders, or a table does not label pictures.
    #[error("{}: {problem}. {remedy}", path.display())]
    Dataset {
        /// The folder or the table.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do next.
        remedy: String,
    },

    /// A weight file cannot be used.
    #[error("{}: {problem}. {remedy}", path.display())]
    Weights {
        /// The weight file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do next.
        remedy: String,
    },

    /// A tensor in a weight file has another shape than the layer it is for.
    #[error(
        "{}: layer {layer} needs {expected:?}, the file has {found:?}. These are weights of \
         another architecture; load the file that belongs to this one",
        path.display()
    )]
    LayerShape {
        /// The weight file.
        path: PathBuf,
        /// The layer and which of its tensors, for example `block1_conv1 kernel`.
        layer: String,
        /// The shape that the layer has, in Keras' order.
        expected: Vec<usize>,
        /// The shape that the file has, in Keras' order.
        found: Vec<usize>,
    },

    /// No layer has the name that was asked for.
    #[error("there is no layer {name:?}. The layers are: {}", known.join(", "))]
    UnknownLayer {
        /// The name that was asked for.
        name: String,
        /// The names that exist, in order.
        known: Vec<String>,
    },

    /// An argument is outside what the call accepts.
    #[error("{argument} is {value}; {expected}")]
    Argument {
        /// The argument's name.
        argument: &'static str,
        /// What was passed.
        value: String,
        /// What is accepted, as a half sentence: "it must be 32 or more".
        expected: String,
    },

    /// Two things that must fit together do not: features and head, training and validation.
    #[error("{what}: expected {expected}, found {found}. {remedy}")]
    Mismatch {
        /// What was compared.
        what: String,
        /// What it should have been.
        expected: String,
        /// What it was.
        found: String,
        /// What to do next.
        remedy: String,
    },

    /// A file could not be brought from the network.
    #[error("{url}: {problem}. {remedy}")]
    Download {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
        /// What to do next.
        remedy: String,
    },

    /// An archive could not be unpacked.
    #[error("{}: {problem}. {remedy}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What was found in it.
        problem: String,
        /// What to do next.
        remedy: String,
    },

    /// The device that was asked for cannot be used.
    #[error("{device} cannot be used: {problem}. {remedy}")]
    Device {
        /// The device: `cuda` or `cpu`.
        device: String,
        /// Why not.
        problem: String,
        /// What to do next.
        remedy: String,
    },

    /// The device's memory is full.
    #[error(
        "out of memory while {doing}, with a batch size of {batch_size}. Nothing is lost: {}",
        smaller_batch(*batch_size)
    )]
    OutOfMemory {
        /// What was being computed.
        doing: String,
        /// The batch size that did not fit.
        batch_size: usize,
    },

    /// The loss of a run is no longer a finite number.
    #[error(
        "the loss is {loss} in epoch {epoch}, step {step}: training has diverged. Try a smaller \
         learning rate; a model that was there before has the weights of its last good epoch"
    )]
    NotFinite {
        /// The loss: infinite or not a number.
        loss: f64,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The step in it, counted from 1.
        step: usize,
    },

    /// The work was asked to stop and has nothing to give back yet.
    #[error("stopped while {doing}, as asked. Nothing is changed; run it again")]
    Stopped {
        /// What was being done.
        doing: String,
    },

    /// libtorch refused a computation.
    #[error("libtorch failed while {doing}: {message}")]
    Compute {
        /// What was being computed.
        doing: String,
        /// The first line of libtorch's message.
        message: String,
    },

    /// One of several processes has failed, and all of them have ended with it.
    #[error("process {rank} of {size} (on {node}): {problem}")]
    Process {
        /// Its number, counted from 0.
        rank: usize,
        /// How many there are.
        size: usize,
        /// The computer that it runs on.
        node: String,
        /// What it has failed with, and what to do next.
        problem: String,
    },

    /// A figure could not be drawn.
    #[error("the figure cannot be drawn: {problem}")]
    Figure {
        /// What the drawing library said.
        problem: String,
    },
}

impl Error {
    /// Wraps what the operating system answered when `action` was tried on `path`.
    pub(crate) fn file(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            path,
            action,
            source,
        }
    }

    /// Wraps what libtorch answered while `doing` something.
    pub(crate) fn compute(doing: impl Into<String>) -> impl FnOnce(tch::TchError) -> Self {
        let doing = doing.into();
        move |error| Self::Compute {
            doing,
            message: first_line(&error),
        }
    }

    /// Wraps what the drawing library said.
    pub(crate) fn figure(problem: impl std::fmt::Display) -> Self {
        Self::Figure {
            problem: problem.to_string(),
        }
    }

    /// Wraps what libtorch answered while `doing` something with `batch_size` pictures at once.
    pub(crate) fn batch(
        doing: impl Into<String>,
        batch_size: usize,
    ) -> impl FnOnce(tch::TchError) -> Self {
        let doing = doing.into();
        move |error| {
            let message = first_line(&error);
            if is_out_of_memory(&error) {
                Self::OutOfMemory { doing, batch_size }
            } else {
                Self::Compute { doing, message }
            }
        }
    }
}

/// Whether memory was what libtorch lacked: "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED" and the
/// like on a GPU; "can't allocate memory" or "not enough memory" on a CPU.
pub(crate) fn is_out_of_memory(error: &tch::TchError) -> bool {
    let message = first_line(error);
    [
        "out of memory",
        "not enough memory",
        "can't allocate memory",
        "ALLOC_FAILED",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// libtorch appends a C++ stack of some kilobytes to its messages; the first line says it all.
fn first_line(error: &tch::TchError) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("Internal torch error: ").to_owned()
}

/// What may fit where `batch_size` pictures did not.
fn smaller_batch(batch_size: usize) -> String {
    match batch_size {
        0 | 1 => "use smaller pictures, or `Device::Cpu`".into(),
        _ => format!("try again with a batch size of {}", batch_size / 2),
    }
}

/// What to do about an answer of the operating system.
fn next_step(path: &Path, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => {
            let folder = std::env::current_dir();
            return match folder.ok().filter(|_| path.is_relative()) {
                Some(folder) => format!("Check the path; it is meant from {}", folder.display()),
                None => "Check the path".into(),
            };
        }
        ErrorKind::PermissionDenied => "Check the rights on it",
        ErrorKind::ReadOnlyFilesystem => "That disk can only be read: name a place on another one",
        ErrorKind::FileTooLarge => {
            "No file may be that large there: see `ulimit -f`, or name a place on another disk"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "Make room on that disk",
        _ => "Check that it is a file or folder of that kind, and that its disk is sound",
    }
    .into()
}

fn first_of(unreadable: &[(PathBuf, String)]) -> String {
    unreadable
        .first()
        .map_or_else(String::new, |(path, problem)| {
            format!("{} ({problem})", path.display())
        })
}

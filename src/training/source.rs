//! Where batches come from: the one thing that knows whether pictures or features lie in memory, pass
//! frozen layers on their way, or are augmented.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::training::loss::Targets;
use crate::training::order::Draws;

/// Some pictures on the learner's device.
pub(crate) struct Batch {
    /// What the learner takes: a tensor for each of its inputs, with the pictures first.
    pub(crate) inputs: Vec<Tensor>,
    /// What the pictures should be taken for.
    pub(crate) targets: Targets,
}

/// Labelled pictures in the form that a learner takes them.
///
/// An epoch is told in advance and handed over batch by batch, so that a source may work ahead.
pub(crate) trait Source {
    /// The number of pictures.
    fn len(&self) -> usize;

    /// Begins an epoch that shows these pictures (by their numbers) in this order. With `draws` each
    /// comes in a version of its own where pictures are augmented; without, as it is.
    fn begin(&mut self, pictures: &[i64], draws: Option<&Draws>) -> Result<()>;

    /// The next `count` pictures of the epoch.
    fn next(&mut self, count: usize) -> std::result::Result<Batch, Failure>;
}

/// The source of a run that has no epoch left.
pub(crate) struct NoPictures;

impl Source for NoPictures {
    fn len(&self) -> usize {
        0
    }

    fn begin(&mut self, _pictures: &[i64], _draws: Option<&Draws>) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, _count: usize) -> std::result::Result<Batch, Failure> {
        Err(TchError::Shape("there are no pictures".into()).into())
    }
}

/// Why a batch, or a step on it, has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What libtorch said: only the caller knows at what.
    Libtorch(TchError),
    /// What has its words already, such as a picture that cannot be decoded.
    Named(Error),
}

impl From<TchError> for Failure {
    fn from(error: TchError) -> Self {
        Self::Libtorch(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Named(error)
    }
}

impl Failure {
    /// The error, with what `wrap` makes of libtorch's.
    pub(crate) fn or(self, wrap: impl FnOnce(TchError) -> Error) -> Error {
        match self {
            Self::Libtorch(error) => wrap(error),
            Self::Named(error) => error,
        }
    }
}

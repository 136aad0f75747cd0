//! A thread of one's own for work that others wait for: [`start`].

use std::thread::{Builder, JoinHandle};

use crate::error::{Error, Result};

/// Starts a thread.
///
/// # Errors
/// [`Error::Compute`] while `doing`, where the machine gives no more threads.
pub(crate) fn start<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().spawn(work).map_err(|error| Error::Compute {
        doing: doing.to_owned(),
        message: format!(
            "no thread could be started ({error}); end other programs, or allow more (`ulimit -u`)"
        ),
    })
}

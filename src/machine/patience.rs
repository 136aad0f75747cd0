//! Waiting for a disk or a server that may never answer: [`patiently`], [`awaited`].
//!
//! A network drive that is gone keeps whoever reads from it, and no signal frees him. So what reads is a thread of its
//! own, and the caller, who waits for it, can be told to stop.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::machine::stop::Stop;
use crate::machine::threads;

/// How often a stop is asked for while an answer does not come.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Waits for an answer and asks `check` meanwhile, whose error ends the wait; `None` from a thread that has ended
/// without an answer.
///
/// # Errors
/// That of `check`.
pub(crate) fn awaited<T>(
    answer: &Receiver<T>,
    check: &dyn Fn() -> Result<()>,
) -> Result<Option<T>> {
    loop {
        match answer.recv_timeout(PATIENCE) {
            Ok(answer) => return Ok(Some(answer)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => check()?,
        }
    }
}

/// Does `work`, which reads from a disk, and hears an interrupt of the notebook's cell while it lasts. Work that is
/// given up goes on until its disk answers, and nobody takes what it gives.
///
/// # Errors
/// [`Error::Stopped`] while `doing`; and those of the work.
pub(crate) fn patiently<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    until(&Stop::new(), doing, work)
}

fn until<T: Send + 'static>(
    stop: &Stop,
    doing: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let check = || match stop.is_requested() {
        true => Err(Error::Stopped {
            doing: doing.to_owned(),
        }),
        false => Ok(()),
    };
    let (sender, answer) = mpsc::sync_channel(1);
    // Nobody takes the answer of work that was given up.
    let thread = threads::start(doing, move || drop(sender.send(work())))?;
    match awaited(&answer, &check)? {
        Some(answer) => answer,
        // A panic is the caller's, as if he had done the work himself.
        None => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => Err(Error::Compute {
                doing: doing.to_owned(),
                message: "the work has ended without an answer".into(),
            }),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn work_gives_its_answer_its_error_or_its_panic() {
        assert_eq!(patiently("reading", || Ok(7)).unwrap(), 7);
        let failed = patiently("reading", || {
            Err::<(), _>(Error::file(std::path::Path::new("a"), "read")(
                std::io::ErrorKind::NotFound.into(),
            ))
        });
        assert!(matches!(failed, Err(Error::File { .. })));
        let panicked =
            std::panic::catch_unwind(|| patiently::<()>("reading", || panic!("a fault")));
        assert_eq!(
            *panicked.unwrap_err().downcast::<&str>().unwrap(),
            "a fault"
        );
    }

    #[test]
    fn work_that_never_answers_is_given_up_at_a_stop() {
        let stop = Stop::new();
        let (answers, drive) = mpsc::channel::<()>();
        let asks = stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(3 * PATIENCE);
            asks.request();
        });
        let outcome = until(&stop, "reading cat.jpg", move || Ok(drive.recv().is_ok()));
        let words = outcome.unwrap_err().to_string();
        assert!(
            words.starts_with("stopped while reading cat.jpg"),
            "{words}"
        );
        drop(answers);
    }
}

//! How an interrupt ends a cell: by asking first, which keeps the variables, and only then by force.
//!
//! ```text
//! first interrupt -> the file is made -> the cell's loop sees it and returns what it has
//!                                     -> or 10 seconds pass, or a second interrupt comes: by force
//! ```
//! The cells' process finds the file's path in its environment; every long loop of evcxr_transfer looks
//! for the file once a batch. The force ends the process that holds the variables. Cells that wait behind the
//! interrupted one are not run, either way.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// Where the cells' process finds the path of the file that asks it to stop.
pub const VARIABLE: &str = "EVCXR_TRANSFER_STOP";

/// How long a cell may take to stop by itself. On two cores a batch of 20 pictures takes 1 to 2 seconds,
/// one of 50 in an evaluation 4 to 6; whoever interrupts a loop that never looks shall not wait longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The file that asks the cells of the session in `folder` to stop. It is there only between a request
/// to stop and the end of the cell that was asked.
pub fn file(folder: &Path) -> PathBuf {
    folder.join("stop")
}

/// Makes the file.
///
/// # Errors
///
/// The system's: then the cell cannot be asked.
pub fn ask(file: &Path) -> io::Result<()> {
    File::create(file).map(drop)
}

/// Removes the file, or every later cell would stop at once too.
///
/// # Errors
///
/// The system's, but for a file that is not there.
pub fn withdraw(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name of the line under a cell that has been asked, which changes when the cell has ended.
pub const DISPLAY: &str = "stop";

/// The line under a cell that has ended by itself after it was asked.
pub const STOPPED: &str = "stopped; all variables are kept";

/// The line under a cell that has been ended by force.
pub const FORCED: &str = "ended by force";

/// The line under a cell that has been asked.
pub fn line() -> String {
    format!(
        "stopping at the next batch; after {} seconds, or at a second interrupt, the cell is ended by \
         force and all variables are lost",
        PATIENCE.as_secs()
    )
}

/// What an interrupt leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Ask the cell to stop.
    Ask,
    /// End it by force.
    Force,
}

/// How far the end of the running cell has come; cells by the number of their message.
#[derive(Debug, Default)]
pub enum Stop {
    /// No interrupt yet.
    #[default]
    Unasked,
    /// This cell has been asked.
    Asked(Value),
    /// This cell is being ended by force.
    Forced(Value),
}

impl Stop {
    /// The step for an interrupt while `cell` runs.
    pub fn interrupted(&mut self, cell: &Value) -> Step {
        match self {
            Self::Asked(known) | Self::Forced(known) if known == cell => {
                *self = Self::Forced(cell.clone());
                Step::Force
            }
            _ => {
                *self = Self::Asked(cell.clone());
                Step::Ask
            }
        }
    }

    /// Whether `cell` has to be ended by force, now that its time is over. `false` when it has ended,
    /// and when that is being done already: a second time would hit the next process.
    pub fn overdue(&mut self, cell: &Value) -> bool {
        let is_due = matches!(self, Self::Asked(known) if known == cell);
        if is_due {
            *self = Self::Forced(cell.clone());
        }
        is_due
    }

    /// Whether `cell`, which has ended, was interrupted; that is forgotten.
    pub fn ended(&mut self, cell: &Value) -> bool {
        let was_interrupted =
            matches!(self, Self::Asked(known) | Self::Forced(known) if known == cell);
        if was_interrupted {
            *self = Self::Unasked;
        }
        was_interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_asked_first_and_forced_at_each_further_interrupt() {
        let (cell, mut stop) = (Value::from("a"), Stop::default());
        assert_eq!(stop.interrupted(&cell), Step::Ask);
        assert_eq!(stop.interrupted(&cell), Step::Force);
        assert_eq!(stop.interrupted(&cell), Step::Force);
    }

    #[test]
    fn a_cell_is_forced_once_when_its_time_is_over() {
        let (cell, mut stop) = (Value::from("a"), Stop::default());
        assert!(!stop.overdue(&cell), "nobody has asked it");
        stop.interrupted(&cell);
        assert!(stop.overdue(&cell));
        assert!(!stop.overdue(&cell));
        stop.interrupted(&cell);
        assert!(!stop.overdue(&cell), "a second interrupt was quicker");
    }

    #[test]
    fn the_stop_of_one_cell_is_not_that_of_the_next() {
        let (first, second) = (Value::from("a"), Value::from("b"));
        let mut stop = Stop::default();
        stop.interrupted(&first);
        assert!(!stop.ended(&second));
        assert!(stop.ended(&first));
        assert!(!stop.ended(&first));
        assert!(!stop.overdue(&first), "it has ended in time");
        assert_eq!(stop.interrupted(&second), Step::Ask);
        assert!(
            !stop.overdue(&first),
            "the first cell's time is not the second's"
        );
    }

    #[test]
    fn the_file_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path());
        withdraw(&file).unwrap();
        ask(&file).unwrap();
        ask(&file).unwrap();
        assert!(file.exists());
        withdraw(&file).unwrap();
        assert!(!file.exists());
        assert!(ask(&folder.path().join("no/such/folder")).is_err());
    }
}

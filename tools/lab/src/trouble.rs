//! What went wrong, together with what to do about it: the one error type of this tool.

use std::fmt;
use std::path::Path;

/// The tool's result type.
pub type Result<T> = std::result::Result<T, Trouble>;

/// Something that stops a command.
#[derive(Debug)]
pub struct Trouble {
    /// What was found, in one line.
    pub what: String,
    /// What to do next.
    pub remedy: String,
    /// 1; or 2 for a command line that makes no sense.
    pub exit_code: u8,
}

impl Trouble {
    /// A trouble with its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
            exit_code: 1,
        }
    }

    /// A command line that makes no sense.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            exit_code: 2,
            ..Self::new(what, remedy)
        }
    }

    /// A file or folder that could not be read, written, made or removed.
    pub fn file(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            format!("cannot {action} {}: {error}", path.display()),
            "check the rights on that folder and the free space, then run the command again",
        )
    }

    /// A program that could not be started at all.
    pub fn program(name: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(
            format!("cannot start {name}: {error}"),
            "`cargo lab doctor` shows what is missing on this machine",
        )
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "error: {}\n  what to do: {}",
            self.what, self.remedy
        )
    }
}

//! What `cargo lab doctor` finds out about one thing.

use crate::trouble::Trouble;

/// What was found out about one thing.
pub struct Finding {
    /// How bad it is.
    pub state: State,
    /// The thing.
    pub title: &'static str,
    /// What was found, in one line.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq)]
pub enum State {
    /// Nothing is wrong.
    Ok,
    /// Something works less well, or only after a download.
    Warning,
    /// The project does not work without it.
    Missing,
}

impl Finding {
    /// Nothing is wrong.
    pub fn ok(title: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            state: State::Ok,
            title,
            text,
            remedy: None,
        }
    }

    /// Something works less well, or only after a download.
    pub fn warning(
        title: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (text, remedy) = (text.into(), Some(remedy.into()));
        Self {
            state: State::Warning,
            title,
            text,
            remedy,
        }
    }

    /// The project does not work without it.
    pub fn missing(title: &'static str, trouble: Trouble) -> Self {
        let (text, remedy) = (trouble.what, Some(trouble.remedy));
        Self {
            state: State::Missing,
            title,
            text,
            remedy,
        }
    }
}

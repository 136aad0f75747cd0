//! What Jupyter is told of a cell that has failed: the error's name, one line, and the text in full.

use std::fmt::Write as _;

use ariadne::sources;
use evcxr::{CompilationError, Theme};
use serde_json::{Value, json};

use crate::aliases;
use crate::gone::Gone;
use crate::source;

/// How many of the compiler's errors are shown: the first one is the cause of most others.
const MOST: usize = 5;

/// How much of an error's own text is shown.
const LINES: usize = 10;

/// What a failed cell is answered with.
#[derive(Debug)]
pub struct Failure {
    name: String,
    value: String,
    traceback: Vec<String>,
    /// Whether the variables are lost with the cell.
    is_end: bool,
}

impl Failure {
    /// As the front sends it on.
    pub fn event(&self) -> Value {
        json!({"failed": {
            "ename": self.name,
            "evalue": self.value,
            "traceback": self.traceback,
        }, "is_end": self.is_end})
    }

    /// One that says this.
    fn new(name: &str, text: &str) -> Self {
        let mut lines = readable(text);
        if let Some(first) = lines.first_mut() {
            *first = format!("{name}: {first}");
        }
        Self {
            name: name.to_owned(),
            value: readable(text).into_iter().next().unwrap_or_default(),
            traceback: lines,
            is_end: false,
        }
    }

    /// A `?` on this error.
    pub fn error(text: &str) -> Self {
        Self::new("Error", text)
    }

    /// A panic, which the process has told so:
    /// ``thread 'main' (12) panicked at src/lib.rs:12:5:`` and below it what it says.
    pub fn panic(told: &str) -> Self {
        let (before, message) = told
            .split_once(" panicked at ")
            .map(|(before, rest)| (before, rest.split_once('\n').unwrap_or_default().1))
            .unwrap_or(("", told));
        let message = message
            .split("\nnote: run with ")
            .next()
            .unwrap_or_default()
            .trim();
        let mut failure = Self::new("panic", message);
        // What was printed before, but for the line that the panic's own begins.
        if let Some((printed, _)) = before.trim_start().rsplit_once('\n') {
            failure.traceback.extend(readable(printed));
        }
        failure
    }

    /// The variables' process has ended in this way, as the system says it.
    pub fn ended(how: &str) -> Self {
        let text = format!(
            "{} ({how})\nAll variables are lost: run the notebook from its start.",
            cause(how)
        );
        Self {
            is_end: true,
            ..Self::new("Ended", &text)
        }
    }

    /// evcxr's own error for the cell with this code and number.
    pub fn of(error: &evcxr::Error, code: &str, cell: u64, gone: &Gone) -> Self {
        match error {
            evcxr::Error::CompilationErrors(errors) => compilation(errors, code, cell, gone),
            other => Self::new("Error", &other.to_string()),
        }
    }
}

/// What has ended the process, and what to do about it: "signal: 6 (SIGABRT)" and the like in words.
fn cause(how: &str) -> String {
    let signal = how.strip_prefix("signal: ");
    let signal = signal.and_then(|rest| rest.split(' ').next());
    let words = match signal {
        // A full stack and a wrong address are the same to the system, but for the latter evcxr aborts.
        Some("11" | "7" | "10") => {
            "the stack is full: look for a function that calls itself without end, or for a very large array that is no \
             Vec"
        }
        Some("6") => {
            "the cell has aborted: `std::process::abort()`, a panic while another one was under way, or an error in C++ \
             or `unsafe` code; the lines above the error say which"
        }
        Some("9") => {
            "the cell was ended by force: by a second stop, or by the system, which does that when the memory is full; a \
             smaller batch or fewer pictures need less"
        }
        Some("4" | "5") => "the cell has run into code that its processor does not know",
        Some(_) => "the cell was ended by a signal",
        None => {
            "the cell has ended the process that holds the variables, as `std::process::exit` does; leave a cell with \
             `return Err(..)`, `?` or a panic instead"
        }
    };
    words.to_owned()
}

/// The text's lines without libtorch's C++ frames, and not too many of them.
fn readable(text: &str) -> Vec<String> {
    let text = text.trim();
    // In what `unwrap` says the line break is written as Rust writes it.
    let frames = ["\nException raised from", "\\nException raised from"];
    let cut = frames.iter().filter_map(|mark| text.find(mark)).min();
    let cut = cut.unwrap_or(text.len());
    let mut lines: Vec<String> = text[..cut].lines().map(str::to_owned).collect();
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.push("...".to_owned());
    }
    lines
}

fn compilation(errors: &[CompilationError], code: &str, cell: u64, gone: &Gone) -> Failure {
    let first = errors.first();
    let value = first.map_or_else(String::new, CompilationError::message);
    let explanation = |message: &str| {
        gone.explain(message)
            .or_else(|| aliases::explain(message, source::texts))
    };
    let mut traceback = Vec::new();
    for error in errors.iter().take(MOST) {
        traceback.extend(explanation(&error.message()));
        traceback.extend(report(error, code, cell));
    }
    if errors.len() > MOST {
        traceback.push(format!("... and {} more errors", errors.len() - MOST));
    }
    let explanation = explanation(&value);
    Failure {
        name: first
            .and_then(CompilationError::code)
            .unwrap_or("error")
            .to_owned(),
        value: match explanation {
            Some(explanation) => format!("{value}: {explanation}"),
            None => value,
        },
        traceback,
        is_end: false,
    }
}

/// The compiler's message with the cell's lines that it is about.
fn report(error: &CompilationError, code: &str, cell: u64) -> Vec<String> {
    let name = format!("cell [{cell}]");
    let drawn = error
        .is_from_user_code()
        .then(|| error.build_report(name.clone(), code.to_owned(), Theme::Light))
        .flatten();
    if let Some(drawn) = drawn {
        let mut bytes = Vec::new();
        if drawn
            .write(sources([(name, code.to_owned())]), &mut bytes)
            .is_ok()
        {
            let text = String::from_utf8_lossy(&bytes);
            return text.lines().map(str::to_owned).collect();
        }
    }
    // A code with letters beyond ASCII is not drawn by evcxr.
    let mut text = error.message();
    for spanned in error.spanned_messages() {
        for line in &spanned.lines {
            let _ = write!(text, "\n  {line}");
        }
        if let Some(span) = &spanned.span {
            let width = span.end_column.saturating_sub(span.start_column).max(1);
            let place = span.start_column.saturating_sub(1);
            let _ = write!(text, "\n  {}{}", " ".repeat(place), "^".repeat(width));
        }
        if !spanned.label.is_empty() {
            let _ = write!(text, " {}", spanned.label);
        }
    }
    for help in error.help() {
        let _ = write!(text, "\nhelp: {help}");
    }
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_first_line_without_the_frames_of_its_library() {
        let failure =
            Failure::error("shape mismatch\nException raised from f at x.cpp:1\nframe #0\n");
        assert_eq!(failure.value, "shape mismatch");
        assert_eq!(failure.traceback, ["Error: shape mismatch"]);
        let told = "thread 'main' (7) panicked at a.rs:1:2:\ncalled `Result::unwrap()` on an `Err` value: \
                    Torch(\"size mismatch\\nException raised from f at x.cpp:1\\nframe #0\")\n";
        let unwrapped = Failure::panic(told);
        assert!(
            unwrapped.value.ends_with("Torch(\"size mismatch"),
            "{unwrapped:?}"
        );
        assert_eq!(unwrapped.traceback.len(), 1);
        let long = "line\n".repeat(50);
        assert_eq!(Failure::error(&long).traceback.len(), LINES + 1);
    }

    #[test]
    fn the_end_of_the_process_is_told_in_words_with_what_was_lost_and_what_to_do() {
        for (how, words) in [
            ("signal: 11 (SIGSEGV)", "calls itself without end"),
            ("signal: 6 (SIGABRT) (core dumped)", "std::process::abort()"),
            ("signal: 9 (SIGKILL)", "memory is full"),
            ("signal: 15 (SIGTERM)", "by a signal"),
            ("exit status: 3", "std::process::exit"),
        ] {
            let failure = Failure::ended(how);
            assert!(
                failure.is_end && failure.value.contains(words),
                "{failure:?}"
            );
            assert!(failure.value.contains(how), "{failure:?}");
            assert!(
                failure.traceback[1].contains("All variables are lost"),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn a_panic_is_what_it_says() {
        let told = "\nthread '<unnamed>' (71) panicked at src/lib.rs:126:1:\nno picture\nat all\n\
                    note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let failure = Failure::panic(told);
        assert_eq!(
            (failure.name.as_str(), failure.value.as_str()),
            ("panic", "no picture")
        );
        assert_eq!(failure.traceback, ["panic: no picture", "at all"]);
        let failure = Failure::panic("printed before\nthread 'main' (1) panicked at a:1:2:\nno\n");
        assert_eq!(failure.traceback, ["panic: no", "printed before"]);
        assert_eq!(Failure::panic("").value, "");
    }
}

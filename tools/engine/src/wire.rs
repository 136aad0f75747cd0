//! What a line on the way from the cells to evcxr may be beside plain text.
//!
//! evcxr hands on lines. What is more than that travels as a line that begins with [`MARK`], made by
//! [`crate::pump`] alone: a cell that prints such a line has it wrapped into one.

use serde_json::{Value, json};

/// The beginning of a line that is no plain text; the rest is one JSON object.
const MARK: &str = "EVCXR_TRANSFER_EVENT ";

/// evcxr's mark of a result, and the same as JSON may write it.
const BEGIN: &str = "EVCXR_BEGIN_CONTENT";
const BEGIN_IN_JSON: &str = "\\u0045VCXR_BEGIN_CONTENT";

/// What is not a plain line of stdout.
#[derive(Debug, PartialEq)]
pub enum Note {
    /// Text on stdout that is no whole line yet, or looks like a mark.
    Stdout(String),
    /// Text on stderr.
    Stderr(String),
    /// A rich result in its formats, shown where it stands between the lines: Jupyter's `data` and, where it
    /// moves in place, its name.
    Display {
        /// Body by MIME type.
        data: Value,
        /// `Value::Null`, or the name under which it is shown again.
        id: Value,
    },
    /// A `?` has ended the cell: the error's text.
    Failed(String),
    /// A panic has ended the cell: what the process has said of it.
    Panicked(String),
    /// The process that held the variables is no more: how it ended.
    Ended(String),
}

impl Note {
    /// The line that says it, without a line break.
    pub fn line(&self) -> String {
        let object = match self {
            Self::Stdout(text) => json!({"stdout": text}),
            Self::Stderr(text) => json!({"stderr": text}),
            Self::Display { data, id } => json!({"display": data, "id": id}),
            Self::Failed(text) => json!({"failed": text}),
            Self::Panicked(text) => json!({"panicked": text}),
            Self::Ended(how) => json!({"ended": how}),
        };
        // evcxr looks for its mark of a result anywhere in a line; JSON has another way to write a letter.
        let text = object.to_string().replace(BEGIN, BEGIN_IN_JSON);
        format!("{MARK}{text}")
    }

    /// What a line says, if it is no plain text.
    pub fn of(line: &str) -> Option<Self> {
        let object: Value = serde_json::from_str(line.strip_prefix(MARK)?).ok()?;
        let text = |key: &str| object[key].as_str().map(str::to_owned);
        text("stdout")
            .map(Self::Stdout)
            .or_else(|| text("stderr").map(Self::Stderr))
            .or_else(|| text("failed").map(Self::Failed))
            .or_else(|| text("panicked").map(Self::Panicked))
            .or_else(|| text("ended").map(Self::Ended))
            .or_else(|| {
                Some(Self::Display {
                    data: object.get("display")?.clone(),
                    id: object["id"].clone(),
                })
            })
    }

    /// Whether a plain line would be taken for one of these.
    pub fn is_like(line: &str) -> bool {
        line.starts_with(MARK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_survives_the_way() {
        for note in [
            Note::Stdout("a\r".into()),
            Note::Stdout("EVCXR_BEGIN_CONTENT text/html\n".into()),
            Note::Stderr("ä\n".into()),
            Note::Display {
                data: json!({"text/plain": "x\ny"}),
                id: json!("run 1"),
            },
            Note::Failed("no such file".into()),
            Note::Panicked("thread 'main'".into()),
            Note::Ended("signal: 6".into()),
        ] {
            let line = note.line();
            assert!(!line.contains('\n') && Note::is_like(&line));
            assert!(
                !line.contains("EVCXR_BEGIN_CONTENT"),
                "evcxr would wait for its end"
            );
            assert_eq!(Note::of(&line), Some(note));
        }
        assert_eq!(Note::of("EVCXR_TRANSFER_EVENT "), None);
        assert_eq!(Note::of("text"), None);
    }
}

//! How results reach the notebook: the only file of the crate that prints.
//!
//! evcxr reads what a cell's code prints line by line. A block `EVCXR_BEGIN_CONTENT <type>`, body,
//! `EVCXR_END_CONTENT` becomes the cell's rich result, a few other words are messages to the kernel,
//! and everything else appears as text. Our own kernel also knows a display, one line
//! `EVCXR_TRANSFER_DISPLAY {"display_id": .., "data": {type: body, ..}}`: it stands where it is printed, and
//! another one of the same id takes its place. [`Out`] writes all three. What it is given is made harmless
//! here, so that a class or file of such a name is no message to the kernel.

use std::borrow::Cow;
use std::io::{self, Write};
#[cfg(test)]
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

use crate::show::display_id::DisplayId;
use crate::show::encoded::Encoded;

/// The word that a display's line begins with.
const DISPLAY: &str = "EVCXR_TRANSFER_DISPLAY";

/// What evcxr (0.22, eval_context.rs) takes for a message: the marks of a block, the cell's end, its
/// failures, and a question to the reader; and what our kernel takes for one.
const MESSAGES: [&str; 8] = [
    DISPLAY,
    "EVCXR_BEGIN_CONTENT",
    "EVCXR_END_CONTENT",
    "EVCXR_EXECUTION_COMPLETE",
    "EVCXR_PANIC_NOTIFICATION",
    "EVCXR_ERROR_OCCURRED",
    "EVCXR_VARIABLE_CHANGED_TYPE",
    "EVCXR_INPUT_REQUEST",
];

/// One result for a cell in several formats, of which the notebook page shows the best it can.
///
/// evcxr keeps one body per format and cell: everything that belongs together goes in one bundle.
#[derive(Default)]
pub struct Bundle {
    parts: Vec<(&'static str, String)>,
}

impl Bundle {
    /// A bundle with the text that pages without pictures or HTML show.
    pub(crate) fn text(text: &str) -> Self {
        Self {
            parts: vec![("text/plain", text.to_owned())],
        }
    }

    /// Adds an HTML body.
    pub(crate) fn html(self, html: &str) -> Self {
        self.part("text/html", html.to_owned())
    }

    /// Adds a picture.
    pub(crate) fn picture(self, picture: &Encoded) -> Self {
        self.part(picture.mime, STANDARD.encode(&picture.bytes))
    }

    fn part(mut self, mime: &'static str, body: String) -> Self {
        self.parts.push((mime, body));
        self
    }

    /// The bundle as evcxr reads it.
    fn block(&self) -> String {
        let mut block = String::new();
        for (mime, body) in &self.parts {
            let body = harmless(body);
            let body = body.trim_end_matches('\n');
            block.push_str(&format!(
                "EVCXR_BEGIN_CONTENT {mime}\n{body}\nEVCXR_END_CONTENT\n"
            ));
        }
        block
    }

    /// The bundle as our kernel reads it.
    fn display_line(&self, id: &DisplayId) -> String {
        let parts = self.parts.iter();
        let data = parts.map(|(mime, body)| ((*mime).to_owned(), harmless(body).into()));
        let data = data.collect::<Map<_, _>>();
        // JSON has no line breaks but escaped ones.
        let content = json!({ "display_id": id.as_str(), "data": data });
        format!("{DISPLAY} {content}\n")
    }
}

/// Where all that is shown goes.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    Stdout,
    /// Kept, one text a call.
    #[cfg(test)]
    Memory(Arc<Mutex<Vec<String>>>),
}

impl Out {
    /// Writes one finished line of text; line breaks inside it become spaces.
    pub(crate) fn line(&self, line: &str) {
        self.write(&text_line(line));
    }

    /// Shows the bundle as the running cell's result: at its end, and the last one only.
    pub(crate) fn result(&self, bundle: &Bundle) {
        self.write(&bundle.block());
    }

    /// Shows the bundle where the cell's output has come to, or in place of what the display has shown
    /// under the same cell.
    pub(crate) fn display(&self, id: &DisplayId, bundle: &Bundle) {
        self.write(&bundle.display_line(id));
    }

    /// Writes in one go, so that lines of other threads do not fall in between.
    fn write(&self, text: &str) {
        match self {
            Self::Stdout => {
                // A closed pipe is no reason to end a training run.
                let mut stdout = io::stdout().lock();
                let _ = stdout
                    .write_all(text.as_bytes())
                    .and_then(|()| stdout.flush());
            }
            #[cfg(test)]
            Self::Memory(texts) => texts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(text.trim_end_matches('\n').to_owned()),
        }
    }
}

/// The line as evcxr reads it.
fn text_line(line: &str) -> String {
    format!("{}\n", harmless(&one_line(line)))
}

/// The text with blanks in the words that evcxr would take for messages.
fn harmless(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for message in MESSAGES {
        if text.contains(message) {
            text = Cow::Owned(text.replace(message, &message.replace('_', " ")));
        }
    }
    text
}

/// The text without line breaks and other control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_written_as_the_blocks_that_evcxr_reads() {
        let bundle = Bundle::text("two\nlines\n")
            .html("<b>x</b>")
            .picture(&Encoded::png(vec![1, 2, 3]));
        // Base64 of the bytes 1, 2, 3: 000000 010000 001000 000011 = A Q I D.
        let expected = "EVCXR_BEGIN_CONTENT text/plain\ntwo\nlines\nEVCXR_END_CONTENT\n\
                        EVCXR_BEGIN_CONTENT text/html\n<b>x</b>\nEVCXR_END_CONTENT\n\
                        EVCXR_BEGIN_CONTENT image/png\nAQID\nEVCXR_END_CONTENT\n";
        assert_eq!(bundle.block(), expected);
    }

    #[test]
    fn a_display_is_one_line_that_our_kernel_reads() {
        let bundle = Bundle::text("two\nlines")
            .html("<b>\"x\"</b>")
            .picture(&Encoded::png(vec![1, 2, 3]));
        let id = DisplayId::new();
        let line = bundle.display_line(&id);
        let json = line.strip_prefix("EVCXR_TRANSFER_DISPLAY ").unwrap();
        assert_eq!(json.find('\n'), Some(json.len() - 1));
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        let data =
            json!({"text/plain": "two\nlines", "text/html": "<b>\"x\"</b>", "image/png": "AQID"});
        assert_eq!(read, json!({"display_id": id.as_str(), "data": data}));
    }

    #[test]
    fn no_name_of_a_file_or_class_is_a_message_to_the_kernel() {
        for message in MESSAGES {
            let text = format!("a\n{message} text/html\nb");
            let block = Bundle::text(&text).html(&text).block();
            // Only the block's own marks are left.
            let own = match message {
                "EVCXR_BEGIN_CONTENT" | "EVCXR_END_CONTENT" => 2,
                _ => 0,
            };
            assert_eq!(block.matches(message).count(), own, "{block}");
            assert_eq!(
                text_line(&text),
                format!("a {} text/html b\n", message.replace('_', " "))
            );
            let line = Bundle::text(&text).display_line(&DisplayId::new());
            let own = usize::from(message == DISPLAY);
            assert_eq!(line.matches(message).count(), own, "{line}");
        }
        // What our own tables tell stays as it is.
        let line = "EVCXR_TRANSFER_OFFLINE is set";
        assert_eq!(text_line(line), format!("{line}\n"));
    }
}

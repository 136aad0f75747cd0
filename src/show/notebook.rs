//! How results reach the notebook: the only file of the crate that prints.
//!
//! evcxr reads what a cell's code prints line by line. A block `EVCXR_BEGIN_CONTENT <type>`, body,
//! `EVCXR_END_CONTENT` becomes the cell's rich result, a few other words are messages to the kernel,
//! and everything else appears as text. [`Bundle`] writes such blocks for everything that has an
//! `evcxr_display`; [`print_line`] writes text. What they are given is made harmless here, so that a
//! class or file of such a name is no message to the kernel.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What evcxr (0.22, eval_context.rs) takes for a message: the marks of a block, the cell's end, its
/// failures, and a question to the reader.
const MESSAGES: [&str; 7] = [
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
pub(crate) struct Bundle {
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

    /// Adds a picture: the bytes of a PNG file.
    pub(crate) fn png(self, png: &[u8]) -> Self {
        self.part("image/png", STANDARD.encode(png))
    }

    fn part(mut self, mime: &'static str, body: String) -> Self {
        self.parts.push((mime, body));
        self
    }

    /// Shows the bundle under the running cell.
    pub(crate) fn show(&self) {
        print(&self.block());
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
}

/// Prints one finished line of text; line breaks inside it become spaces.
pub(crate) fn print_line(line: &str) {
    print(&text_line(line));
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

/// Writes to stdout in one go, so that lines of other threads do not fall in between.
fn print(text: &str) {
    // A closed pipe is no reason to end a training run.
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_written_as_the_blocks_that_evcxr_reads() {
        let bundle = Bundle::text("two\nlines\n")
            .html("<b>x</b>")
            .png(&[1, 2, 3]);
        // Base64 of the bytes 1, 2, 3: 000000 010000 001000 000011 = A Q I D.
        let expected = "EVCXR_BEGIN_CONTENT text/plain\ntwo\nlines\nEVCXR_END_CONTENT\n\
                        EVCXR_BEGIN_CONTENT text/html\n<b>x</b>\nEVCXR_END_CONTENT\n\
                        EVCXR_BEGIN_CONTENT image/png\nAQID\nEVCXR_END_CONTENT\n";
        assert_eq!(bundle.block(), expected);
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
        }
        // What our own tables tell stays as it is.
        let line = "EVCXR_TRANSFER_OFFLINE is set";
        assert_eq!(text_line(line), format!("{line}\n"));
    }
}

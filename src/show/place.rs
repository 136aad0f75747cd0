//! [`Place`]: where work under way shows itself.

use indicatif::{ProgressBar, ProgressStyle};

use crate::show::display_id::DisplayId;
use crate::show::notebook::Bundle;
use crate::show::progress::{Progress, Way};
use crate::show::table::escaped;

/// What a place shows of work under way.
pub(crate) struct Frame<'a> {
    /// Lines that stand above the bar, where there is room for them: in a notebook.
    pub(crate) above: &'a [String],
    /// What stands beside the bar.
    pub(crate) text: &'a str,
    pub(crate) done: usize,
    pub(crate) total: Option<usize>,
}

impl Frame<'_> {
    /// As a notebook shows it.
    fn bundle(&self) -> Bundle {
        let mut above = self.above.join("\n");
        if !above.is_empty() {
            above.push('\n');
        }
        // Without a value the page moves the bar to and fro.
        let value = self.total.map_or_else(String::new, |total| {
            format!(" value=\"{}\" max=\"{}\"", self.done, total.max(1))
        });
        // Jupyter's own style would break a long line within a number.
        let html = format!(
            "<pre style=\"margin:0;word-break:normal\">{}<progress{value} style=\"width:12em\"></progress> {}</pre>",
            escaped(&above),
            escaped(self.text)
        );
        Bundle::text(&format!("{above}{}", self.text)).html(&html)
    }
}

/// A place under the cell or on the terminal, or none where finished lines follow each other.
#[derive(Debug)]
pub(crate) struct Place {
    progress: Progress,
    moving: Option<Moving>,
}

/// What moves there at the moment.
#[derive(Debug)]
enum Moving {
    Display(DisplayId),
    Bar(ProgressBar),
}

impl Place {
    pub(crate) fn new(progress: &Progress) -> Self {
        Self {
            progress: progress.clone(),
            moving: None,
        }
    }

    /// Whether only finished lines stand there, of which each stays.
    pub(crate) fn has_lines(&self) -> bool {
        self.progress.is_lines()
    }

    /// Whether something moves there that wants an end.
    pub(crate) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Shows how far the work has come.
    pub(crate) fn show(&mut self, frame: &Frame<'_>) {
        let begun = || match &self.progress.way {
            Way::Live => Some(Moving::Display(DisplayId::new())),
            Way::Bar(bars) => Some(Moving::Bar(bars.add(bar(frame.total)))),
            Way::Lines | Way::Quiet => None,
        };
        self.moving = self.moving.take().or_else(begun);
        match &self.moving {
            None => self.progress.line(frame.text),
            Some(Moving::Display(id)) => self.progress.display(id, &frame.bundle()),
            Some(Moving::Bar(bar)) => {
                bar.update(|state| {
                    state.set_pos(frame.done as u64);
                    // Steps are followed by other work: their validation.
                    if let Some(total) = frame.total {
                        state.set_len(total as u64);
                    }
                });
                bar.set_message(frame.text.to_owned());
            }
        }
    }

    /// Ends what moves there; these lines stay.
    pub(crate) fn end(&mut self, lines: &[String]) {
        match self.moving.take() {
            Some(Moving::Display(id)) => {
                let bundle = Bundle::text(&lines.join("\n"));
                return self.progress.display(&id, &bundle);
            }
            Some(Moving::Bar(bar)) => bar.finish_and_clear(),
            None => {}
        }
        for line in lines {
            self.progress.line(line);
        }
    }
}

/// A bar with our own text, cut where the terminal's line ends.
fn bar(total: Option<usize>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total as u64), "{bar:16} {wide_msg}"),
        None => (ProgressBar::no_length(), "{spinner} {wide_msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};
    use serde_json::{Map, Value};

    use super::*;

    /// A display line as the kernel reads it.
    pub(crate) struct Shown {
        pub(crate) id: String,
        pub(crate) data: Map<String, Value>,
    }

    /// The displays among what a progress has kept, in their order.
    pub(crate) fn displays(progress: &Progress) -> Vec<Shown> {
        let texts = progress.kept().into_iter();
        let found = texts.filter_map(|text| {
            let json = text.strip_prefix("EVCXR_TRANSFER_DISPLAY ")?;
            let read: Value = serde_json::from_str(json).unwrap();
            Some(Shown {
                id: read["display_id"].as_str().unwrap().to_owned(),
                data: read["data"].as_object().unwrap().clone(),
            })
        });
        found.collect()
    }

    /// A terminal of 80 columns that keeps what is written on it.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Screen(Arc<Mutex<String>>);

    impl Screen {
        pub(crate) fn written(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        /// A progress with bars on this screen.
        pub(crate) fn progress(&self) -> Progress {
            let target = ProgressDrawTarget::term_like(Box::new(self.clone()));
            Progress::bars_on(target).in_memory()
        }

        fn write(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.write(text)
        }

        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_has_its_lines_above_the_bar_and_shows_names_as_they_are() {
        let above = ["Epoch 1/3".to_owned(), "<b>".to_owned()];
        let frame = Frame {
            above: &above,
            text: "a&b",
            done: 3,
            total: None,
        };
        let mut place = Place::new(&Progress::live().in_memory());
        place.show(&frame);
        let shown = displays(&place.progress).pop().unwrap();
        assert_eq!(shown.data["text/plain"], "Epoch 1/3\n<b>\na&b");
        let html = shown.data["text/html"].as_str().unwrap();
        assert!(
            html.contains("Epoch 1/3\n&lt;b&gt;\n<progress style"),
            "{html}"
        );
        assert!(html.contains("a&amp;b</pre>"), "{html}");
        // Looked at in JupyterLab: "loss: 0.781" and "6" in the next line.
        assert!(html.contains("word-break:normal"), "{html}");
    }
}

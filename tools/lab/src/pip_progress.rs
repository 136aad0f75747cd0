//! pip's many lines about its work, condensed to a few.

use std::time::{Duration, Instant};

use checkout::say;

/// Between two lines about the same download.
const DOWNLOAD_EVERY: Duration = Duration::from_secs(5);
/// A sign of life while pip says nothing: unpacking torch takes a minute.
const SILENCE: Duration = Duration::from_secs(15);

/// What is worth saying about pip's work, at most every few seconds.
pub struct Progress {
    doing: String,
    since: Instant,
    last_line: Instant,
}

impl Progress {
    /// At the start of a run.
    pub fn new() -> Self {
        Self {
            doing: "looking packages up".to_owned(),
            since: Instant::now(),
            last_line: Instant::now(),
        }
    }

    /// Takes note of a line of pip's.
    pub fn note(&mut self, line: &str) {
        match condense(line) {
            Event::Doing { what, shown } => {
                if shown {
                    self.say(&what);
                }
                self.doing = what;
                self.since = Instant::now();
            }
            Event::Bytes { got, all } => {
                if got < all && self.last_line.elapsed() >= DOWNLOAD_EVERY {
                    let text = format!("{}: {} of {}", self.doing, say::size(got), say::size(all));
                    self.say(&text);
                }
            }
            Event::Retry => self.say("no answer from the package index, trying again"),
            Event::Nothing => {}
        }
    }

    /// Says that pip is still at it, when nothing was said for a while.
    pub fn sign_of_life(&mut self) {
        if self.last_line.elapsed() >= SILENCE {
            let text = format!("still {}, {} s", self.doing, self.since.elapsed().as_secs());
            self.say(&text);
        }
    }

    fn say(&mut self, text: &str) {
        say::line(format!("  {text}"));
        self.last_line = Instant::now();
    }
}

/// What a line of pip's means.
#[derive(Debug, PartialEq)]
enum Event {
    /// Something new has begun; `shown` if it is big enough for a line of its own.
    Doing { what: String, shown: bool },
    /// A download goes on.
    Bytes { got: u64, all: u64 },
    /// The index did not answer.
    Retry,
    /// Of no interest.
    Nothing,
}

fn condense(line: &str) -> Event {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("Progress ") {
        let mut numbers = rest.split(" of ").map(|number| number.parse().ok());
        return match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(got), Some(all)) => Event::Bytes { got, all },
            _ => Event::Nothing,
        };
    }
    for (start, doing) in [
        ("Downloading ", "downloading"),
        ("Using cached ", "taking from pip's cache"),
    ] {
        if let Some(rest) = line.strip_prefix(start) {
            let (file, size) = rest.split_once(' ').unwrap_or((rest, ""));
            // "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl" -> "torch-2.11.0"
            let file = file.rsplit('/').next().unwrap_or(file);
            let name = file.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
            return Event::Doing {
                what: format!("{doing} {name} {size}").trim_end().to_owned(),
                shown: is_big(size),
            };
        }
    }
    if let Some(names) = line.strip_prefix("Installing collected packages: ") {
        let count = names.split(", ").count();
        let plural = if count == 1 { "" } else { "s" };
        return Event::Doing {
            what: format!("unpacking {count} package{plural}"),
            shown: true,
        };
    }
    if line.starts_with("WARNING: Retrying ") {
        return Event::Retry;
    }
    Event::Nothing
}

/// Whether a size as pip writes it, "(530.6 MB)", is 20 MB or more.
fn is_big(size: &str) -> bool {
    let mut parts = size.trim_matches(['(', ')']).split(' ');
    let number: f64 = parts
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    match parts.next() {
        Some("GB") => true,
        Some("MB") => number >= 20.0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(what: &str, shown: bool) -> Event {
        Event::Doing {
            what: what.to_owned(),
            shown,
        }
    }

    #[test]
    fn lines_of_pip_are_condensed() {
        for (line, expected) in [
            (
                "  Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl (530.6 MB)",
                doing("downloading torch-2.11.0 (530.6 MB)", true),
            ),
            (
                "Using cached jupyterlab-4.6.6-py3-none-any.whl (12.4 MB)",
                doing("taking from pip's cache jupyterlab-4.6.6 (12.4 MB)", false),
            ),
            (
                "Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (29 kB)",
                doing("downloading torch-2.11.0 (29 kB)", false),
            ),
            (
                "Progress 1048576 of 530600000",
                Event::Bytes {
                    got: 1_048_576,
                    all: 530_600_000,
                },
            ),
            (
                "Installing collected packages: a, b, c",
                doing("unpacking 3 packages", true),
            ),
            (
                "Requirement already satisfied: numpy in ./x",
                Event::Nothing,
            ),
            (
                "WARNING: Retrying (Retry(total=4, connect=None)) after",
                Event::Retry,
            ),
            ("", Event::Nothing),
        ] {
            assert_eq!(condense(line), expected, "{line}");
        }
    }
}

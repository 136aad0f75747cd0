//! A running engine as its keeper has it: a process and its three pipes.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use checkout::place::Place;
use serde_json::{Value, json};

use crate::compiler;
use crate::janitor;
use crate::session::{self, Session};
use crate::sessions;
use crate::surroundings::Surroundings;

/// How much of what the engine writes to stderr is kept for the reader.
const LAST_WORDS: usize = 20_000;

/// What a spare engine has run: what makes the first cell slow, and leaves nothing behind.
const WARM_UP: &str = "{ let lab = evcxr_transfer::Lab::open()?; drop(lab.fit()); }\n\
                       let evcxr_transfer_warm_up = 0;\ndrop(evcxr_transfer_warm_up);";

/// A running engine.
pub struct Engine {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Engine {
    /// Starts it in this session.
    ///
    /// # Errors
    ///
    /// One line: the system's.
    pub fn start(place: &Place, session: &Session) -> Result<Self, String> {
        let program = place.program("engine");
        let no_engine = |error| format!("cannot start {}: {error}", program.display());
        let mut child = session
            .engine(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no_engine)?;
        session.remember_engine(child.id());
        watch(session.folder().to_owned(), child.id());
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(no_engine(io::ErrorKind::BrokenPipe.into()));
        };
        // Bounded: an engine that floods waits for its front.
        let (sender, lines) = sync_channel(100);
        forward(stdout, sender.clone(), |line| line);
        forward(stderr, sender, |line| json!({"log": line}).to_string());
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    /// Runs [`WARM_UP`]; whether that went well.
    pub fn warm_up(&mut self) -> bool {
        self.hears("ready") && self.runs(WARM_UP)
    }

    /// Runs a cell of the kernel's own; whether that went well.
    fn runs(&mut self, code: &str) -> bool {
        let request = json!({"run": code, "cell": 0});
        writeln!(self.stdin, "{request}").is_ok() && self.hears("done")
    }

    /// Waits for this word of the engine's.
    fn hears(&self, word: &str) -> bool {
        for line in &self.lines {
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            if told["failed"].is_object() {
                return false;
            }
            if told[word] == true {
                return true;
            }
        }
        false
    }

    /// Hands on what either side says, until one of them ends.
    ///
    /// # Errors
    ///
    /// The system's: the front is gone.
    pub fn serve(
        mut self,
        front: UnixStream,
        is_ready: bool,
        place: &Place,
        session: &Session,
    ) -> io::Result<()> {
        let (mut requests, mut front) = (BufReader::new(front.try_clone()?), front);
        let mut surroundings = String::new();
        requests.read_line(&mut surroundings)?;
        let wanted = Surroundings::read(&surroundings);
        sessions::name(session.folder(), wanted.notebook());
        if is_ready {
            // What the engine itself is given is not the front's to change.
            let engine = session.engine(place);
            let fixed = engine
                .get_envs()
                .map(|(name, _)| name.to_owned())
                .collect::<Vec<_>>();
            let change = Surroundings::own().change_to(&wanted, &|name| {
                // Only the engine has a temporary folder of its own.
                name != "TMPDIR" && fixed.iter().any(|fixed| *fixed == *name)
            });
            if !change.is_empty() && !self.runs(&change) {
                // The reader's next cell starts another one.
                return writeln!(
                    front,
                    "{}",
                    json!({"ended": "a spare engine did not follow"})
                );
            }
        }
        let mut stdin = self.stdin;
        let process = self.child.id();
        std::thread::spawn(move || {
            // Line by line: `io::copy` lets the system move the bytes, which may keep the last ones back.
            let mut line = Vec::new();
            while requests
                .read_until(b'\n', &mut line)
                .is_ok_and(|count| count > 0)
                && stdin.write_all(&line).is_ok()
            {
                line.clear();
            }
            // The front is gone: a cell that runs is of no use to anybody.
            janitor::stop_group(process);
        });
        if is_ready {
            writeln!(front, "{}", json!({"ready": true}))?;
        }
        let mut words = String::new();
        for line in self.lines {
            if let Some(word) = log(&line)
                && words.len() < LAST_WORDS
                && !compiler::is_progress(&word)
            {
                let _ = writeln!(words, "{word}");
            }
            writeln!(front, "{line}")?;
        }
        let how = self.child.wait()?.to_string();
        let ended = match session.is_there() {
            true => last_words(&words, &how),
            false => format!(
                "the folder of this kernel's session, {}, was removed while the kernel ran",
                session.folder().display()
            ),
        };
        let ended = json!({ "ended": ended });
        writeln!(front, "{ended}")
    }
}

/// Ends the engine when its session's folder is gone: it could build nothing more, and nobody would find it.
fn watch(folder: PathBuf, engine: u32) {
    std::thread::spawn(move || {
        while session::is_there(&folder) {
            std::thread::sleep(Duration::from_secs(1));
        }
        janitor::stop_group(engine);
    });
}

/// The line of stderr that a line to the front tells of.
fn log(line: &str) -> Option<String> {
    let told: Value = line
        .starts_with("{\"log\":")
        .then(|| serde_json::from_str(line).ok())??;
    told["log"].as_str().map(str::to_owned)
}

fn forward(
    pipe: impl io::Read + Send + 'static,
    lines: SyncSender<String>,
    told: impl Fn(String) -> String + Send + 'static,
) {
    std::thread::spawn(move || {
        // Split at bytes: a file's name in what cargo says may be no text.
        for line in BufReader::with_capacity(1 << 16, pipe)
            .split(b'\n')
            .map_while(Result::ok)
        {
            let line = String::from_utf8_lossy(&line).into_owned();
            if lines.send(told(line)).is_err() {
                break;
            }
        }
    });
}

/// Why the engine ended, for the reader of the notebook.
fn last_words(text: &str, how: &str) -> String {
    let text = text.trim();
    let ended = format!("the process that compiles and runs cells has ended ({how})");
    match compiler::remedy(text) {
        Some(remedy) => format!("{remedy}\n{ended}:\n{text}"),
        None if text.is_empty() => ended,
        None => format!("{ended}:\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_last_words_say_what_to_do_first() {
        let text = last_words("error: No space left on device\n", "exit status: 1");
        assert!(text.starts_with("the disk is full"), "{text}");
        assert!(text.contains("exit status: 1") && text.contains("No space left"));
        assert!(last_words("", "signal: 9").ends_with("(signal: 9)"));
        assert_eq!(log("{\"log\":\"a\"}").as_deref(), Some("a"));
        assert_eq!(log("{\"stdout\":\"a\"}"), None);
    }
}

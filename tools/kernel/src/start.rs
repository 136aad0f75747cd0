//! Starts an engine in a session of its own, and hears what it tells.

use std::fmt::Write as _;
use std::process::Stdio;

use checkout::place::Place;
use checkout::say;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc::Sender;

use crate::backend::Backend;
use crate::compiler;
use crate::event::Event;
use crate::publisher::Publisher;
use crate::session::Session;
use crate::template;

/// How much of what the engine writes to stderr is kept for the reader.
const LAST_WORDS: usize = 20_000;

/// Which engine is to be started, and who wants to know about it.
#[derive(Clone)]
pub struct Start {
    /// The repository.
    pub place: Place,
    /// The engine's number, in all events that come of it.
    pub number: u32,
    /// Where those go.
    pub events: Sender<Event>,
    /// Who reads what the engine tells everybody: it is not told more than they take.
    pub readers: Publisher,
}

impl Start {
    /// Starts the engine.
    pub fn begin(self) {
        tokio::spawn(async move {
            let outcome = match self.prepare().await {
                Ok(session) => self.run(session).await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                let _ = self.events.send(Event::Ended(self.number, reason)).await;
            }
        });
    }

    /// Brings the template up to date and opens a session; its copy of the template is made meanwhile.
    async fn prepare(&self) -> Result<Session, String> {
        let start = self.clone();
        let work = move || {
            let place = &start.place;
            let tell = |line: &str| {
                let event = Event::Progress(start.number, line.to_owned());
                let _ = start.events.blocking_send(event);
            };
            if !template::is_fresh(place) {
                tell(if template::exists(place) {
                    "evcxr_transfer, or what it is built with, has changed: building it for notebooks \
                     (after an edit of the crate about half a minute)"
                } else {
                    "building evcxr_transfer for notebooks, once (about four minutes)"
                });
                template::prepare(place, &tell)?;
            }
            let session = Session::open(place)?;
            session.fill(place);
            Ok(session)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| format!("the kernel could not prepare a session: {error}"))?
    }

    async fn run(&self, session: Session) -> Result<(), String> {
        let mut child = Command::from(session.engine(&self.place))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let program = self.place.program("engine");
                format!("cannot start {}: {error}", program.display())
            })?;
        if let Some(process) = child.id() {
            session.remember_engine(process);
        }
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the engine has no stdin or no stdout".to_owned());
        };
        let stderr = child.stderr.take();
        let (number, events) = (self.number, self.events.clone());
        tokio::spawn(async move {
            let mut text = String::new();
            if let Some(stderr) = stderr {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if compiler::is_progress(&line) {
                        let _ = events.send(Event::Progress(number, line)).await;
                    } else {
                        say::error(&line);
                        if text.len() < LAST_WORDS {
                            let _ = writeln!(text, "{line}");
                        }
                    }
                }
            }
            let how = match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            let reason = last_words(&text, &how);
            let _ = events.send(Event::Ended(number, reason)).await;
        });
        // Before anything that it tells.
        let started = Event::Started(self.number, Box::new(Backend::new(stdin, session)));
        let _ = self.events.send(started).await;
        let start = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                match serde_json::from_str(&line) {
                    Ok(told) => {
                        start.readers.room().await;
                        let event = Event::Told(start.number, told);
                        if start.events.send(event).await.is_err() {
                            break;
                        }
                    }
                    // evcxr's own, where somebody has switched its debugging on.
                    Err(_) => say::error(line),
                }
            }
        });
        Ok(())
    }
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

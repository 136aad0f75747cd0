//! Finds an engine, a spare one or a new one, and hears what it tells.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use checkout::place::Place;
use checkout::say;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;

use crate::backend::Backend;
use crate::compiler;
use crate::event::Event;
use crate::janitor;
use crate::keep;
use crate::publisher::Publisher;
use crate::sessions;
use crate::surroundings::Surroundings;
use crate::template;

/// What a reader is told whose cell adds a crate, before the first line of what is built again.
const BUILT_AGAIN: &str = "This cell's crates ask for more of some that evcxr_transfer stands on: those are built again, and \
                           evcxr_transfer with them. That takes minutes, once for this notebook's kernel, and variables of \
                           evcxr_transfer's types are lost, so that such a cell belongs at a notebook's start";

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
            let outcome = match self.reach().await {
                Ok((folder, engine)) => self.listen(folder, engine).await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                let _ = self.events.send(Event::Ended(self.number, reason)).await;
            }
        });
    }

    /// Finds or starts an engine that answers: its session's folder, and the way to it.
    async fn reach(&self) -> Result<(PathBuf, UnixStream), String> {
        loop {
            let (folder, is_spare) = self.prepare().await?;
            match UnixStream::connect(keep::socket(&folder)).await {
                Ok(engine) => return Ok((folder, engine)),
                // It has ended since it said that it waits; it is taken now, so that another comes, or a new one.
                Err(_) if is_spare => {}
                Err(error) => return Err(format!("the engine does not answer: {error}")),
            }
        }
    }

    /// Brings the template up to date and finds or starts an engine: its session's folder, where its socket
    /// is, and whether it waited there.
    async fn prepare(&self) -> Result<(PathBuf, bool), String> {
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
                     (after an edit of the crate about a minute)"
                } else {
                    "building evcxr_transfer for notebooks, once (about four minutes)"
                });
                template::prepare(place, &tell)?;
            }
            if let Some(folder) = keep::claim(place) {
                return Ok((folder, true));
            }
            let (folder, mut keeper) = keep::start(place)?;
            let socket = keep::socket(&folder);
            while !socket.exists() {
                if let Ok(Some(status)) = keeper.try_wait() {
                    let mut reason = String::new();
                    if let Some(mut stderr) = keeper.stderr.take() {
                        let _ = stderr.read_to_string(&mut reason);
                    }
                    return Err(match reason.trim() {
                        "" => format!("the engine could not be started ({status})"),
                        reason => reason.to_owned(),
                    });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // Its last words come over the socket from here on.
            std::thread::spawn(move || keeper.wait());
            Ok((folder, false))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| format!("the kernel could not prepare a session: {error}"))?
    }

    /// Hands on what the engine tells, until it ends.
    async fn listen(&self, folder: PathBuf, engine: UnixStream) -> Result<(), String> {
        let (engine, mut requests) = engine.into_split();
        let surroundings = format!("{}\n", Surroundings::own().line());
        requests
            .write_all(surroundings.as_bytes())
            .await
            .map_err(|error| format!("the engine does not listen: {error}"))?;
        let started = Event::Started(self.number, Box::new(Backend::new(requests, folder)));
        let _ = self.events.send(started).await;
        let mut lines = BufReader::with_capacity(1 << 16, engine).lines();
        let mut is_told = false;
        while let Ok(Some(line)) = lines.next_line().await {
            // What is no JSON is evcxr's own, where somebody has switched its debugging on.
            let told: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
            let event = if let Some(word) = told["log"].as_str() {
                if !compiler::is_progress(word) {
                    say::error(word);
                    continue;
                }
                // Once a cell, before the minutes.
                if !is_told && template::has(&self.place, word) {
                    is_told = true;
                    let cost = Event::Progress(self.number, BUILT_AGAIN.to_owned());
                    let _ = self.events.send(cost).await;
                }
                Event::Progress(self.number, word.to_owned())
            } else if let Some(why) = told["ended"].as_str() {
                return Err(why.to_owned());
            } else if told.is_object() {
                is_told &= told["done"] != true && !told["failed"].is_object();
                let coming = self.readers.room(line.len()).await;
                Event::Told(self.number, told, coming)
            } else {
                say::error(line);
                continue;
            };
            if self.events.send(event).await.is_err() {
                return Ok(());
            }
        }
        // Its keeper was killed, which would have tidied up.
        let place = self.place.clone();
        let sweep = tokio::task::spawn_blocking(move || {
            if let Ok(sessions) = sessions::folder(&place) {
                janitor::sweep(&sessions, &place.program("engine"));
            }
        });
        let _ = sweep.await;
        Err("the process that compiles and runs cells was ended".to_owned())
    }
}

//! A running engine as the front sees it: where requests go, and the session's folder.

use std::path::PathBuf;

use checkout::say;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::{Sender, channel};

use crate::stop;

/// How many requests wait for the engine at most: cells go to it one at a time, questions as they come.
const MOST: usize = 1000;

/// A running engine.
pub struct Backend {
    requests: Sender<Value>,
    /// Its session's.
    folder: PathBuf,
}

impl Backend {
    /// The engine behind this socket, in the session in `folder`.
    pub fn new(mut engine: OwnedWriteHalf, folder: PathBuf) -> Self {
        let (requests, mut waiting) = channel::<Value>(MOST);
        tokio::spawn(async move {
            while let Some(request) = waiting.recv().await {
                let line = format!("{request}\n");
                if let Err(error) = engine.write_all(line.as_bytes()).await {
                    // Its end is an event of its own.
                    say::error(format!("the engine did not take a request: {error}"));
                    break;
                }
            }
        });
        Self { requests, folder }
    }

    /// Hands a request on; `false` where too many are waiting already.
    pub fn send(&self, request: Value) -> bool {
        self.requests.try_send(request).is_ok()
    }

    /// Asks the running cell to stop; `false` if it cannot be asked.
    pub fn ask_to_stop(&self) -> bool {
        let asked = stop::ask(&stop::file(&self.folder));
        if let Err(error) = &asked {
            say::error(format!("the cell cannot be asked to stop: {error}"));
        }
        asked.is_ok()
    }

    /// Takes that back, for the next cell.
    pub fn withdraw_stop(&self) {
        if let Err(error) = stop::withdraw(&stop::file(&self.folder)) {
            say::error(format!("later cells will stop at once: {error}"));
        }
    }

    /// Ends the running cell, and with it the process that holds the variables.
    pub fn force(&self) {
        self.withdraw_stop();
        self.send(json!({"kill": true}));
    }
}

//! What happens to each message, between Jupyter and the engine.
//!
//! A message for the engine goes on to it unchanged, and its answers come back unchanged, but for what
//! [`crate::amendment`] says. While there is no engine yet, cells wait here, and the one that waits first
//! shows what is going on; when there can be none, each cell gets the reason as its error, and a later run
//! of a cell tries again. An interrupt is not handed on at once: see [`crate::stop`].
//!
//! Nothing here waits for anybody: a message that does not fit into its socket's queue is refused.

use std::path::Path;
use std::time::Duration;

use checkout::place::Place;
use checkout::say;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender};
use zeromq::ZmqMessage;

use crate::amendment::amended;
use crate::backend::Backend;
use crate::cells::Cells;
use crate::connection::Connection;
use crate::event::{self, Event};
use crate::jupyter::{Jupyter, kernel_info};
use crate::message::{Channel, Message};
use crate::spare;
use crate::start::Start;
use crate::stop::{self, Step};
use crate::template;

/// Where the engine stands.
enum Engine {
    Starting(Option<Box<Backend>>),
    Ready(Box<Backend>),
    /// Why there is none, and what the crate looked like then.
    Failed {
        reason: String,
        sources: String,
    },
}

/// Serves one notebook, until Jupyter says that it is enough.
///
/// # Errors
///
/// One line, for Jupyter's own log: the connection file or a socket cannot be used.
pub fn serve(place: Place, connection_file: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let connection = Connection::read(connection_file)?;
        let (sender, events) = event::queue();
        let jupyter = Jupyter::open(&connection, &sender)
            .await
            .map_err(|error| format!("cannot open Jupyter's sockets: {error}"))?;
        let mut front = Front {
            place,
            key: connection.key().to_owned(),
            jupyter,
            sender,
            engine: Engine::Starting(None),
            number: 0,
            cells: Cells::default(),
            stage: None,
        };
        front.start_engine();
        front.run(events).await;
        // What is put into a socket's queue leaves with the next turns of its task.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    })
}

struct Front {
    place: Place,
    key: String,
    jupyter: Jupyter,
    sender: Sender<Event>,
    engine: Engine,
    /// Engines are numbered, so that the last words of an old one are not taken for the new one's.
    number: u32,
    cells: Cells,
    /// The last line about the engine's start, for a cell that comes to wait.
    stage: Option<String>,
}

impl Front {
    async fn run(&mut self, mut events: Receiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Asked(channel, raw) => {
                    // What nobody signed is nobody's.
                    let Some(message) = self.jupyter.signer.read(&raw) else {
                        continue;
                    };
                    let is_end = message.kind() == "shutdown_request";
                    match channel {
                        Channel::Shell => self.asked(message, raw),
                        Channel::Control => self.controlled(&message, raw),
                        Channel::Stdin | Channel::Iopub => {
                            self.hand_on(Channel::Stdin, raw);
                        }
                    }
                    if is_end {
                        break;
                    }
                }
                Event::Answered(number, channel, raw) if number == self.number => {
                    self.answered(channel, raw);
                }
                Event::Progress(number, line) if number == self.number => self.progress(line),
                Event::Started(number, backend) if number == self.number => {
                    self.engine = Engine::Starting(Some(backend));
                    self.greet();
                }
                Event::Ended(number, reason) if number == self.number => self.ended(reason),
                Event::Overdue(number, cell) if number == self.number => {
                    if self.cells.overdue(&cell) {
                        self.force();
                    }
                }
                Event::Orphaned => break,
                Event::Answered(..)
                | Event::Progress(..)
                | Event::Started(..)
                | Event::Ended(..)
                | Event::Overdue(..) => {}
            }
        }
        // The janitor stops the engine and removes the session's folder.
    }

    fn start_engine(&mut self) {
        self.number += 1;
        self.stage = None;
        self.engine = Engine::Starting(None);
        Start {
            place: self.place.clone(),
            key: self.key.clone(),
            number: self.number,
            events: self.sender.clone(),
            readers: self.jupyter.iopub.clone(),
        }
        .begin();
    }

    /// A request of our own, whose answer stops here.
    fn own_request(&self, kind: &str) -> Option<ZmqMessage> {
        self.jupyter.signer.write(&[], kind, &json!({}), &json!({}))
    }

    /// The engine answers this question when it has loaded everything.
    fn greet(&self) {
        let question = self.own_request("kernel_info_request");
        if let (Engine::Starting(Some(backend)), Some(question)) = (&self.engine, question) {
            backend.send(Channel::Shell, question);
        }
    }

    /// Sends the engine a message; `false` if it cannot take it.
    fn hand_on(&self, channel: Channel, raw: ZmqMessage) -> bool {
        matches!(&self.engine, Engine::Ready(backend) if backend.send(channel, raw))
    }

    fn asked(&mut self, message: Message, raw: ZmqMessage) {
        if self.jupyter.knows(&message) {
            return;
        }
        let is_cell = message.is_cell();
        if let Engine::Failed { reason, sources } = &self.engine {
            // Completion and help: nobody has to wait for them. And the same crate fails the same way,
            // anything else may have been mended.
            let is_same = || !sources.is_empty() && template::sources(&self.place) == *sources;
            if !is_cell || is_same() {
                self.jupyter.fail(&message, reason);
                return;
            }
            self.start_engine();
        }
        if self.cells.is_full() {
            let reason = "too many cells are waiting; run it again when they are done";
            self.jupyter.fail(&message, reason);
            return;
        }
        match &self.engine {
            Engine::Ready(_) => self.hand_over(message, raw),
            _ => self.wait(message, raw),
        }
    }

    /// Gives the engine a cell to run, or a question to answer.
    fn hand_over(&mut self, message: Message, raw: ZmqMessage) {
        if !self.hand_on(Channel::Shell, raw) {
            let reason = "the process that compiles and runs cells takes no more messages now";
            self.jupyter.fail(&message, reason);
        } else if message.is_cell() {
            self.cells.run(message);
        }
    }

    fn controlled(&mut self, message: &Message, raw: ZmqMessage) {
        let (control, jupyter) = (Channel::Control, &self.jupyter);
        match message.kind() {
            "kernel_info_request" => jupyter.reply(control, message, &kernel_info()),
            "shutdown_request" => {
                let restart = message.content["restart"].as_bool().unwrap_or(false);
                let content = json!({"status": "ok", "restart": restart});
                jupyter.reply(control, message, &content);
            }
            "interrupt_request" if !matches!(self.engine, Engine::Ready(_)) => {
                jupyter.reply(control, message, &json!({"status": "ok"}));
                self.fail_waiting("interrupted before the kernel was ready");
            }
            "interrupt_request" => self.interrupted(message),
            _ => {
                self.hand_on(control, raw);
            }
        }
    }

    /// Asks the running cell to stop, or ends it if it has been asked before.
    fn interrupted(&mut self, message: &Message) {
        // Without "busy" and "idle": the cell goes on, and Jupyter would show a kernel at rest.
        let content = json!({"status": "ok"});
        self.jupyter.answer(Channel::Control, message, &content);
        // Where none runs, there is nothing to stop: evcxr would end the process with the variables all
        // the same.
        match self.cells.interrupted() {
            Some((cell, Step::Ask)) => self.ask(&cell),
            Some((_, Step::Force)) => self.force(),
            None => {}
        }
    }

    fn ask(&self, cell: &Value) {
        let is_asked = matches!(&self.engine, Engine::Ready(backend) if backend.ask_to_stop());
        if is_asked {
            self.jupyter.print(cell, &stop::line());
        }
        // Nobody has to wait for a cell that does not know.
        let patience = if is_asked {
            stop::PATIENCE
        } else {
            Duration::ZERO
        };
        let overdue = Event::Overdue(self.number, cell["msg_id"].clone());
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            let _ = sender.send(overdue).await;
        });
    }

    /// Has the engine end the running cell, and with it the process that holds the variables.
    fn force(&self) {
        // Jupyter has had an answer for each request of its own.
        let request = self.own_request("interrupt_request");
        if let (Engine::Ready(backend), Some(request)) = (&self.engine, request) {
            backend.withdraw_stop();
            backend.send(Channel::Control, request);
        }
    }

    fn answered(&mut self, channel: Channel, raw: ZmqMessage) {
        let Some(message) = self.jupyter.signer.read(&raw) else {
            return;
        };
        if self.jupyter.signer.wrote(&message.parent) {
            if message.kind() == "kernel_info_reply" {
                self.ready();
            }
            return;
        }
        if message.kind() == "execute_reply" {
            // Before the next cell runs: evcxr has to compile even one that has waited.
            if self.cells.ended(&message.parent["msg_id"])
                && let Engine::Ready(backend) = &self.engine
            {
                backend.withdraw_stop();
            }
        }
        let changed = amended(&message);
        let changed = changed.and_then(|content| self.jupyter.signer.with_content(&raw, &content));
        self.jupyter.send(channel, changed.unwrap_or(raw));
    }

    fn ready(&mut self) {
        if let Engine::Starting(backend) = &mut self.engine
            && let Some(backend) = backend.take()
        {
            self.engine = Engine::Ready(backend);
        }
        self.stage = None;
        // For the next notebook, when this one's reader has had the first answers.
        let place = self.place.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(15));
            spare::make(&place);
        });
        for (message, raw) in self.cells.take_waiting() {
            self.hand_over(message, raw);
        }
    }

    /// Keeps a message until the engine is there; the first cell that waits shows why.
    fn wait(&mut self, message: Message, raw: ZmqMessage) {
        let is_first_cell = message.is_cell() && self.cells.first_waiting().is_none();
        if message.is_cell() {
            let busy = json!({"execution_state": "busy"});
            self.jupyter.publish("status", &message.header, &busy);
        }
        if is_first_cell && let Some(stage) = &self.stage {
            self.jupyter.print(&message.header, stage);
        }
        self.cells.wait(message, raw);
    }

    fn progress(&mut self, line: String) {
        match self.cells.running().or_else(|| self.cells.first_waiting()) {
            Some(cell) => self.jupyter.print(&cell.header, &line),
            None => say::error(&line),
        }
        self.stage = Some(line);
    }

    fn ended(&mut self, reason: String) {
        // Only a crate that does not compile stays as it is until somebody mends it.
        let sources = if reason.contains("does not compile") {
            template::sources(&self.place)
        } else {
            String::new()
        };
        say::error(&reason);
        for cell in self.cells.take_running() {
            let lost = format!(
                "{reason}\nThe variables are lost; the next cell starts a new engine, so run the notebook \
                 from its start"
            );
            self.jupyter.fail(&cell, &lost);
        }
        self.fail_waiting(&reason);
        self.engine = Engine::Failed { reason, sources };
    }

    fn fail_waiting(&mut self, reason: &str) {
        for (message, _) in self.cells.take_waiting() {
            if message.is_cell() {
                self.jupyter.fail(&message, reason);
            }
        }
    }
}

//! What happens to each message, between Jupyter and the engine.
//!
//! Cells go to the engine one at a time; what it tells of them becomes Jupyter's messages. While there is no
//! engine yet, the first cell shows what is going on; when there can be none, each cell gets the reason as its
//! error, and a later run of a cell tries again. Cells that wait behind one that failed or was stopped are not
//! run, as Jupyter's own rule has it. An interrupt is not handed on at once: see [`crate::stop`].
//!
//! Nothing here waits for anybody: a message that does not fit into its socket's queue is refused.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use checkout::place::Place;
use checkout::say;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender};
use zeromq::ZmqMessage;

use crate::backend::Backend;
use crate::cells::Cells;
use crate::completeness;
use crate::connection::Connection;
use crate::density;
use crate::event::{self, Event};
use crate::history::History;
use crate::jupyter::{Jupyter, kernel_info};
use crate::keep;
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
        /// Variables were lost with it, while no cell ran that could have said so.
        is_untold: bool,
    },
}

/// What a reader is told with the reason why an engine has ended that had variables.
const LOST: &str = "\nThe variables are lost; the next cell starts a new engine, so run the notebook from its start";

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
            jupyter,
            sender,
            engine: Engine::Starting(None),
            number: 0,
            has_run: false,
            cells: Cells::default(),
            questions: HashMap::new(),
            history: History::default(),
            stage: None,
            last: json!({}),
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
    jupyter: Jupyter,
    sender: Sender<Event>,
    engine: Engine,
    /// Engines are numbered, so that the last words of an old one are not taken for the new one's.
    number: u32,
    /// Whether the engine has run a cell, and so may have variables.
    has_run: bool,
    cells: Cells,
    /// Completion and help that the engine has been asked for, by their number.
    questions: HashMap<String, Message>,
    history: History,
    /// The last line about the engine's start, for a cell that comes to wait.
    stage: Option<String>,
    /// The header of the last cell, under which a thread that outlives it prints.
    last: Value,
}

impl Front {
    async fn run(&mut self, mut events: Receiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Asked(channel, raw) => {
                    if self.asked(channel, &raw) {
                        break;
                    }
                }
                Event::Told(number, told, _coming) if number == self.number => self.told(told),
                Event::Progress(number, line) if number == self.number => self.progress(line),
                Event::Started(number, backend) if number == self.number => {
                    self.engine = Engine::Starting(Some(backend));
                }
                Event::Ended(number, reason) if number == self.number => self.ended(reason),
                Event::Overdue(number, cell) if number == self.number => {
                    if self.cells.overdue(&cell) {
                        self.force();
                    }
                }
                Event::Orphaned => break,
                Event::Told(..)
                | Event::Progress(..)
                | Event::Started(..)
                | Event::Ended(..)
                | Event::Overdue(..) => {}
            }
        }
        // The keeper stops the engine and removes the session's folder.
    }

    fn start_engine(&mut self) {
        self.number += 1;
        self.has_run = false;
        self.stage = None;
        self.engine = Engine::Starting(None);
        Start {
            place: self.place.clone(),
            number: self.number,
            events: self.sender.clone(),
            readers: self.jupyter.iopub.clone(),
        }
        .begin();
    }

    /// A message from Jupyter; whether it is the last one.
    fn asked(&mut self, channel: Channel, raw: &ZmqMessage) -> bool {
        // What nobody signed is nobody's.
        let Some(message) = self.jupyter.signer.read(raw) else {
            return false;
        };
        let reply = |content: Value| self.jupyter.reply(channel, &message, &content);
        match message.kind() {
            "execute_request" => self.cell(message),
            "complete_request" | "inspect_request" => self.question(message),
            "interrupt_request" => self.interrupted(&message),
            "shutdown_request" => {
                let restart = message.content["restart"] == true;
                reply(json!({"status": "ok", "restart": restart}));
                return true;
            }
            "kernel_info_request" => reply(kernel_info()),
            "is_complete_request" => {
                let code = message.content["code"].as_str().unwrap_or_default();
                reply(completeness::reply(code));
            }
            "history_request" => reply(self.history.reply(&message.content)),
            // There are no widgets here.
            "comm_info_request" => reply(json!({"status": "ok", "comms": {}})),
            "comm_open" => {
                let content = json!({"comm_id": message.content["comm_id"], "data": {}});
                self.jupyter.state(&message.header, "busy");
                self.jupyter
                    .publish("comm_close", &message.header, &content);
                self.jupyter.state(&message.header, "idle");
            }
            kind if kind.ends_with("_request") => {
                let mut content = failure(&format!("this kernel knows no {kind}"));
                content["status"] = json!("error");
                reply(content);
            }
            // Of a comm that there is not, or an answer to a question that nobody has asked.
            _ => {
                self.jupyter.state(&message.header, "busy");
                self.jupyter.state(&message.header, "idle");
            }
        }
        false
    }

    /// Sends the engine a request; `false` if it cannot take it.
    fn hand_on(&self, request: Value) -> bool {
        matches!(&self.engine, Engine::Ready(backend) if backend.send(request))
    }

    fn cell(&mut self, message: Message) {
        if let Engine::Failed {
            reason,
            sources,
            is_untold,
        } = &mut self.engine
        {
            // The same crate fails the same way, anything else may have been mended.
            let is_same = !sources.is_empty() && template::sources(&self.place) == *sources;
            if std::mem::take(is_untold) || is_same {
                let reason = reason.clone();
                self.cells.wait(message);
                self.fail_all(&reason);
                return;
            }
            self.start_engine();
        }
        if self.cells.is_full() {
            let reason = "too many cells are waiting; run it again when they are done";
            self.jupyter
                .reply(Channel::Shell, &message, &failed(&failure(reason), 0));
            return;
        }
        self.cells.wait(message);
        self.advance();
    }

    /// Has the cell run that is the next one, as soon as there is an engine.
    fn advance(&mut self) {
        if let Some(cell) = self.cells.advance() {
            self.last = cell.message.header.clone();
            self.jupyter.state(&self.last, "busy");
            if !cell.is_silent() {
                let input = json!({"code": cell.code(), "execution_count": cell.number});
                self.jupyter.publish("execute_input", &self.last, &input);
            }
            if cell.is_counted() {
                self.history.add(cell.number, cell.code());
            }
            if let Some(stage) = &self.stage {
                self.jupyter.print(&self.last, stage);
            }
        }
        let Engine::Ready(backend) = &self.engine else {
            return;
        };
        if let Some(cell) = self.cells.current()
            && !cell.is_handed_over
        {
            cell.is_handed_over = backend.send(json!({"run": cell.code(), "cell": cell.number}));
            self.has_run |= cell.is_handed_over;
        }
    }

    /// Completion and help: nobody waits for an engine that is not there.
    fn question(&mut self, message: Message) {
        let (code, cursor) = (&message.content["code"], &message.content["cursor_pos"]);
        let (key, nothing) = match message.kind() {
            "inspect_request" => ("inspect", json!({"found": false, "data": {}})),
            _ => (
                "complete",
                json!({"matches": [], "cursor_start": cursor, "cursor_end": cursor}),
            ),
        };
        let request = json!({key: code, "cursor": cursor, "id": message.id()});
        if self.hand_on(request) {
            self.questions.insert(message.id().to_owned(), message);
        } else {
            let mut content = nothing;
            (content["status"], content["metadata"]) = (json!("ok"), json!({}));
            self.jupyter.reply(Channel::Shell, &message, &content);
        }
    }

    /// Asks the running cell to stop, or ends it if it has been asked before.
    fn interrupted(&mut self, message: &Message) {
        // Without "busy" and "idle": the cell goes on, and Jupyter would show a kernel at rest.
        self.jupyter
            .answer(Channel::Control, message, &json!({"status": "ok"}));
        if !matches!(self.engine, Engine::Ready(_)) {
            self.fail_all("interrupted before the kernel was ready");
            return;
        }
        // Where none runs, there is nothing to stop.
        match self.cells.interrupted() {
            Some((cell, Step::Ask)) => self.ask(&cell),
            Some((_, Step::Force)) => self.force(),
            None => {}
        }
    }

    fn ask(&mut self, cell: &Value) {
        let is_asked = matches!(&self.engine, Engine::Ready(backend) if backend.ask_to_stop());
        if is_asked {
            self.show(json!({"display": {"text/plain": stop::line()}, "id": stop::DISPLAY}));
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

    /// Ends the running cell, and with it the process that holds the variables.
    fn force(&self) {
        if let Engine::Ready(backend) = &self.engine {
            backend.force();
        }
    }

    /// What the engine tells.
    fn told(&mut self, told: Value) {
        if told["ready"] == true {
            self.ready();
        } else if let Some(question) = told["id"].as_str().and_then(|id| self.questions.remove(id))
        {
            self.jupyter
                .reply(Channel::Shell, &question, &told["answer"]);
        } else if told["done"] == true {
            self.done(None, false);
        } else if told["failed"].is_object() {
            self.done(Some(&told["failed"]), told["is_end"] == true);
        } else {
            self.show(told);
        }
    }

    /// Shows what a cell prints or gives.
    fn show(&mut self, mut told: Value) {
        for name in ["stdout", "stderr"] {
            if let Some(text) = told[name].as_str() {
                self.jupyter.stream(&self.last, name, text);
                return;
            }
        }
        let cell = self.cells.current();
        let mut content = json!({"metadata": {}});
        if told["result"].is_object() {
            let Some(cell) = cell.filter(|cell| !cell.is_silent()) else {
                return;
            };
            content["data"] = told["result"].take();
            content["execution_count"] = json!(cell.number);
            density::tell_width(&mut content);
            self.jupyter.publish("execute_result", &self.last, &content);
        } else if told["display"].is_object() {
            content["data"] = told["display"].take();
            content["transient"] = json!({});
            density::tell_width(&mut content);
            let mut is_update = false;
            if let (Some(id), Some(cell)) = (told["id"].as_str(), cell) {
                let (name, is_known) = cell.display(id);
                content["transient"] = json!({"display_id": name});
                is_update = is_known;
            }
            let kind = match is_update {
                true => "update_display_data",
                false => "display_data",
            };
            self.jupyter.publish(kind, &self.last, &content);
        }
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
            keep::start_spare(&place);
        });
        self.advance();
    }

    /// The current cell has ended, with this error if it has failed, and perhaps the variables with it.
    fn done(&mut self, failure: Option<&Value>, is_end: bool) {
        let cell = self.cells.current();
        if cell.is_some_and(|cell| cell.has_shown(stop::DISPLAY)) {
            let line = if is_end { stop::FORCED } else { stop::STOPPED };
            self.show(json!({"display": {"text/plain": line}, "id": stop::DISPLAY}));
        }
        let Some((cell, was_interrupted)) = self.cells.end() else {
            return;
        };
        if was_interrupted && let Engine::Ready(backend) = &self.engine {
            backend.withdraw_stop();
        }
        let (question, number) = (&cell.message, cell.number);
        let content = match failure {
            None => json!({
                "status": "ok",
                "execution_count": number,
                "user_expressions": {},
                "payload": [],
            }),
            Some(failure) => {
                self.jupyter.publish("error", &question.header, failure);
                failed(failure, number)
            }
        };
        self.jupyter.answer(Channel::Shell, question, &content);
        self.jupyter.state(&question.header, "idle");
        if was_interrupted || failure.is_some() && cell.stops_on_error() {
            for message in self.cells.take_waiting() {
                self.jupyter
                    .reply(Channel::Shell, &message, &json!({"status": "aborted"}));
            }
        }
        self.advance();
    }

    fn progress(&mut self, line: String) {
        match self.cells.current() {
            Some(cell) => self.jupyter.print(&cell.message.header, &line),
            None => say::error(&line),
        }
        self.stage = Some(line);
    }

    /// The engine is gone.
    fn ended(&mut self, reason: String) {
        // Only a crate that does not compile stays as it is until somebody mends it.
        let sources = if reason.contains("does not compile") {
            template::sources(&self.place)
        } else {
            String::new()
        };
        say::error(&reason);
        let reason = reason + if self.has_run { LOST } else { "" };
        self.engine = Engine::Failed {
            reason: reason.clone(),
            sources,
            is_untold: self.has_run && self.cells.current().is_none(),
        };
        self.fail_all(&reason);
        for (_, question) in self.questions.drain() {
            self.jupyter
                .reply(Channel::Shell, &question, &json!({"status": "error"}));
        }
    }

    /// Ends all cells with the reason why they are not run.
    fn fail_all(&mut self, reason: &str) {
        self.advance();
        while self.cells.current().is_some() {
            self.done(Some(&failure(reason)), true);
        }
    }
}

/// An error of the kernel's own.
fn failure(reason: &str) -> Value {
    json!({
        "ename": "Error",
        "evalue": reason.lines().next().unwrap_or_default(),
        "traceback": reason.lines().collect::<Vec<_>>(),
    })
}

/// The reply to a cell that has failed.
fn failed(failure: &Value, number: u64) -> Value {
    let mut content = failure.clone();
    (content["status"], content["execution_count"]) = (json!("error"), json!(number));
    content
}

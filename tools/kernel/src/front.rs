//! The side that Jupyter sees: five sockets, and what happens to each message.
//!
//! A message for the engine goes on to it unchanged, and its answers come back unchanged, but for the
//! cells' numbers, which evcxr starts at 2, and the widths of pictures ([`crate::density`]). While there is no engine yet, cells wait here, and the one
//! that waits first shows what is going on; when there can be none, each cell gets the reason as its
//! error, and a later run of a cell tries again. An interrupt is not handed on at once: see
//! [`crate::stop`].

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{PubSocket, RepSocket, RouterSendHalf, RouterSocket, Socket, SocketRecv, SocketSend};
use zeromq::{ZmqMessage, ZmqResult};

use crate::backend::{Backend, Channel};
use crate::density;
use crate::message::{Message, Signer};
use crate::place::Place;
use crate::seed;
use crate::session::say;
use crate::spare;
use crate::stop::{self, Step, Stop};

/// What can happen, from either side.
pub enum Event {
    /// Jupyter has sent something.
    Asked(Channel, ZmqMessage),
    /// The engine of this number has sent something.
    Answered(u32, Channel, ZmqMessage),
    /// What the engine of this number is being waited for: one line.
    Progress(u32, String),
    /// The engine of this number runs, and can soon be asked.
    Started(u32, Box<Backend>),
    /// The engine of this number is gone or could not be started, and why.
    Ended(u32, String),
    /// The time is over in which the cell with this number, on the engine of that number, could stop
    /// by itself.
    Overdue(u32, Value),
    /// Jupyter itself is gone.
    Orphaned,
}

/// Where the engine stands.
enum Engine {
    Starting(Option<Box<Backend>>),
    Ready(Box<Backend>),
    /// Why there is none, and what the crate looked like then.
    Failed {
        reason: String,
        stamp: String,
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
        let (sender, events) = unbounded_channel();
        let mut front = Front::open(place, &connection, sender)
            .await
            .map_err(|error| format!("cannot open Jupyter's sockets: {error}"))?;
        front.run(events).await;
        Ok(())
    })
}

/// What the connection file says.
pub struct Connection {
    /// Addresses by the name of their channel.
    content: Value,
}

impl Connection {
    fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        serde_json::from_str(&text)
            .map(|content| Self { content })
            .map_err(|error| format!("{} is not a connection file: {error}", file.display()))
    }

    fn endpoint(&self, port: &str) -> String {
        let text = |key: &str| self.content[key].as_str().unwrap_or_default().to_owned();
        format!(
            "{}://{}:{}",
            text("transport"),
            text("ip"),
            self.content[port]
        )
    }

    fn key(&self) -> &str {
        self.content["key"].as_str().unwrap_or_default()
    }
}

struct Front {
    place: Place,
    key: String,
    signer: Signer,
    iopub: PubSocket,
    shell: RouterSendHalf,
    control: RouterSendHalf,
    stdin: RouterSendHalf,
    sender: UnboundedSender<Event>,
    engine: Engine,
    /// Engines are numbered, so that the last words of an old one are not taken for the new one's.
    number: u32,
    /// Messages that wait for the engine.
    waiting: VecDeque<(Message, ZmqMessage)>,
    /// Cells that the engine has and that are not answered yet.
    running: VecDeque<Message>,
    /// What interrupts have done to the first of them.
    stop: Stop,
    /// The last line about the engine's start, for a cell that comes to wait.
    stage: Option<String>,
}

impl Front {
    async fn open(
        place: Place,
        connection: &Connection,
        sender: UnboundedSender<Event>,
    ) -> ZmqResult<Self> {
        let mut heartbeat = RepSocket::new();
        heartbeat.bind(&connection.endpoint("hb_port")).await?;
        tokio::spawn(async move {
            while let Ok(message) = heartbeat.recv().await {
                if heartbeat.send(message).await.is_err() {
                    break;
                }
            }
        });
        let mut iopub = PubSocket::new();
        iopub.bind(&connection.endpoint("iopub_port")).await?;
        let mut routers = Vec::new();
        for (channel, port) in [
            (Channel::Shell, "shell_port"),
            (Channel::Control, "control_port"),
            (Channel::Stdin, "stdin_port"),
        ] {
            let mut router = RouterSocket::new();
            router.bind(&connection.endpoint(port)).await?;
            let (half, mut incoming) = router.split();
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Ok(message) = incoming.recv().await {
                    if sender.send(Event::Asked(channel, message)).is_err() {
                        break;
                    }
                }
            });
            routers.push(half);
        }
        let orphaned = sender.clone();
        tokio::spawn(async move {
            // A server that was killed cannot stop its kernels.
            let parent = std::os::unix::process::parent_id();
            while std::os::unix::process::parent_id() == parent {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let _ = orphaned.send(Event::Orphaned);
        });
        let (Some(stdin), Some(control), Some(shell)) =
            (routers.pop(), routers.pop(), routers.pop())
        else {
            return Err(zeromq::ZmqError::NoMessage);
        };
        let mut front = Self {
            place,
            key: connection.key().to_owned(),
            signer: Signer::new(connection.key()),
            iopub,
            shell,
            control,
            stdin,
            sender,
            engine: Engine::Starting(None),
            number: 0,
            waiting: VecDeque::new(),
            running: VecDeque::new(),
            stop: Stop::default(),
            stage: None,
        };
        front.start_engine();
        Ok(front)
    }

    async fn run(&mut self, mut events: UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Asked(channel, raw) => {
                    // What nobody signed is nobody's.
                    let Some(message) = self.signer.read(&raw) else {
                        continue;
                    };
                    let is_end = message.kind() == "shutdown_request";
                    match channel {
                        Channel::Shell => self.asked(message, raw).await,
                        Channel::Control => self.controlled(message, raw).await,
                        Channel::Stdin | Channel::Iopub => {
                            if let Engine::Ready(backend) = &mut self.engine {
                                backend.send(Channel::Stdin, raw).await;
                            }
                        }
                    }
                    if is_end {
                        break;
                    }
                }
                Event::Answered(number, channel, raw) if number == self.number => {
                    self.answered(channel, raw).await;
                }
                Event::Progress(number, line) if number == self.number => {
                    self.progress(line).await;
                }
                Event::Started(number, backend) if number == self.number => {
                    self.engine = Engine::Starting(Some(backend));
                    self.greet().await;
                }
                Event::Ended(number, reason) if number == self.number => self.ended(reason).await,
                Event::Overdue(number, cell) if number == self.number => {
                    if self.stop.overdue(&cell) {
                        self.force().await;
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
        Backend::start(
            self.place.clone(),
            self.key.clone(),
            self.number,
            self.sender.clone(),
        );
    }

    /// The engine answers this question when it has loaded everything.
    async fn greet(&mut self) {
        let question = self
            .signer
            .write(&[], "kernel_info_request", &json!({}), &json!({}));
        if let (Engine::Starting(Some(backend)), Some(question)) = (&mut self.engine, question) {
            backend.send(Channel::Shell, question).await;
        }
    }

    async fn asked(&mut self, message: Message, raw: ZmqMessage) {
        match message.kind() {
            "kernel_info_request" => self.reply(Channel::Shell, &message, &kernel_info()).await,
            // evcxr leaves these two without an answer, for which some clients wait.
            "comm_info_request" => {
                let none = json!({"status": "ok", "comms": {}});
                self.reply(Channel::Shell, &message, &none).await;
            }
            "history_request" => {
                let none = json!({"status": "ok", "history": []});
                self.reply(Channel::Shell, &message, &none).await;
            }
            kind => {
                let is_cell = kind == "execute_request";
                if let Engine::Failed { reason, stamp } = &self.engine {
                    // The same crate fails the same way; anything else may have been mended.
                    let hopeless =
                        !stamp.is_empty() && is_cell && seed::stamp(&self.place) == *stamp;
                    if hopeless {
                        let reason = reason.clone();
                        self.fail(&message, &reason).await;
                        return;
                    }
                    if !is_cell {
                        // Completion and help: nobody has to wait for them.
                        let error = failure(reason);
                        self.reply(Channel::Shell, &message, &error).await;
                        return;
                    }
                    self.start_engine();
                }
                match &mut self.engine {
                    Engine::Ready(backend) => {
                        backend.send(Channel::Shell, raw).await;
                        if is_cell {
                            self.running.push_back(message);
                        }
                    }
                    _ => self.wait(message, raw).await,
                }
            }
        }
    }

    async fn controlled(&mut self, message: Message, raw: ZmqMessage) {
        match message.kind() {
            "kernel_info_request" => self.reply(Channel::Control, &message, &kernel_info()).await,
            "shutdown_request" => {
                let restart = message.content["restart"].as_bool().unwrap_or(false);
                let content = json!({"status": "ok", "restart": restart});
                self.reply(Channel::Control, &message, &content).await;
                // What is written to a socket leaves with the next turn of its task.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            "interrupt_request" if !matches!(self.engine, Engine::Ready(_)) => {
                self.reply(Channel::Control, &message, &json!({"status": "ok"}))
                    .await;
                self.fail_waiting("interrupted before the kernel was ready")
                    .await;
            }
            "interrupt_request" => self.interrupted(&message).await,
            _ => {
                if let Engine::Ready(backend) = &mut self.engine {
                    backend.send(Channel::Control, raw).await;
                }
            }
        }
    }

    /// Asks the running cell to stop, or ends it if it has been asked before.
    async fn interrupted(&mut self, message: &Message) {
        // Without "busy" and "idle": the cell goes on, and Jupyter would show a kernel at rest.
        self.answer(Channel::Control, message, &json!({"status": "ok"}))
            .await;
        // evcxr runs cells in their order. Where none runs, there is nothing to stop: evcxr would end
        // the process with the variables all the same.
        let Some(cell) = self.running.front().map(|cell| cell.header.clone()) else {
            return;
        };
        match self.stop.interrupted(&cell["msg_id"]) {
            Step::Ask => self.ask(&cell).await,
            Step::Force => self.force().await,
        }
    }

    async fn ask(&mut self, cell: &Value) {
        let is_asked = matches!(&self.engine, Engine::Ready(backend) if backend.ask_to_stop());
        let overdue = Event::Overdue(self.number, cell["msg_id"].clone());
        if !is_asked {
            // Nobody has to wait for a cell that does not know.
            let _ = self.sender.send(overdue);
            return;
        }
        self.print(cell, &stop::line()).await;
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(stop::PATIENCE).await;
            let _ = sender.send(overdue);
        });
    }

    /// Has the engine end the running cell, and with it the process that holds the variables.
    async fn force(&mut self) {
        // Our own request, whose answer stops here: Jupyter has had one for each of its own.
        let request = self
            .signer
            .write(&[], "interrupt_request", &json!({}), &json!({}));
        if let (Engine::Ready(backend), Some(request)) = (&mut self.engine, request) {
            backend.withdraw_stop();
            backend.send(Channel::Control, request).await;
        }
    }

    async fn answered(&mut self, channel: Channel, raw: ZmqMessage) {
        let Some(message) = self.signer.read(&raw) else {
            return;
        };
        if self.signer.wrote(&message.parent) {
            if message.kind() == "kernel_info_reply" {
                self.ready().await;
            }
            return;
        }
        if message.kind() == "execute_reply" {
            let cell = &message.parent["msg_id"];
            self.running
                .retain(|running| running.header["msg_id"] != *cell);
            // Before the next cell runs: evcxr has to compile even one that has waited.
            if self.stop.ended(cell)
                && let Engine::Ready(backend) = &self.engine
            {
                backend.withdraw_stop();
            }
        }
        let raw = self.amended(&message).unwrap_or(raw);
        let sent = match channel {
            Channel::Shell => self.shell.send(raw).await,
            Channel::Control => self.control.send(raw).await,
            Channel::Stdin => self.stdin.send(raw).await,
            Channel::Iopub => self.iopub.send(raw).await,
        };
        if let Err(error) = sent {
            say(&format!("a message was lost: {error}"));
        }
    }

    /// The message with the cell's number as Jupyter counts, evcxr calls the first one 2; and with the width
    /// of a fine picture. `None` if there is nothing to change.
    fn amended(&self, message: &Message) -> Option<ZmqMessage> {
        let (is_numbered, may_show) = match message.kind() {
            "execute_result" => (true, true),
            "execute_input" | "execute_reply" => (true, false),
            "display_data" => (false, true),
            _ => return None,
        };
        let mut content = message.content.clone();
        let number = content["execution_count"].as_u64();
        let number = number.filter(|_| is_numbered);
        if let Some(number) = number {
            content["execution_count"] = Value::from(number.saturating_sub(1));
        }
        let has_width = may_show && density::tell_width(&mut content);
        if number.is_none() && !has_width {
            return None;
        }
        self.signer.write(
            &message.identities,
            message.kind(),
            &message.parent,
            &content,
        )
    }

    async fn ready(&mut self) {
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
        for (message, raw) in std::mem::take(&mut self.waiting) {
            if let Engine::Ready(backend) = &mut self.engine {
                backend.send(Channel::Shell, raw).await;
            }
            if message.kind() == "execute_request" {
                self.running.push_back(message);
            }
        }
    }

    /// Keeps a message until the engine is there; the first cell that waits shows why.
    async fn wait(&mut self, message: Message, raw: ZmqMessage) {
        let is_first_cell = message.kind() == "execute_request"
            && !self
                .waiting
                .iter()
                .any(|(m, _)| m.kind() == "execute_request");
        if message.kind() == "execute_request" {
            let busy = json!({"execution_state": "busy"});
            self.publish("status", &message.header, &busy).await;
        }
        let header = message.header.clone();
        self.waiting.push_back((message, raw));
        if is_first_cell && let Some(stage) = self.stage.clone() {
            self.print(&header, &stage).await;
        }
    }

    async fn progress(&mut self, line: String) {
        let cell = self
            .running
            .front()
            .or_else(|| {
                self.waiting
                    .iter()
                    .map(|(message, _)| message)
                    .find(|message| message.kind() == "execute_request")
            })
            .map(|message| message.header.clone());
        match cell {
            Some(header) => self.print(&header, &line).await,
            None => say(&line),
        }
        self.stage = Some(line);
    }

    async fn ended(&mut self, reason: String) {
        // Only a crate that does not compile stays as it is until somebody mends it.
        let stamp = if reason.contains("does not compile") {
            seed::stamp(&self.place)
        } else {
            String::new()
        };
        say(&reason);
        self.stop = Stop::default();
        for cell in std::mem::take(&mut self.running) {
            let lost = format!(
                "{reason}\nThe variables are lost; the next cell starts a new engine, so run the notebook \
                 from its start"
            );
            self.fail(&cell, &lost).await;
        }
        self.engine = Engine::Failed {
            reason: reason.clone(),
            stamp,
        };
        self.fail_waiting(&reason).await;
    }

    async fn fail_waiting(&mut self, reason: &str) {
        for (message, _) in std::mem::take(&mut self.waiting) {
            if message.kind() == "execute_request" {
                self.fail(&message, reason).await;
            }
        }
    }

    /// Ends a cell with an error.
    async fn fail(&mut self, cell: &Message, reason: &str) {
        let first = reason.lines().next().unwrap_or_default();
        let error = json!({
            "ename": "Error",
            "evalue": first,
            "traceback": reason.lines().collect::<Vec<_>>(),
        });
        self.publish("error", &cell.header, &error).await;
        self.reply(Channel::Shell, cell, &failure(reason)).await;
    }

    async fn print(&mut self, cell: &Value, line: &str) {
        let content = json!({"name": "stdout", "text": format!("{line}\n")});
        self.publish("stream", cell, &content).await;
    }

    async fn publish(&mut self, kind: &str, parent: &Value, content: &Value) {
        // The first frame is what subscribers filter by.
        let topic = [Bytes::from(kind.to_owned())];
        if let Some(raw) = self.signer.write(&topic, kind, parent, content)
            && let Err(error) = self.iopub.send(raw).await
        {
            say(&format!("a message was lost: {error}"));
        }
    }

    /// Answers a question, between "busy" and "idle" as Jupyter wants it.
    async fn reply(&mut self, channel: Channel, question: &Message, content: &Value) {
        let busy = json!({"execution_state": "busy"});
        self.publish("status", &question.header, &busy).await;
        self.answer(channel, question, content).await;
        let idle = json!({"execution_state": "idle"});
        self.publish("status", &question.header, &idle).await;
    }

    async fn answer(&mut self, channel: Channel, question: &Message, content: &Value) {
        let kind = question.kind().replace("_request", "_reply");
        if let Some(raw) = self
            .signer
            .write(&question.identities, &kind, &question.header, content)
        {
            let sent = match channel {
                Channel::Control => self.control.send(raw).await,
                _ => self.shell.send(raw).await,
            };
            if let Err(error) = sent {
                say(&format!("a message was lost: {error}"));
            }
        }
    }
}

/// The content of an answer that says why there is none.
fn failure(reason: &str) -> Value {
    json!({
        "status": "error",
        "execution_count": 0,
        "ename": "Error",
        "evalue": reason.lines().next().unwrap_or_default(),
        "traceback": [],
    })
}

/// Who we are
/// (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info>).
fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": "5.3",
        "implementation": "evcxr_transfer",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust",
            "version": "",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "banner": "Rust (transfer): evcxr_jupyter with evcxr_transfer ready",
        "help_links": [
            {"text": "Rust's standard library", "url": "https://doc.rust-lang.org/stable/std/"},
        ],
    })
}

//! The side that Jupyter sees: five sockets, and how one answers over them.

use std::time::Duration;

use bytes::Bytes;
use checkout::say;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use zeromq::{RepSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage, ZmqResult};

use crate::connection::Connection;
use crate::event::Event;
use crate::message::{Channel, Message, Signer};
use crate::outbox::Outbox;
use crate::publisher::Publisher;

/// Jupyter's sockets. Nothing that is sent waits for its reader.
pub struct Jupyter {
    /// Signs what is sent, checks what arrives.
    pub signer: Signer,
    /// The readers of iopub.
    pub iopub: Publisher,
    shell: Outbox,
    control: Outbox,
    stdin: Outbox,
}

impl Jupyter {
    /// Opens the sockets; what arrives there, and Jupyter's own end, become events.
    ///
    /// # Errors
    ///
    /// ZeroMQ's: a socket cannot be opened.
    pub async fn open(connection: &Connection, events: &Sender<Event>) -> ZmqResult<Self> {
        let mut heartbeat = RepSocket::new();
        heartbeat.bind(&connection.endpoint("hb_port")).await?;
        tokio::spawn(async move {
            while let Ok(message) = heartbeat.recv().await {
                if heartbeat.send(message).await.is_err() {
                    break;
                }
            }
        });
        let iopub = Publisher::bind(&connection.address("iopub_port")).await?;
        let router = |channel, port| router(channel, connection.endpoint(port), events.clone());
        let shell = router(Channel::Shell, "shell_port").await?;
        let control = router(Channel::Control, "control_port").await?;
        let stdin = router(Channel::Stdin, "stdin_port").await?;
        let orphaned = events.clone();
        tokio::spawn(async move {
            // A server that was killed cannot stop its kernels.
            let parent = std::os::unix::process::parent_id();
            while std::os::unix::process::parent_id() == parent {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let _ = orphaned.send(Event::Orphaned).await;
        });
        Ok(Self {
            signer: Signer::new(connection.key()),
            iopub,
            shell,
            control,
            stdin,
        })
    }

    /// Hands a message on to who it is for.
    pub fn send(&self, channel: Channel, message: ZmqMessage) {
        let outbox = match channel {
            Channel::Shell => &self.shell,
            Channel::Control => &self.control,
            Channel::Stdin => &self.stdin,
            Channel::Iopub => return self.iopub.publish(&message),
        };
        if !outbox.put(message) {
            say::error("a message was lost: Jupyter does not take its answers");
        }
    }

    /// Tells everybody something about the message with the header `parent`.
    pub fn publish(&self, kind: &str, parent: &Value, content: &Value) {
        // The first frame is what subscribers filter by.
        let topic = [Bytes::from(kind.to_owned())];
        if let Some(raw) = self.signer.write(&topic, kind, parent, content) {
            self.iopub.publish(&raw);
        }
    }

    /// Prints a line under the cell with this header.
    pub fn print(&self, cell: &Value, line: &str) {
        let content = json!({"name": "stdout", "text": format!("{line}\n")});
        self.publish("stream", cell, &content);
    }

    /// Answers a question, between "busy" and "idle" as Jupyter wants it.
    pub fn reply(&self, channel: Channel, question: &Message, content: &Value) {
        let busy = json!({"execution_state": "busy"});
        self.publish("status", &question.header, &busy);
        self.answer(channel, question, content);
        let idle = json!({"execution_state": "idle"});
        self.publish("status", &question.header, &idle);
    }

    /// Answers a question on the shell channel that needs no engine; `false` for any other.
    pub fn knows(&self, question: &Message) -> bool {
        let content = match question.kind() {
            "kernel_info_request" => kernel_info(),
            // evcxr leaves these two without an answer, for which some clients wait.
            "comm_info_request" => json!({"status": "ok", "comms": {}}),
            "history_request" => json!({"status": "ok", "history": []}),
            _ => return false,
        };
        self.reply(Channel::Shell, question, &content);
        true
    }

    /// Answers a question and says nothing else.
    pub fn answer(&self, channel: Channel, question: &Message, content: &Value) {
        let kind = question.kind().replace("_request", "_reply");
        let (identities, parent) = (&question.identities, &question.header);
        if let Some(raw) = self.signer.write(identities, &kind, parent, content) {
            self.send(channel, raw);
        }
    }

    /// Answers a question with the reason why there is no answer; a cell ends with it as its error.
    pub fn fail(&self, question: &Message, reason: &str) {
        if question.is_cell() {
            let error = json!({
                "ename": "Error",
                "evalue": first_line(reason),
                "traceback": reason.lines().collect::<Vec<_>>(),
            });
            self.publish("error", &question.header, &error);
        }
        let failure = json!({
            "status": "error",
            "execution_count": 0,
            "ename": "Error",
            "evalue": first_line(reason),
            "traceback": [],
        });
        self.reply(Channel::Shell, question, &failure);
    }
}

/// Opens one of the sockets that answer.
async fn router(channel: Channel, endpoint: String, events: Sender<Event>) -> ZmqResult<Outbox> {
    let mut router = RouterSocket::new();
    router.bind(&endpoint).await?;
    let (half, mut incoming) = router.split();
    tokio::spawn(async move {
        while let Ok(message) = incoming.recv().await {
            if events.send(Event::Asked(channel, message)).await.is_err() {
                break;
            }
        }
    });
    Ok(Outbox::new(half, "Jupyter"))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Who we are
/// (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info>).
pub fn kernel_info() -> Value {
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

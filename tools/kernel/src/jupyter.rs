//! The side that Jupyter sees: five sockets, and how one answers over them.

use std::time::Duration;

use bytes::Bytes;
use checkout::say;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use zeromq::{RepSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage, ZmqResult};

use crate::connection::Connection;
use crate::event::Event;
use crate::message::{Channel, Message, Signer, VERSION};
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

    fn send(&self, channel: Channel, message: ZmqMessage) {
        let outbox = match channel {
            Channel::Shell => &self.shell,
            Channel::Control => &self.control,
            Channel::Stdin => &self.stdin,
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
        self.stream(cell, "stdout", &format!("{line}\n"));
    }

    /// Prints text under the cell with this header, on "stdout" or "stderr".
    pub fn stream(&self, cell: &Value, name: &str, text: &str) {
        self.publish("stream", cell, &json!({"name": name, "text": text}));
    }

    /// Says whether the kernel works on the message with the header `parent`: "busy" or "idle".
    pub fn state(&self, parent: &Value, state: &str) {
        self.publish("status", parent, &json!({"execution_state": state}));
    }

    /// Answers a question, between "busy" and "idle" as Jupyter wants it.
    pub fn reply(&self, channel: Channel, question: &Message, content: &Value) {
        self.state(&question.header, "busy");
        self.answer(channel, question, content);
        self.state(&question.header, "idle");
    }

    /// Answers a question and says nothing else.
    pub fn answer(&self, channel: Channel, question: &Message, content: &Value) {
        let kind = question.kind().replace("_request", "_reply");
        let (to, parent) = (&question.identities, &question.header);
        let message = self.signer.write(to, &kind, parent, content);
        if let Some(message) = message {
            self.send(channel, message);
        }
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

/// Who we are
/// (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info>).
pub fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": VERSION,
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
        "banner": "Rust (transfer): evcxr with evcxr_transfer ready",
        "debugger": false,
        "help_links": [
            {"text": "Rust's standard library", "url": "https://doc.rust-lang.org/stable/std/"},
        ],
    })
}

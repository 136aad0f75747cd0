//! Starts an engine in a session of its own, and connects to its four sockets.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::Duration;

use checkout::place::Place;
use checkout::say;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc::Sender;
use zeromq::util::PeerIdentity;
use zeromq::{DealerSocket, Socket, SocketOptions, SocketRecv, SubSocket};

use crate::backend::Backend;
use crate::compiler;
use crate::event::Event;
use crate::message::Channel;
use crate::outbox::Outbox;
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
    /// Signs the messages to and from the engine.
    pub key: String,
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
        let ports = free_ports().map_err(|error| format!("no free port: {error}"))?;
        let file = session.folder().join("connection.json");
        write_connection(&file, &ports, &self.key)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        let mut child = Command::from(session.engine(&self.place))
            .arg("--control_file")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let program = self.place.program("engine");
                format!("cannot start {}: {error}", program.display())
            })?;
        if let Some(process) = child.id() {
            session.remember_engine(process);
        }
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
        let backend = self
            .connect(&ports, session)
            .await
            .map_err(|error| format!("the engine does not answer: {error}"))?;
        let started = Event::Started(self.number, Box::new(backend));
        let _ = self.events.send(started).await;
        Ok(())
    }

    async fn connect(
        &self,
        ports: &[u16; 5],
        session: Session,
    ) -> Result<Backend, zeromq::ZmqError> {
        let shell = self.dealer(Channel::Shell, ports[0]).await?;
        let control = self.dealer(Channel::Control, ports[1]).await?;
        let stdin = self.dealer(Channel::Stdin, ports[2]).await?;
        let mut iopub = SubSocket::new();
        reach(&mut iopub, ports[3]).await?;
        iopub.subscribe("").await?;
        let start = self.clone();
        tokio::spawn(async move {
            while let Ok(message) = iopub.recv().await {
                start.readers.room().await;
                let event = Event::Answered(start.number, Channel::Iopub, message);
                if start.events.send(event).await.is_err() {
                    break;
                }
            }
        });
        Ok(Backend {
            shell,
            control,
            stdin,
            session,
        })
    }

    /// Connects to one of the engine's sockets that answer.
    async fn dealer(&self, channel: Channel, port: u16) -> Result<Outbox, zeromq::ZmqError> {
        // evcxr asks questions on "stdin" of whoever sent the cell on "shell": one name for both.
        let name: PeerIdentity = "front".parse()?;
        let mut options = SocketOptions::default();
        options.peer_identity(name);
        let mut dealer = DealerSocket::with_options(options);
        reach(&mut dealer, port).await?;
        let (half, mut incoming) = dealer.split();
        let (number, events) = (self.number, self.events.clone());
        tokio::spawn(async move {
            while let Ok(message) = incoming.recv().await {
                let event = Event::Answered(number, channel, message);
                if events.send(event).await.is_err() {
                    break;
                }
            }
        });
        Ok(Outbox::new(half, "the engine"))
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

/// Connects to a port that the engine opens within its first moments.
async fn reach(socket: &mut impl Socket, port: u16) -> Result<(), zeromq::ZmqError> {
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let mut tries = 0;
    loop {
        match socket.connect(&endpoint).await {
            Err(error) if tries >= 500 => return Err(error),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Five ports that are free at this moment: shell, control, stdin, iopub, heartbeat.
fn free_ports() -> std::io::Result<[u16; 5]> {
    // All held until the last one is found, or the system would name one twice.
    let mut held = Vec::new();
    let mut ports = [0; 5];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Writes the engine's connection file, which holds the key: for this user's eyes only.
fn write_connection(file: &std::path::Path, ports: &[u16; 5], key: &str) -> std::io::Result<()> {
    let content = json!({
        "transport": "tcp",
        "ip": "127.0.0.1",
        "shell_port": ports[0],
        "control_port": ports[1],
        "stdin_port": ports[2],
        "iopub_port": ports[3],
        "hb_port": ports[4],
        "key": key,
        "signature_scheme": "hmac-sha256",
    });
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    serde_json::to_writer(file, &content).map_err(std::io::Error::from)
}

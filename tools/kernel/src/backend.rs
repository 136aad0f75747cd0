//! The engine as the front sees it: started in a session of its own, and spoken to over four sockets.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc::UnboundedSender;
use zeromq::util::PeerIdentity;
use zeromq::{DealerSendHalf, DealerSocket, Socket, SocketOptions, SocketRecv, SocketSend};
use zeromq::{SubSocket, ZmqMessage};

use crate::front::Event;
use crate::place::Place;
use crate::seed;
use crate::session::{Session, say};
use crate::stop;

/// Jupyter's channels, but for the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Channel {
    /// Cells, completion, help.
    Shell,
    /// Interrupt and the end.
    Control,
    /// Questions to the user.
    Stdin,
    /// What everybody sees.
    Iopub,
}

/// How much of what the engine writes to stderr is kept for the reader.
const LAST_WORDS: usize = 20_000;

/// A running engine.
pub struct Backend {
    shell: DealerSendHalf,
    control: DealerSendHalf,
    stdin: DealerSendHalf,
    /// Its folder goes with it.
    session: Session,
}

impl Backend {
    /// Starts an engine; what comes of it arrives as events with `number`.
    pub fn start(place: Place, key: String, number: u32, events: UnboundedSender<Event>) {
        tokio::spawn(async move {
            let report = |reason: String| {
                let _ = events.send(Event::Ended(number, reason));
            };
            let session = match prepare(&place, number, &events).await {
                Ok(session) => session,
                Err(reason) => return report(reason),
            };
            if let Err(reason) = run(&place, session, key, number, &events).await {
                report(reason);
            }
        });
    }

    /// Hands a message on. One that cannot be sent is lost with its engine, whose end is an event too.
    pub async fn send(&mut self, channel: Channel, message: ZmqMessage) {
        let sent = match channel {
            Channel::Control => self.control.send(message).await,
            Channel::Stdin => self.stdin.send(message).await,
            Channel::Shell | Channel::Iopub => self.shell.send(message).await,
        };
        if let Err(error) = sent {
            say(&format!("the engine did not take a message: {error}"));
        }
    }

    /// Asks the running cell to stop; `false` if it cannot be asked.
    pub fn ask_to_stop(&self) -> bool {
        let asked = stop::ask(&stop::file(self.session.folder()));
        if let Err(error) = &asked {
            say(&format!("the cell cannot be asked to stop: {error}"));
        }
        asked.is_ok()
    }

    /// Takes that back, for the next cell.
    pub fn withdraw_stop(&self) {
        if let Err(error) = stop::withdraw(&stop::file(self.session.folder())) {
            say(&format!("later cells will stop at once: {error}"));
        }
    }
}

/// Brings the seed up to date and opens a session; its copy of the seed is made meanwhile.
async fn prepare(
    place: &Place,
    number: u32,
    events: &UnboundedSender<Event>,
) -> Result<Session, String> {
    let (place, events) = (place.clone(), events.clone());
    let work = move || {
        let tell = |line: &str| {
            let _ = events.send(Event::Progress(number, line.to_owned()));
        };
        if !seed::is_fresh(&place) {
            tell(if seed::exists(&place) {
                "evcxr_transfer, or what it is built with, has changed: building it for notebooks \
                 (after an edit of the crate about half a minute)"
            } else {
                "building evcxr_transfer for notebooks, once (about four minutes)"
            });
            seed::prepare(&place, &tell)?;
        }
        let session = Session::open(&place)?;
        session.fill(&place);
        Ok(session)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("the kernel could not prepare a session: {error}"))?
}

async fn run(
    place: &Place,
    session: Session,
    key: String,
    number: u32,
    events: &UnboundedSender<Event>,
) -> Result<(), String> {
    let ports = free_ports().map_err(|error| format!("no free port: {error}"))?;
    let file = session.folder().join("connection.json");
    write_connection(&file, &ports, &key)
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let mut command = tokio::process::Command::from(session.engine(place));
    let mut child = command
        .arg("--control_file")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", place.engine().display()))?;
    if let Some(process) = child.id() {
        session.remember_engine(process);
    }
    let stderr = child.stderr.take();
    let watched = events.clone();
    tokio::spawn(async move {
        let mut text = String::new();
        if let Some(stderr) = stderr {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if seed::is_progress(&line) {
                    let _ = watched.send(Event::Progress(number, line));
                } else {
                    say(&line);
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
        let _ = watched.send(Event::Ended(number, last_words(&text, &how)));
    });
    let backend = connect(&ports, session, number, events)
        .await
        .map_err(|error| format!("the engine does not answer: {error}"))?;
    let _ = events.send(Event::Started(number, Box::new(backend)));
    Ok(())
}

/// Why the engine ended, for the reader of the notebook.
fn last_words(text: &str, how: &str) -> String {
    let text = text.trim();
    let ended = format!("the process that compiles and runs cells has ended ({how})");
    match seed::remedy(text) {
        Some(remedy) => format!("{remedy}\n{ended}:\n{text}"),
        None if text.is_empty() => ended,
        None => format!("{ended}:\n{text}"),
    }
}

async fn connect(
    ports: &[u16; 5],
    session: Session,
    number: u32,
    events: &UnboundedSender<Event>,
) -> Result<Backend, zeromq::ZmqError> {
    // evcxr asks questions on "stdin" of whoever sent the cell on "shell": one name for both.
    let name: PeerIdentity = "front".parse()?;
    let mut halves = Vec::new();
    for (channel, port) in [
        (Channel::Shell, ports[0]),
        (Channel::Control, ports[1]),
        (Channel::Stdin, ports[2]),
    ] {
        let mut options = SocketOptions::default();
        options.peer_identity(name.clone());
        let mut dealer = DealerSocket::with_options(options);
        reach(&mut dealer, port).await?;
        let (half, mut incoming) = dealer.split();
        halves.push(half);
        let events = events.clone();
        tokio::spawn(async move {
            while let Ok(message) = incoming.recv().await {
                if events
                    .send(Event::Answered(number, channel, message))
                    .is_err()
                {
                    break;
                }
            }
        });
    }
    let mut iopub = SubSocket::new();
    reach(&mut iopub, ports[3]).await?;
    iopub.subscribe("").await?;
    let incoming = events.clone();
    tokio::spawn(async move {
        while let Ok(message) = iopub.recv().await {
            let event = Event::Answered(number, Channel::Iopub, message);
            if incoming.send(event).is_err() {
                break;
            }
        }
    });
    let (Some(stdin), Some(control), Some(shell)) = (halves.pop(), halves.pop(), halves.pop())
    else {
        return Err(zeromq::ZmqError::NoMessage);
    };
    Ok(Backend {
        shell,
        control,
        stdin,
        session,
    })
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

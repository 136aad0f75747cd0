//! What cells print, on its way to the front: events as lines of JSON on stdout.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Select};
use serde_json::{Value, json};

use crate::pump;
use crate::wire::Note;

/// How much text goes into one event.
const MOST: usize = 1 << 16;

/// The way to the front, and what the process with the variables has said of itself. Clones are the same.
#[derive(Clone, Default)]
pub struct Outputs {
    state: Arc<Mutex<State>>,
}

/// What the process that holds the variables has said of the running cell's end.
#[derive(Default)]
struct State {
    failed: Option<Failed>,
    ended: Option<String>,
}

/// Why a cell that evcxr calls a success is none.
pub enum Failed {
    /// A `?` with this error.
    Error(String),
    /// A panic that said this.
    Panic(String),
}

impl Outputs {
    /// Hands on what comes from evcxr, for as long as it lives.
    pub fn hand_on(&self, outputs: evcxr::EvalContextOutputs) {
        let evcxr::EvalContextOutputs { stdout, stderr } = outputs;
        let other = self.clone();
        std::thread::spawn(move || {
            // The pump's own: everything else comes as notes.
            for line in stderr {
                other.send(&json!({"stderr": format!("{line}\n")}));
            }
        });
        let this = self.clone();
        std::thread::spawn(move || {
            loop {
                // A line that has been taken is sent before anybody else may send: who finds the channel
                // empty and then says that the cell is done says it last.
                let mut select = Select::new();
                select.recv(&stdout);
                select.ready();
                let mut state = locked(&this.state);
                if !forward(&stdout, &mut state) {
                    return;
                }
            }
        });
    }

    /// Sends an event.
    pub fn send(&self, event: &Value) {
        let _state = locked(&self.state);
        write(event);
    }

    /// Ends the process that holds the variables; `false` where it is not known.
    pub fn kill(&self) -> bool {
        let process = pump::process_file()
            .and_then(|file| std::fs::read_to_string(file).ok())
            .and_then(|number| number.parse().ok())
            .and_then(rustix::process::Pid::from_raw);
        process.is_some_and(|process| {
            rustix::process::kill_process(process, rustix::process::Signal::KILL).is_ok()
        })
    }

    /// Why the cell has failed, if it has said so.
    pub fn failed(&self) -> Option<Failed> {
        locked(&self.state).failed.take()
    }

    /// How the process with the variables has ended, which evcxr may know before its last words have come.
    pub fn ended(&self) -> String {
        for _ in 0..100 {
            if let Some(how) = locked(&self.state).ended.take() {
                return how;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        "nobody knows how".to_owned()
    }
}

/// Sends all that lies in the channel; `false` when no more can come.
fn forward(stdout: &Receiver<String>, state: &mut State) -> bool {
    let mut text = String::new();
    let is_open = loop {
        let line = match stdout.try_recv() {
            Ok(line) => line,
            Err(error) => break error.is_empty(),
        };
        let Some(note) = Note::of(&line) else {
            text.push_str(&line);
            text.push('\n');
            if text.len() >= MOST {
                break true;
            }
            continue;
        };
        match note {
            Note::Stdout(more) => text.push_str(&more),
            Note::Stderr(more) => {
                flush(&mut text);
                write(&json!({"stderr": more}));
            }
            Note::Display { data, id } => {
                flush(&mut text);
                write(&json!({"display": parsed(data), "id": id}));
            }
            Note::Failed(error) => state.failed = Some(Failed::Error(error)),
            Note::Panicked(said) => state.failed = Some(Failed::Panic(said)),
            Note::Ended(how) => state.ended = Some(how),
        }
    };
    flush(&mut text);
    is_open
}

fn flush(text: &mut String) {
    if !text.is_empty() {
        write(&json!({"stdout": std::mem::take(text)}));
    }
}

/// Bodies of JSON's own kinds as what they say.
pub fn parsed(mut data: Value) -> Value {
    for (kind, body) in data.as_object_mut().into_iter().flatten() {
        if kind.contains("json")
            && let Some(text) = body.as_str()
            && let Ok(value) = serde_json::from_str(text)
        {
            *body = value;
        }
    }
    data
}

fn write(event: &Value) {
    // Where nobody reads any more, the front is gone, and this process soon too.
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{event}").and_then(|()| stdout.flush());
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

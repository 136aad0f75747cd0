//! A session: requests on stdin, a JSON object a line, and events on stdout.
//!
//! ```text
//! {"run": CODE, "cell": N}         -> {"stdout": ..}, {"stderr": ..}, {"display": .., "id": ..},
//!                                     {"result": ..}; at last {"done": true} or
//!                                     {"failed": {..}, "is_end": whether the variables are lost}
//! {"complete": CODE, "cursor": N, "id": ID}  -> {"answer": content, "id": ID}
//! {"inspect": CODE, "cursor": N, "id": ID}   -> {"answer": content, "id": ID}
//! {"kill": true}                   ends the process that holds the variables
//! ```
//! The first event is `{"ready": true}`. Cells run one after the other; a question that comes while one runs
//! is answered at once, with nothing.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use crate::help::{self, Help};
use crate::outputs::Outputs;
use crate::runner::Runner;
use crate::source;

/// Serves the session, until stdin ends.
///
/// # Errors
///
/// Why it cannot begin: the compiler's text, or evcxr's.
pub fn run() -> Result<(), String> {
    let outputs = Outputs::default();
    let (requests, asked) = channel();
    let is_busy = Arc::new(AtomicBool::new(false));
    let listener = Listener {
        outputs: outputs.clone(),
        requests,
        is_busy: is_busy.clone(),
    };
    std::thread::spawn(move || listener.listen());
    let mut runner = Runner::start(outputs.clone())?;
    outputs.send(&json!({"ready": true}));
    let mut known: Option<Help> = None;
    for request in asked {
        if let Some(code) = request["run"].as_str() {
            runner.run(code, request["cell"].as_u64().unwrap_or_default());
            is_busy.store(false, Ordering::Release);
            continue;
        }
        let cursor = cursor(&request);
        let content = if let Some(code) = request["complete"].as_str() {
            let known = known.get_or_insert_with(|| Help::of(&source::texts()));
            known.complete(&mut runner.context, code, cursor)
        } else {
            let code = request["inspect"].as_str().unwrap_or_default();
            help::inspect(&mut runner.context, code, cursor)
        };
        outputs.send(&json!({"answer": content, "id": request["id"]}));
    }
    Ok(())
}

fn cursor(request: &Value) -> usize {
    let cursor = request["cursor"].as_u64().unwrap_or_default();
    usize::try_from(cursor).unwrap_or(usize::MAX)
}

/// Reads requests while others are being dealt with.
struct Listener {
    outputs: Outputs,
    requests: Sender<Value>,
    is_busy: Arc<AtomicBool>,
}

impl Listener {
    fn listen(&self) {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(request) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            self.hear(request);
        }
        // The front is gone: a cell that runs is of no use to anybody.
        self.outputs.kill();
    }

    fn hear(&self, request: Value) {
        if request["kill"] == true {
            self.outputs.kill();
        } else if request["run"].is_string() {
            self.is_busy.store(true, Ordering::Release);
            let _ = self.requests.send(request);
        } else if self.is_busy.load(Ordering::Acquire) {
            let content = match request["inspect"].is_string() {
                true => help::later(),
                false => help::nothing(cursor(&request)),
            };
            self.outputs
                .send(&json!({"answer": content, "id": request["id"]}));
        } else {
            let _ = self.requests.send(request);
        }
    }
}

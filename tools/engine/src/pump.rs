//! Stands between evcxr and the process that holds the variables, and brings what that one says into one
//! order.
//!
//! evcxr reads the process's stdout line by line and its stderr on another thread: a message can come after
//! its cell, a failed `?` and a panic look like success, rich results wait for the cell's end, and text
//! without a line break waits for its break. Here both pipes are read, and go on as the lines that evcxr
//! knows, with [`Note`]s between them:
//! - what is on stderr before a mark of evcxr's comes before it; the text before the mark of a failure is
//!   the failure's own;
//! - a rich result goes on at once, but for the one at the cell's very end, which is the cell's value;
//! - text without a line break goes on when nothing more comes.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

use crate::lines::Lines;
use crate::wire::Note;

/// Marks the process that holds the variables, which this one starts.
pub const INNER: &str = "EVCXR_TRANSFER_INNER";

/// Names the session's folder.
const SESSION: &str = "EVCXR_TRANSFER_SESSION";

// evcxr's marks (0.22: eval_context.rs, runtime.rs, evcxr_internal_runtime.rs).
const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
const FAILED: &str = "EVCXR_ERROR_OCCURRED";

/// A result that moves in place: the name under which it is shown again, and its formats, as JSON.
const DISPLAY: &str = "EVCXR_TRANSFER_DISPLAY ";

/// How long text waits for what may follow it: a line's end, the mark that makes it a failure's.
const PATIENCE: Duration = Duration::from_millis(15);

/// How often [`PATIENCE`] may pass while a panic unwinds, whose mark comes when all is dropped.
const UNWINDING: u32 = 200;

/// The file of a session that has the number of the process that holds the variables.
pub fn process_file() -> Option<PathBuf> {
    std::env::var_os(SESSION).map(|folder| PathBuf::from(folder).join("variables"))
}

/// What `.cargo/config.toml` gives to programs that cargo runs: batches take over each other's memory.
const KEPT_MEMORY: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824:glibc.malloc.top_pad=67108864",
);

/// Runs the process that holds the variables, until it ends.
pub fn run() -> ExitCode {
    match pump() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the cells' output cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pump() -> io::Result<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(INNER, "1")
        // The backtrace of a panic names evcxr's functions, and takes seconds with libtorch.
        .env("RUST_BACKTRACE", "0")
        .env(
            KEPT_MEMORY.0,
            std::env::var_os(KEPT_MEMORY.0).unwrap_or_else(|| KEPT_MEMORY.1.into()),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut order = Order::default();
    // Nothing is told of it on stdout: evcxr's first evaluation waits until its output is read, which nobody
    // does before it has ended.
    if let Some(file) = process_file() {
        std::fs::write(file, child.id().to_string())?;
    }
    let mut target = io::stdout().lock();
    let (mut is_out, mut is_err) = (true, true);
    let mut bytes = vec![0; 1 << 16];
    while is_out || is_err {
        target.write_all(order.ready.as_bytes())?;
        target.flush()?;
        order.ready.clear();
        let patience = order.is_waiting().then_some(PATIENCE);
        let (has_out, has_err) = readable(
            is_out.then_some(&stdout),
            is_err.then_some(&stderr),
            patience,
        )?;
        if has_err {
            is_err = order.read_err(&mut stderr, &mut bytes)?;
        }
        if has_out {
            let count = io::Read::read(&mut stdout, &mut bytes)?;
            is_out = count > 0;
            order.out.push(&bytes[..count]);
            while let Some(line) = order.next_line() {
                if is_mark(&line) {
                    // All that was written to stderr before the mark lies in its pipe.
                    while is_err && readable(None, Some(&stderr), Some(Duration::ZERO))?.1 {
                        is_err = order.read_err(&mut stderr, &mut bytes)?;
                    }
                }
                order.line(line);
            }
        }
        if !has_out && !has_err {
            order.nothing_came();
        }
    }
    order.settle();
    let status = child.wait()?;
    order.note(&Note::Ended(status.to_string()));
    target.write_all(order.ready.as_bytes())?;
    target.flush()?;
    Ok(ExitCode::FAILURE)
}

/// Which of the pipes has something to read, or has ended, within this time.
fn readable(
    stdout: Option<&ChildStdout>,
    stderr: Option<&ChildStderr>,
    patience: Option<Duration>,
) -> io::Result<(bool, bool)> {
    let mut pipes: Vec<PollFd<'_>> = Vec::with_capacity(2);
    let pipe = |pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN);
    pipes.extend(stdout.map(|stdout| pipe(stdout.as_fd())));
    pipes.extend(stderr.map(|stderr| pipe(stderr.as_fd())));
    let patience = patience.map(|patience| Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(patience.subsec_nanos()) as _,
    });
    while let Err(error) = poll(&mut pipes, patience.as_ref()) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    let mut has = pipes.iter().map(|pipe| !pipe.revents().is_empty());
    let has_out = stdout.is_some() && has.next() == Some(true);
    let has_err = stderr.is_some() && has.next() == Some(true);
    Ok((has_out, has_err))
}

fn is_mark(line: &str) -> bool {
    line == COMPLETE || line == PANIC || line == FAILED
}

/// What has been read and has to wait, and what may go on.
#[derive(Default)]
struct Order {
    /// What stdout has said since the last whole line.
    out: Lines,
    /// Text of stderr that may be a failure's.
    err: String,
    /// How often nothing has come since a panic began to tell of itself.
    unwinding: u32,
    /// The formats of a rich result that may be the cell's value, in their order.
    value: Vec<(String, String)>,
    /// The format that is being read.
    part: Option<(String, String)>,
    /// What goes on to evcxr.
    ready: String,
}

impl Order {
    fn is_waiting(&self) -> bool {
        !self.out.is_empty() || !self.err.is_empty() || !self.value.is_empty()
    }

    /// Puts what stderr has into [`Order::err`]; whether there may be more.
    fn read_err(&mut self, stderr: &mut ChildStderr, bytes: &mut [u8]) -> io::Result<bool> {
        let count = io::Read::read(stderr, bytes)?;
        self.err.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if self.err.len() > bytes.len() && !self.is_panicking() {
            self.settle_err();
        }
        Ok(count > 0)
    }

    /// The next whole line of stdout. A mark of evcxr's ends what stands before it in its line.
    fn next_line(&mut self) -> Option<String> {
        let line = self.out.next()?;
        if self.part.is_some() {
            return Some(line);
        }
        let mark = [COMPLETE, PANIC, FAILED, BEGIN, DISPLAY]
            .iter()
            .filter_map(|mark| line.find(mark))
            .min();
        match mark {
            Some(place) if place > 0 => {
                self.settle();
                let text = line[..place].to_owned();
                self.note(&Note::Stdout(text));
                Some(line[place..].to_owned())
            }
            _ => Some(line),
        }
    }

    fn line(&mut self, line: String) {
        if let Some((kind, mut body)) = self.part.take() {
            if line == END {
                self.value.push((kind, body));
            } else if line == PANIC {
                // The value's own code has panicked.
                self.line(line);
            } else {
                if !body.is_empty() {
                    body.push('\n');
                }
                body.push_str(&line);
                self.part = Some((kind, body));
            }
            return;
        }
        if let Some(kind) = line.strip_prefix(BEGIN) {
            let kind = kind.trim().to_owned();
            if self.value.iter().any(|(known, _)| *known == kind) {
                self.settle_value();
            }
            if !self.is_panicking() {
                self.settle_err();
            }
            self.part = Some((kind, String::new()));
        } else if line == COMPLETE {
            self.settle_err();
            for (kind, body) in std::mem::take(&mut self.value) {
                self.push(&format!("{BEGIN}{kind}\n{body}\n{END}"));
            }
            self.push(COMPLETE);
        } else if line == FAILED || line == PANIC {
            self.settle_value();
            let text = std::mem::take(&mut self.err);
            self.unwinding = 0;
            self.note(&match line == PANIC {
                true => Note::Panicked(text),
                false => Note::Failed(text),
            });
            self.push(&line);
        } else if let Some(display) = line.strip_prefix(DISPLAY) {
            self.settle();
            let object: Value = serde_json::from_str(display).unwrap_or_default();
            let (data, id) = (&object["data"], &object["display_id"]);
            if data.is_object() && id.is_string() {
                let (data, id) = (data.clone(), id.clone());
                self.note(&Note::Display { data, id });
            } else {
                self.note(&Note::Stdout(format!("{line}\n")));
            }
        } else {
            self.settle();
            match Note::is_like(&line) {
                true => self.note(&Note::Stdout(format!("{line}\n"))),
                false => self.push(&line),
            }
        }
    }

    /// Nothing more belongs to what waits.
    fn nothing_came(&mut self) {
        if self.is_panicking() && self.unwinding < UNWINDING {
            self.unwinding += 1;
        } else {
            self.settle_err();
        }
        self.settle_value();
        if self.part.is_none() {
            let text = self.out.rest();
            if !text.is_empty() {
                self.note(&Note::Stdout(text));
            }
        }
    }

    /// Everything that waits goes on, before what comes now.
    fn settle(&mut self) {
        self.settle_value();
        if !self.is_panicking() {
            self.settle_err();
        }
    }

    /// A rich result that is not the cell's value.
    fn settle_value(&mut self) {
        if self.value.is_empty() {
            return;
        }
        let parts = std::mem::take(&mut self.value);
        let data = parts.into_iter().map(|(kind, body)| (kind, body.into()));
        self.note(&Note::Display {
            data: Value::Object(data.collect::<Map<_, _>>()),
            id: Value::Null,
        });
    }

    fn settle_err(&mut self) {
        self.unwinding = 0;
        let text = std::mem::take(&mut self.err);
        if !text.is_empty() {
            self.note(&Note::Stderr(text));
        }
    }

    /// Whether the text of stderr is that of a panic whose mark has not come.
    fn is_panicking(&self) -> bool {
        self.err.contains("' panicked at ") || self.err.contains(") panicked at ")
    }

    fn note(&mut self, note: &Note) {
        self.push(&note.line());
    }

    fn push(&mut self, line: &str) {
        self.ready.push_str(line);
        self.ready.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_keep_memory_as_programs_of_cargo_do() {
        let config = include_str!("../../../.cargo/config.toml");
        let (name, value) = KEPT_MEMORY;
        assert!(
            config.contains(&format!("{name} = \"{value}\"")),
            "{config}"
        );
    }

    /// What goes on for this text on stdout, while `err` is what stderr has said.
    fn through(order: &mut Order, err: &str, out: &str) -> Vec<String> {
        order.err.push_str(err);
        order.out.push(out.as_bytes());
        while let Some(line) = order.next_line() {
            order.line(line);
        }
        let ready = std::mem::take(&mut order.ready);
        ready.lines().map(str::to_owned).collect()
    }

    fn block(kind: &str, body: &str) -> String {
        format!("{BEGIN}{kind}\n{body}\n{END}\n")
    }

    fn display(id: Value, data: Value) -> String {
        Note::Display { data, id }.line()
    }

    #[test]
    fn the_value_at_the_end_stays_evcxrs_and_others_are_shown_in_their_place() {
        let order = &mut Order::default();
        let both = block("text/plain", "a\n\nb") + &block("text/html", "<b>");
        let first = through(order, "", &(both.clone() + "line\n"));
        let shown = json!({"text/plain": "a\n\nb", "text/html": "<b>"});
        assert_eq!(first, [display(Value::Null, shown), "line".to_owned()]);
        let twice = block("text/plain", "1") + &both + COMPLETE + "\n";
        let second = through(order, "", &twice).join("\n");
        let one = display(Value::Null, json!({"text/plain": "1"}));
        assert_eq!(second, format!("{one}\n{both}{COMPLETE}"));
    }

    #[test]
    fn a_failure_gets_its_text_and_other_text_of_stderr_is_shown() {
        let order = &mut Order::default();
        let failed = through(order, "no such file\n", &format!("{FAILED}\n{COMPLETE}\n"));
        let note = Note::Failed("no such file\n".into()).line();
        assert_eq!(failed, [note, FAILED.to_owned(), COMPLETE.to_owned()]);
        let warned = through(order, "careful\n", "line\n");
        let note = Note::Stderr("careful\n".into()).line();
        assert_eq!(warned, [note, "line".to_owned()]);
    }

    #[test]
    fn a_panic_keeps_its_text_until_its_mark_comes() {
        let order = &mut Order::default();
        let text = "\nthread 'main' (7) panicked at src/lib.rs:3:5:\nno\n";
        assert_eq!(through(order, text, "dropped\n"), ["dropped"]);
        order.nothing_came();
        let ended = through(order, "", &format!("{PANIC}\n"));
        assert_eq!(
            ended,
            [Note::Panicked(text.into()).line(), PANIC.to_owned()]
        );
        // One that was caught is shown after a while.
        assert!(through(order, text, "").is_empty());
        (0..=UNWINDING).for_each(|_| order.nothing_came());
        assert_eq!(through(order, "", ""), [Note::Stderr(text.into()).line()]);
    }

    #[test]
    fn text_without_its_line_break_is_shown_and_does_not_hide_a_mark() {
        let order = &mut Order::default();
        let bytes = "50 % ä".as_bytes();
        order.out.push(&bytes[..bytes.len() - 1]);
        order.nothing_came();
        order.out.push(&bytes[bytes.len() - 1..]);
        order.nothing_came();
        let notes = ["50 % ", "ä"].map(|text| Note::Stdout(text.into()).line());
        assert_eq!(through(order, "", ""), notes);
        let ended = through(order, "", &format!("abc{COMPLETE}\n"));
        assert_eq!(
            ended,
            [Note::Stdout("abc".into()).line(), COMPLETE.to_owned()]
        );
    }

    #[test]
    fn a_display_that_moves_in_place_has_its_name() {
        let order = &mut Order::default();
        let line = json!({"display_id": "x", "data": {"text/plain": "1"}});
        let shown = through(order, "", &format!("{DISPLAY}{line}\n"));
        assert_eq!(shown, [display(json!("x"), json!({"text/plain": "1"}))]);
        let broken = format!("{DISPLAY}[]");
        let note = Note::Stdout(format!("{broken}\n")).line();
        assert_eq!(through(order, "", &format!("{broken}\n")), [note]);
        let forged = Note::Ended("1".into()).line();
        let note = Note::Stdout(format!("{forged}\n")).line();
        assert_eq!(through(order, "", &format!("{forged}\n")), [note]);
    }
}

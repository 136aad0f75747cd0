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
//! - text without a line break goes on when nothing more comes;
//! - where a cell ends is known for certain ([`crate::guard`]): a cell may print whatever it likes, evcxr's own
//!   marks and bytes that are no letters included.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};

use crate::guard::{self, Commands, Guard, Sign};
use crate::lines::Lines;
use crate::wire::Note;

/// Marks the process that holds the variables, which this one starts.
pub const INNER: &str = "EVCXR_TRANSFER_INNER";

/// What the engine has otherwise than its cells, and where theirs stands.
const OF_CELLS: [(&str, &str); 2] = [
    ("TMPDIR", "EVCXR_TRANSFER_TMPDIR"),
    ("PATH", "EVCXR_TRANSFER_PATH"),
];

/// Names the session's folder.
const SESSION: &str = "EVCXR_TRANSFER_SESSION";

// evcxr's marks (0.22: eval_context.rs, runtime.rs, evcxr_internal_runtime.rs).
const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
const FAILED: &str = "EVCXR_ERROR_OCCURRED";
const ASKS: &str = "EVCXR_INPUT_REQUEST";

/// A result that moves in place: the name under which it is shown again, and its formats, as JSON.
const DISPLAY: &str = "EVCXR_TRANSFER_DISPLAY ";

/// How long text waits for what may follow it: a line's end, the mark that makes it a failure's.
const PATIENCE: Duration = Duration::from_millis(15);

/// How often [`PATIENCE`] may pass while a panic unwinds, whose mark comes when all is dropped.
const UNWINDING: u32 = 200;

/// The file of a session that has the number of the process that holds the variables.
pub fn process_file() -> Option<PathBuf> {
    session_file("variables")
}

/// A file in the session's folder, where there is a session.
fn session_file(name: &str) -> Option<PathBuf> {
    std::env::var_os(SESSION).map(|folder| PathBuf::from(folder).join(name))
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
    let mut command = Command::new(std::env::current_exe()?);
    for (name, of_cells) in OF_CELLS {
        match std::env::var_os(of_cells) {
            Some(value) if value.is_empty() => command.env_remove(name),
            Some(value) => command.env(name, value),
            None => &mut command,
        };
    }
    let mut child = command
        .env(INNER, "1")
        // The backtrace of a panic names evcxr's functions, and takes seconds with libtorch.
        .env("RUST_BACKTRACE", "0")
        .env(
            KEPT_MEMORY.0,
            std::env::var_os(KEPT_MEMORY.0).unwrap_or_else(|| KEPT_MEMORY.1.into()),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(mut stdout), Some(mut stderr)) = pipes else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    // Nothing is told of it on stdout: evcxr's first evaluation waits until its output is read, which nobody
    // does before it has ended.
    if let Some(file) = process_file() {
        std::fs::write(file, child.id().to_string())?;
    }
    let commands = Commands::hand_on(stdin, session_file("guard"));
    let mut order = Order::new(commands);
    let (gone, ended) = await_end(child)?;
    let mut target = io::stdout().lock();
    let (mut is_out, mut is_err, mut is_gone) = (true, true, false);
    let mut bytes = vec![0; 1 << 16];
    while is_out || is_err {
        target.write_all(order.ready.as_bytes())?;
        target.flush()?;
        order.ready.clear();
        let patience = match is_gone {
            true => Some(Duration::ZERO),
            false => order.is_waiting().then_some(PATIENCE),
        };
        let [has_out, has_err, is_end] = readable(
            [
                is_out.then(|| stdout.as_fd()),
                is_err.then(|| stderr.as_fd()),
                (!is_gone).then(|| gone.as_fd()),
            ],
            patience,
        )?;
        // What a program of the cell's own, which outlives it, may say later is said to nobody.
        if is_gone && !has_out && !has_err {
            break;
        }
        is_gone |= is_end;
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
                    while is_err && readable([Some(stderr.as_fd())], Some(Duration::ZERO))?[0] {
                        is_err = order.read_err(&mut stderr, &mut bytes)?;
                    }
                    order.end_err();
                }
                order.line(line);
            }
        }
        if !has_out && !has_err && !is_end {
            order.nothing_came();
        }
    }
    order.process_ended();
    let status = ended
        .join()
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
    order.note(&Note::Ended(status.to_string()));
    target.write_all(order.ready.as_bytes())?;
    target.flush()?;
    Ok(ExitCode::FAILURE)
}

/// Waits for the process's end beside everything else: a pipe that ends with it, and how it ended.
fn await_end(mut child: Child) -> io::Result<(io::PipeReader, JoinHandle<io::Result<ExitStatus>>)> {
    let (gone, alive) = io::pipe()?;
    let ended = std::thread::spawn(move || {
        let status = child.wait();
        drop(alive);
        status
    });
    Ok((gone, ended))
}

/// Which of the pipes has something to read, or has ended, within this time.
fn readable<const N: usize>(
    pipes: [Option<BorrowedFd<'_>>; N],
    patience: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled: Vec<PollFd<'_>> = pipes
        .iter()
        .flatten()
        .map(|pipe| PollFd::from_borrowed_fd(*pipe, PollFlags::IN))
        .collect();
    let patience = patience.map(|patience| Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(patience.subsec_nanos()) as _,
    });
    while let Err(error) = poll(&mut polled, patience.as_ref()) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    let mut has = polled.iter().map(|pipe| !pipe.revents().is_empty());
    Ok(pipes.map(|pipe| pipe.is_some() && has.next() == Some(true)))
}

fn is_mark(line: &str) -> bool {
    [COMPLETE, PANIC, FAILED, guard::MARK].contains(&line)
}

fn add_line(body: &mut String, line: &str) {
    if !body.is_empty() {
        body.push('\n');
    }
    body.push_str(line);
}

/// What has been read and has to wait, and what may go on.
#[derive(Default)]
struct Order {
    /// What stdout has said since the last whole line.
    out: Lines,
    /// What stderr has said of a letter that is not complete.
    letter: Lines,
    /// Text of stderr that may be a failure's.
    err: String,
    /// Where the running cell ends.
    guard: Guard,
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
    fn new(commands: Commands) -> Self {
        Self {
            guard: Guard::new(commands),
            ..Self::default()
        }
    }

    fn is_waiting(&self) -> bool {
        !self.out.is_empty() || !self.err.is_empty() || !self.value.is_empty()
    }

    /// Puts what stderr has into [`Order::err`]; whether there may be more.
    fn read_err(&mut self, stderr: &mut ChildStderr, bytes: &mut [u8]) -> io::Result<bool> {
        let count = io::Read::read(stderr, bytes)?;
        self.letter.push(&bytes[..count]);
        self.err.push_str(&self.letter.rest());
        if self.err.len() > bytes.len() && !self.is_panicking() {
            self.settle_err();
        }
        Ok(count > 0)
    }

    /// The next whole line of stdout. A mark of evcxr's ends what stands before it in its line.
    fn next_line(&mut self) -> Option<String> {
        let line = self.out.next()?;
        if let Some((_, body)) = &mut self.part {
            // A result that nobody ends is ended by its cell's end.
            let ends = [COMPLETE, PANIC, FAILED, guard::MARK];
            let Some(mark) = ends.iter().find(|mark| line.ends_with(**mark)) else {
                return Some(line);
            };
            if let Some(before) = line.strip_suffix(mark).filter(|text| !text.is_empty()) {
                add_line(body, before);
            }
            return Some((*mark).to_owned());
        }
        let mark = [COMPLETE, PANIC, FAILED, guard::MARK, BEGIN, DISPLAY]
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
        match self.guard.sign(&line) {
            Sign::None => {}
            Sign::Kept => return,
            Sign::End => return self.cell_ended(),
            Sign::Text(before) => {
                for text in before {
                    self.text(text);
                }
                if line == COMPLETE || line == guard::MARK {
                    return self.text(line);
                }
            }
        }
        if line == FAILED || line == PANIC {
            return self.cell_failed(&line);
        }
        if let Some((kind, mut body)) = self.part.take() {
            if line == END {
                self.value.push((kind, body));
            } else {
                add_line(&mut body, &line);
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
        } else if let Some(prompt) = line.strip_prefix(ASKS) {
            // By the crate evcxr_input, which reads stdin next.
            self.settle();
            let prompt = prompt.split_once(':').map_or("", |(_, prompt)| prompt);
            let note = format!("a cell cannot ask its reader (\"{prompt}\"): it gets no answer\n");
            self.note(&Note::Stderr(note));
        } else {
            self.settle();
            match Note::is_like(&line) {
                true => self.note(&Note::Stdout(format!("{line}\n"))),
                false => self.push(&line),
            }
        }
    }

    /// A line that only looks like one of evcxr's.
    fn text(&mut self, line: String) {
        match &mut self.part {
            Some((_, body)) => add_line(body, &line),
            None => {
                self.settle();
                self.note(&Note::Stdout(line + "\n"));
            }
        }
    }

    /// The cell is over, well or after its failure.
    fn cell_ended(&mut self) {
        self.end_part();
        self.settle_err();
        for (kind, body) in std::mem::take(&mut self.value) {
            self.push(&format!("{BEGIN}{kind}\n{body}\n{END}"));
        }
        self.push(COMPLETE);
    }

    fn cell_failed(&mut self, mark: &str) {
        self.end_part();
        self.settle_value();
        let text = std::mem::take(&mut self.err);
        self.unwinding = 0;
        self.note(&match mark == PANIC {
            true => Note::Panicked(text),
            false => Note::Failed(text),
        });
        self.push(mark);
    }

    /// The process is no more: what it has left goes on.
    fn process_ended(&mut self) {
        self.end_err();
        self.end_part();
        self.settle();
        self.settle_err();
        let text = self.out.end();
        if !text.is_empty() {
            self.note(&Note::Stdout(text));
        }
    }

    /// A result that was begun and never ended is text.
    fn end_part(&mut self) {
        if let Some((kind, body)) = self.part.take() {
            let line = if body.is_empty() { "" } else { "\n" };
            self.note(&Note::Stdout(format!("{BEGIN}{kind}\n{body}{line}")));
        }
    }

    /// Half a letter on stderr, of which no more comes.
    fn end_err(&mut self) {
        let text = self.letter.end();
        self.err.push_str(&text);
    }

    /// Nothing more belongs to what waits.
    fn nothing_came(&mut self) {
        if self.is_panicking() && self.unwinding < UNWINDING {
            self.unwinding += 1;
        } else {
            self.settle_err();
        }
        // What follows the cell's end comes at once, however busy the machine is.
        if self.guard.is_ending() {
            return;
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
    fn a_result_that_is_never_ended_is_text() {
        let order = &mut Order::default();
        let ended = through(order, "", &format!("{BEGIN}text/html\na\nb{COMPLETE}\n"));
        let note = Note::Stdout(format!("{BEGIN}text/html\na\nb\n")).line();
        assert_eq!(ended, [note.clone(), COMPLETE.to_owned()]);
        order
            .out
            .push(format!("{BEGIN}text/html\na\nb\n").as_bytes());
        through(order, "", "");
        order.process_ended();
        assert_eq!(through(order, "", ""), [note]);
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

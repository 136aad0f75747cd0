//! Where a cell begins and ends, and what it reads from stdin.
//!
//! evcxr tells the process with the variables over its stdin which cell to run. A cell that reads stdin itself
//! would wait for the next of these lines, for ever, and then take it away. So two lines more go with each: the
//! kernel's own first cell (`environment.rs` in `tools/kernel`), which exchanges stdin with the descriptor
//! [`SPARE`], and back. A cell finds the end of a file there, and so do the programs that it starts. All three
//! lines are written, and read, as one.
//!
//! ```text
//! evcxr: "cell"  ->  "guard, cell, guard"  ->  MARK COMPLETE ... COMPLETE MARK COMPLETE  ->  "... COMPLETE" to evcxr
//! ```
//! The mark that the guard prints says for certain where the cell's own output ends: a cell that prints evcxr's
//! word for it has printed a word.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::{Arc, Mutex, PoisonError};

/// What the guard prints.
pub const MARK: &str = "EVCXR_TRANSFER_GUARD";

/// The descriptor that the guard exchanges with stdin.
const SPARE: i32 = 100;

/// evcxr's word for the end of a cell.
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";

/// Opens the cells' stdin, in the process that holds the variables.
pub fn open_stdin() -> io::Result<()> {
    let nothing = File::open("/dev/null")?;
    // The lowest one that is free from there on, and nothing else is open yet.
    let spare = rustix::io::fcntl_dupfd_cloexec(&nothing, SPARE)?;
    let _ = spare.into_raw_fd();
    Ok(())
}

/// evcxr's lines on their way to the process with the variables. Clones are the same.
#[derive(Clone, Default)]
pub struct Commands {
    state: Arc<Mutex<State>>,
    /// The session's file with the guard's line, for the process that comes after this one.
    file: Option<PathBuf>,
}

#[derive(Default)]
struct State {
    /// The line that runs the guard, once it is known.
    guard: Option<String>,
    /// evcxr's last line.
    last: String,
}

impl Commands {
    /// Hands on what comes on stdin, until that ends.
    pub fn hand_on(mut process: ChildStdin, file: Option<PathBuf>) -> Self {
        let guard = file
            .as_ref()
            .and_then(|file| std::fs::read_to_string(file).ok());
        let commands = Self {
            state: Arc::new(Mutex::new(State {
                guard: guard.clone(),
                last: String::new(),
            })),
            file,
        };
        let this = commands.clone();
        std::thread::spawn(move || {
            // The first run of all only makes it known.
            let first = guard.map(|guard| format!("{guard}\n"));
            let lines = io::stdin().lines().map_while(Result::ok);
            for text in first.into_iter().chain(lines.map(|line| this.around(line))) {
                if process.write_all(text.as_bytes()).is_err() {
                    break;
                }
            }
        });
        commands
    }

    /// What is written for a line of evcxr's.
    fn around(&self, line: String) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match &state.guard {
            Some(guard) => format!("{guard}\n{line}\n{guard}\n"),
            None => format!("{line}\n"),
        };
        state.last = line;
        text
    }

    fn is_known(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.guard.is_some()
    }

    /// The line that was sent last runs the guard.
    fn learn(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = state.last.clone();
        if let Some(file) = &self.file {
            // Without it, cells of a process that comes after this one read evcxr's lines.
            let _ = std::fs::write(file, &guard);
        }
        state.guard = Some(guard);
    }
}

/// What a line of stdout means for the running cell.
#[derive(Debug, PartialEq)]
pub enum Sign {
    /// Nothing.
    None,
    /// It is not the cell's, or it is not clear yet whether it is.
    Kept,
    /// The cell has ended.
    End,
    /// Neither it nor those before it that were kept are marks.
    Text(Vec<String>),
}

/// How far the running cell has come.
#[derive(Default)]
pub struct Guard {
    commands: Commands,
    place: Place,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Place {
    /// Before the guard's first run: each cell ends where evcxr's word says so.
    #[default]
    Unguarded,
    /// The guard makes itself known, which evcxr has asked for, or nobody.
    Known { by_evcxr: bool },
    /// Between two cells.
    Between,
    /// The guard runs before the cell.
    Opening,
    /// In the cell.
    Inside,
    /// The cell, or evcxr, has printed evcxr's word.
    Ending,
    /// The guard runs behind the cell.
    Closing,
}

impl Guard {
    /// One for the process that these commands go to.
    pub fn new(commands: Commands) -> Self {
        Self {
            commands,
            place: Place::default(),
        }
    }

    /// Whether the cell has ended, but for the guard.
    pub fn is_ending(&self) -> bool {
        matches!(self.place, Place::Ending | Place::Closing)
    }

    /// Takes a line, and says what it means.
    pub fn sign(&mut self, line: &str) -> Sign {
        let (place, sign) = match (self.place, line) {
            (Place::Unguarded, MARK) => {
                let by_evcxr = !self.commands.is_known();
                if by_evcxr {
                    self.commands.learn();
                }
                (Place::Known { by_evcxr }, Sign::Kept)
            }
            (Place::Unguarded, COMPLETE) => (Place::Unguarded, Sign::End),
            (Place::Known { by_evcxr: true }, COMPLETE) => (Place::Between, Sign::End),
            (Place::Known { by_evcxr: false }, COMPLETE) => (Place::Between, Sign::Kept),
            (Place::Between, MARK) => (Place::Opening, Sign::Kept),
            (Place::Opening, COMPLETE) => (Place::Inside, Sign::Kept),
            (Place::Inside, COMPLETE) => (Place::Ending, Sign::Kept),
            (Place::Ending, MARK) => (Place::Closing, Sign::Kept),
            (Place::Closing, COMPLETE) => (Place::Between, Sign::End),
            // The word was the cell's own, this one may be evcxr's.
            (Place::Ending, COMPLETE) => (Place::Ending, Sign::Text(Vec::new())),
            (Place::Ending, _) => (Place::Inside, Sign::Text(vec![COMPLETE.to_owned()])),
            (place, COMPLETE | MARK) => (place, Sign::Text(Vec::new())),
            (place, _) => (place, Sign::None),
        };
        self.place = place;
        sign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the guard makes of these lines.
    fn signs(guard: &mut Guard, lines: &[&str]) -> Vec<Sign> {
        lines.iter().map(|line| guard.sign(line)).collect()
    }

    #[test]
    fn a_cell_ends_where_the_guard_says_so_whatever_it_prints() {
        let commands = Commands::default();
        assert_eq!(commands.around("first".into()), "first\n");
        let guard = &mut Guard::new(commands.clone());
        assert_eq!(signs(guard, &["a", COMPLETE]), [Sign::None, Sign::End]);
        assert_eq!(commands.around("guard".into()), "guard\n");
        assert_eq!(signs(guard, &[MARK, COMPLETE]), [Sign::Kept, Sign::End]);
        assert_eq!(commands.around("cell".into()), "guard\ncell\nguard\n");
        let cell = [
            MARK, COMPLETE, "a", COMPLETE, COMPLETE, "b", MARK, COMPLETE, MARK, COMPLETE,
        ];
        let text = |lines: &[&str]| Sign::Text(lines.iter().map(|&line| line.into()).collect());
        assert_eq!(
            signs(guard, &cell),
            [
                Sign::Kept,
                Sign::Kept,
                Sign::None,
                Sign::Kept,
                text(&[]),
                text(&[COMPLETE]),
                text(&[]),
                Sign::Kept,
                Sign::Kept,
                Sign::End,
            ]
        );
    }

    #[test]
    fn the_next_process_knows_the_guard_from_the_session() {
        let commands = Commands::default();
        commands.around("guard".into());
        commands.learn();
        let guard = &mut Guard::new(commands);
        let lines = [MARK, COMPLETE, MARK, COMPLETE, COMPLETE, MARK, COMPLETE];
        let mut expected: Vec<Sign> = lines.iter().map(|_| Sign::Kept).collect();
        expected[6] = Sign::End;
        assert_eq!(signs(guard, &lines), expected);
    }
}

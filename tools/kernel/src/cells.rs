//! Cells on their way: those that wait, and the one that runs.

use std::collections::{HashSet, VecDeque};

use serde_json::{Value, json};

use crate::message::Message;
use crate::stop::{Step, Stop};

/// How many cells may wait.
const MOST: usize = 1000;

/// The cells of one notebook.
#[derive(Default)]
pub struct Cells {
    waiting: VecDeque<Message>,
    current: Option<Cell>,
    /// What interrupts have done to that one.
    stop: Stop,
    /// The number of the last cell that Jupyter counts.
    count: u64,
}

/// The cell that runs, or is the next to run.
#[derive(Debug)]
pub struct Cell {
    /// What Jupyter has asked for.
    pub message: Message,
    /// Its number, as Jupyter counts.
    pub number: u64,
    /// Whether the engine has it.
    pub is_handed_over: bool,
    /// Results that it has shown and that move in place.
    displays: HashSet<String>,
}

impl Cell {
    /// The cell's code.
    pub fn code(&self) -> &str {
        self.message.content["code"].as_str().unwrap_or_default()
    }

    /// Whether nobody wants to see what comes of it.
    pub fn is_silent(&self) -> bool {
        self.message.content["silent"] == true
    }

    /// Whether it counts as one that the reader has run.
    pub fn is_counted(&self) -> bool {
        !self.is_silent() && self.message.content["store_history"] != false
    }

    /// Whether cells behind it are not run when it fails.
    pub fn stops_on_error(&self) -> bool {
        self.message.content["stop_on_error"] != false
    }

    /// Whether it has shown a result under this name.
    pub fn has_shown(&self, id: &str) -> bool {
        self.displays.contains(id)
    }

    /// The name that Jupyter shows a result under, and whether this cell has shown it before.
    pub fn display(&mut self, id: &str) -> (Value, bool) {
        let name = format!("{id}-{}", self.message.id());
        (json!(name), !self.displays.insert(id.to_owned()))
    }
}

impl Cells {
    /// Whether there is no room for another one.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// Takes a cell, which runs when those before it have.
    pub fn wait(&mut self, message: Message) {
        self.waiting.push_back(message);
    }

    /// Makes the cell that waits first the current one; `None` where there is one, or where none waits.
    pub fn advance(&mut self) -> Option<&mut Cell> {
        if self.current.is_some() {
            return None;
        }
        let mut cell = Cell {
            message: self.waiting.pop_front()?,
            number: self.count,
            is_handed_over: false,
            displays: HashSet::new(),
        };
        if cell.is_counted() {
            self.count += 1;
            cell.number = self.count;
        }
        Some(self.current.insert(cell))
    }

    /// The cell that runs or is the next to run.
    pub fn current(&mut self) -> Option<&mut Cell> {
        self.current.as_mut()
    }

    /// All that wait, which then do no more.
    pub fn take_waiting(&mut self) -> VecDeque<Message> {
        std::mem::take(&mut self.waiting)
    }

    /// The header of the cell that an interrupt hits, and what is to be done to it. `None` where nothing
    /// runs.
    pub fn interrupted(&mut self) -> Option<(Value, Step)> {
        let cell = self.current.as_ref().filter(|cell| cell.is_handed_over)?;
        let step = self.stop.interrupted(&cell.message.header["msg_id"]);
        Some((cell.message.header.clone(), step))
    }

    /// Whether the cell with this number has to be ended by force, now that its time is over.
    pub fn overdue(&mut self, cell: &Value) -> bool {
        self.stop.overdue(cell)
    }

    /// Takes the current cell, which has ended, and says whether it was interrupted.
    pub fn end(&mut self) -> Option<(Cell, bool)> {
        let cell = self.current.take()?;
        let was_interrupted = self.stop.ended(&cell.message.header["msg_id"]);
        Some((cell, was_interrupted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize, content: Value) -> Message {
        Message {
            identities: Vec::new(),
            header: json!({"msg_type": "execute_request", "msg_id": number.to_string()}),
            content,
        }
    }

    #[test]
    fn cells_run_one_after_the_other_and_those_that_count_have_numbers() {
        let mut cells = Cells::default();
        for content in [
            json!({}),
            json!({"silent": true}),
            json!({"store_history": false}),
        ] {
            cells.wait(message(1, content));
        }
        cells.wait(message(2, json!({})));
        assert_eq!(cells.advance().unwrap().number, 1);
        assert!(cells.advance().is_none(), "one runs");
        for number in [1, 1, 2] {
            cells.end().unwrap();
            assert_eq!(cells.advance().unwrap().number, number);
        }
        cells.end().unwrap();
        assert!(cells.advance().is_none());
        assert!(cells.end().is_none());
    }

    #[test]
    fn no_more_than_a_thousand_cells_wait() {
        let mut cells = Cells::default();
        for number in 0..MOST {
            assert!(!cells.is_full());
            cells.wait(message(number, json!({})));
        }
        assert!(cells.is_full());
        assert_eq!(cells.take_waiting().len(), MOST);
    }

    #[test]
    fn an_interrupt_hits_the_cell_that_runs() {
        let mut cells = Cells::default();
        assert!(cells.interrupted().is_none(), "nothing runs");
        cells.wait(message(1, json!({})));
        cells.wait(message(2, json!({})));
        cells.advance().unwrap();
        assert!(cells.interrupted().is_none(), "the engine has not got it");
        cells.current().unwrap().is_handed_over = true;
        let (cell, step) = cells.interrupted().unwrap();
        assert_eq!((&cell["msg_id"], step), (&json!("1"), Step::Ask));
        let (_, was_interrupted) = cells.end().unwrap();
        assert!(was_interrupted);
        cells.advance().unwrap().is_handed_over = true;
        let (cell, step) = cells.interrupted().unwrap();
        assert_eq!((&cell["msg_id"], step), (&json!("2"), Step::Ask));
        cells.end().unwrap();
        assert!(!cells.overdue(&json!("2")), "it has ended");
    }

    #[test]
    fn a_result_moves_in_place_within_its_cell_only() {
        let mut cells = Cells::default();
        cells.wait(message(1, json!({})));
        cells.wait(message(2, json!({})));
        let cell = cells.advance().unwrap();
        assert_eq!(cell.display("a"), (json!("a-1"), false));
        assert_eq!(cell.display("a"), (json!("a-1"), true));
        cells.end().unwrap();
        assert_eq!(cells.advance().unwrap().display("a"), (json!("a-2"), false));
    }
}

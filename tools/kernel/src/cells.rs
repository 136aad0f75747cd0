//! Cells on their way: those that wait for the engine, and those that it has.

use std::collections::VecDeque;

use serde_json::Value;
use zeromq::ZmqMessage;

use crate::message::Message;
use crate::stop::{Step, Stop};

/// How many messages may be on their way.
const MOST: usize = 1000;

/// The cells of one notebook, and the other questions that wait with them.
#[derive(Default)]
pub struct Cells {
    /// Messages that wait for the engine.
    waiting: VecDeque<(Message, ZmqMessage)>,
    /// Cells that the engine has and that are not answered yet.
    running: VecDeque<Message>,
    /// What interrupts have done to the first of them.
    stop: Stop,
}

impl Cells {
    /// Whether there is no room for another one.
    pub fn is_full(&self) -> bool {
        self.waiting.len() + self.running.len() >= MOST
    }

    /// Keeps a message for the engine.
    pub fn wait(&mut self, message: Message, raw: ZmqMessage) {
        self.waiting.push_back((message, raw));
    }

    /// The cell that waits first.
    pub fn first_waiting(&self) -> Option<&Message> {
        let mut messages = self.waiting.iter().map(|(message, _)| message);
        messages.find(|message| message.is_cell())
    }

    /// All that waits, which then does no more.
    pub fn take_waiting(&mut self) -> VecDeque<(Message, ZmqMessage)> {
        std::mem::take(&mut self.waiting)
    }

    /// Takes note that the engine has this cell.
    pub fn run(&mut self, cell: Message) {
        self.running.push_back(cell);
    }

    /// The cell that runs: evcxr runs them in their order.
    pub fn running(&self) -> Option<&Message> {
        self.running.front()
    }

    /// All that the engine has, which is lost with it.
    pub fn take_running(&mut self) -> VecDeque<Message> {
        self.stop = Stop::default();
        std::mem::take(&mut self.running)
    }

    /// The header of the cell that an interrupt hits, and what is to be done to it. `None` where nothing
    /// runs.
    pub fn interrupted(&mut self) -> Option<(Value, Step)> {
        let cell = self.running.front()?.header.clone();
        let step = self.stop.interrupted(&cell["msg_id"]);
        Some((cell, step))
    }

    /// Whether the cell with this number has to be ended by force, now that its time is over.
    pub fn overdue(&mut self, cell: &Value) -> bool {
        self.stop.overdue(cell)
    }

    /// Takes note that the cell with this number has ended; whether it was interrupted.
    pub fn ended(&mut self, cell: &Value) -> bool {
        self.running
            .retain(|running| running.header["msg_id"] != *cell);
        self.stop.ended(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(kind: &str, number: usize) -> Message {
        Message {
            identities: Vec::new(),
            header: json!({"msg_type": kind, "msg_id": number}),
            parent: json!({}),
            content: json!({}),
        }
    }

    #[test]
    fn no_more_than_a_thousand_cells_are_on_their_way() {
        let mut cells = Cells::default();
        cells.wait(message("complete_request", 0), ZmqMessage::from("raw"));
        for number in 1..MOST {
            assert!(!cells.is_full());
            cells.run(message("execute_request", number));
        }
        assert!(cells.is_full());
        assert!(cells.first_waiting().is_none(), "a completion is no cell");
        assert!(!cells.ended(&json!(1)));
        assert!(!cells.is_full());
    }

    #[test]
    fn an_interrupt_hits_the_cell_that_runs() {
        let mut cells = Cells::default();
        assert!(cells.interrupted().is_none(), "nothing runs");
        cells.run(message("execute_request", 1));
        cells.run(message("execute_request", 2));
        let (cell, step) = cells.interrupted().unwrap();
        assert_eq!((&cell["msg_id"], step), (&json!(1), Step::Ask));
        assert!(cells.ended(&json!(1)));
        let (cell, step) = cells.interrupted().unwrap();
        assert_eq!((&cell["msg_id"], step), (&json!(2), Step::Ask));
        assert_eq!(cells.take_running().len(), 1);
        assert!(!cells.overdue(&json!(2)), "it was lost with its engine");
    }
}

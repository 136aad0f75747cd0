//! What can happen, from either side.

use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use zeromq::ZmqMessage;

use crate::backend::Backend;
use crate::message::Channel;
use crate::publisher::Coming;

/// What the front has to deal with.
pub enum Event {
    /// Jupyter has sent something.
    Asked(Channel, ZmqMessage),
    /// The engine of this number has told something: see its `serve`. There is room for it until it is dealt with.
    Told(u32, Value, Coming),
    /// What the engine of this number is being waited for: one line.
    Progress(u32, String),
    /// The engine of this number runs, and will say when it is ready.
    Started(u32, Box<Backend>),
    /// The engine of this number is gone or could not be started, and why.
    Ended(u32, String),
    /// The time is over in which the cell with this number, on the engine of that number, could stop
    /// by itself.
    Overdue(u32, Value),
    /// Jupyter itself is gone.
    Orphaned,
}

/// A queue of events of bounded length: who has more to tell waits until the front has dealt with some.
pub fn queue() -> (Sender<Event>, Receiver<Event>) {
    channel(100)
}

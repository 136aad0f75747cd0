//! A running engine as the front sees it: three sockets to send to, and the session's folder.

use checkout::say;
use zeromq::ZmqMessage;

use crate::message::Channel;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::stop;

/// A running engine.
pub struct Backend {
    /// To its socket for cells, completion, help.
    pub shell: Outbox,
    /// To its socket for interrupts.
    pub control: Outbox,
    /// To its socket for answers to its questions.
    pub stdin: Outbox,
    /// Its folder goes with it.
    pub session: Session,
}

impl Backend {
    /// Hands a message on; `false` where too many are waiting already. One that cannot be sent later is
    /// lost with its engine, whose end is an event too.
    pub fn send(&self, channel: Channel, message: ZmqMessage) -> bool {
        let outbox = match channel {
            Channel::Control => &self.control,
            Channel::Stdin => &self.stdin,
            Channel::Shell | Channel::Iopub => &self.shell,
        };
        let is_sent = outbox.put(message);
        if !is_sent {
            say::error("the engine did not take a message: too many are waiting");
        }
        is_sent
    }

    /// Asks the running cell to stop; `false` if it cannot be asked.
    pub fn ask_to_stop(&self) -> bool {
        let asked = stop::ask(&stop::file(self.session.folder()));
        if let Err(error) = &asked {
            say::error(format!("the cell cannot be asked to stop: {error}"));
        }
        asked.is_ok()
    }

    /// Takes that back, for the next cell.
    pub fn withdraw_stop(&self) {
        if let Err(error) = stop::withdraw(&stop::file(self.session.folder())) {
            say::error(format!("later cells will stop at once: {error}"));
        }
    }
}

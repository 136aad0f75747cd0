//! What is to go out over a socket: a queue of bounded length, and the task that sends it.
//!
//! So that nobody waits for a socket whose other side does not read.

use checkout::say;
use tokio::sync::mpsc::{Sender, channel};
use zeromq::{SocketSend, ZmqMessage};

/// How many messages wait for their socket at most.
const LENGTH: usize = 1000;

/// The way out over one socket.
pub struct Outbox {
    queue: Sender<ZmqMessage>,
}

impl Outbox {
    /// The way out over `socket`, whose other side is called `name` where it does not take a message.
    pub fn new(mut socket: impl SocketSend + Send + 'static, name: &'static str) -> Self {
        let (queue, mut messages) = channel(LENGTH);
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if let Err(error) = socket.send(message).await {
                    say::error(format!("{name} did not take a message: {error}"));
                }
            }
        });
        Self { queue }
    }

    /// Sends a message, in its turn; `false` where too many are waiting already.
    pub fn put(&self, message: ZmqMessage) -> bool {
        self.queue.try_send(message).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;
    use zeromq::{DealerSocket, RouterSocket, Socket};

    #[tokio::test]
    async fn who_sends_to_a_socket_that_nobody_reads_is_told_so_and_does_not_wait() {
        let mut unread = RouterSocket::new();
        let address = unread.bind("tcp://127.0.0.1:0").await.unwrap();
        let mut socket = DealerSocket::new();
        socket.connect(&address.to_string()).await.unwrap();
        let outbox = Outbox::new(socket, "the test");
        let message = ZmqMessage::from(Bytes::from(vec![0; 100_000]));
        let put = async {
            let mut count = 0;
            while outbox.put(message.clone()) {
                count += 1;
                tokio::task::yield_now().await;
            }
            count
        };
        let count = tokio::time::timeout(Duration::from_secs(20), put).await;
        // Those behind the queue lie in the system's own buffers.
        assert!((LENGTH..2 * LENGTH).contains(&count.unwrap()));
    }
}

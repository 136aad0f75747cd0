//! iopub: what everybody sees, handed to each reader at that reader's pace.
//!
//! zeromq's own `PubSocket` waits for its slowest reader: a second console that somebody has stopped
//! would stop the kernel. ZeroMQ wants that such a reader loses messages, and nobody else. So this is a
//! PUB socket of our own: a queue of bounded size and a task for each reader, over [`crate::zmtp`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::ZmqMessage;

use crate::zmtp;

/// How many bytes wait for one reader before it loses messages: 40,000 printed lines, or dozens of
/// figures.
const MOST: usize = 32 << 20;

/// How many bytes are written to a reader at once.
const PIECE: usize = 1 << 16;

/// How long a reader with a full queue may take nothing before nobody waits for it any more: longer than a
/// busy Jupyter server pauses.
const PATIENCE: Duration = Duration::from_secs(10);

/// All readers of iopub. Clones are the same.
#[derive(Clone)]
pub struct Publisher {
    readers: Arc<Mutex<Vec<Arc<Reader>>>>,
    /// The bytes that are on their way here: see [`Coming`].
    coming: Arc<AtomicUsize>,
    /// A reader has taken something, or has gone; or something has come.
    moved: Arc<Notify>,
    /// [`PATIENCE`], but in tests.
    patience: Duration,
}

/// Room for what will be published soon. Until this is dropped it counts as if it were: between a figure that is on
/// its way and what follows it there would be room, and behind the figure none.
#[derive(Debug)]
pub struct Coming {
    bytes: usize,
    all: Arc<AtomicUsize>,
    moved: Arc<Notify>,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
        self.moved.notify_one();
    }
}

/// One reader.
struct Reader {
    /// The beginnings of first frames that it wants.
    topics: Mutex<Vec<Vec<u8>>>,
    /// Whole messages, encoded.
    queue: UnboundedSender<Bytes>,
    /// The bytes in the queue, which is bounded by them.
    waiting: AtomicUsize,
    /// Has taken nothing for too long.
    is_stopped: AtomicBool,
}

impl Publisher {
    /// Lets readers in at `address` ("127.0.0.1:5555").
    ///
    /// # Errors
    ///
    /// The system's: the address cannot be used.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self::listen(listener, PATIENCE))
    }

    fn listen(listener: TcpListener, patience: Duration) -> Self {
        let publisher = Self {
            readers: Arc::default(),
            coming: Arc::default(),
            moved: Arc::default(),
            patience,
        };
        let readers = publisher.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let readers = readers.clone();
                // What ends a connection is the reader's affair.
                tokio::spawn(async move { readers.serve(stream).await });
            }
        });
        publisher
    }

    /// Puts a message into the queue of each reader that wants it and has room. Waits for nobody.
    pub fn publish(&self, message: &ZmqMessage) {
        let Some(topic) = message.get(0) else {
            return;
        };
        let mut bytes = None;
        for reader in locked(&self.readers).iter() {
            if reader.wants(topic) && reader.waiting.load(Ordering::Relaxed) < MOST {
                let bytes = bytes.get_or_insert_with(|| zmtp::encoded(message)).clone();
                reader.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
                let _ = reader.queue.send(bytes);
            }
        }
    }

    /// Waits until a reader has room for `bytes` that will be published, so that whoever floods iopub is slowed down
    /// to the pace of its quickest reader, and one that reads loses nothing. A stopped reader is waited for once.
    pub async fn room(&self, bytes: usize) -> Coming {
        while self.is_full() {
            let moved = tokio::time::timeout(self.patience, self.moved.notified());
            if moved.await.is_err() {
                for reader in locked(&self.readers).iter() {
                    reader.is_stopped.store(true, Ordering::Relaxed);
                }
            }
        }
        self.coming.fetch_add(bytes, Ordering::Relaxed);
        Coming {
            bytes,
            all: self.coming.clone(),
            moved: self.moved.clone(),
        }
    }

    /// Whether all readers have full queues, and one of them still reads. Half of a queue stays free
    /// for what the kernel itself has to say.
    fn is_full(&self) -> bool {
        let readers = locked(&self.readers);
        let coming = self.coming.load(Ordering::Relaxed);
        let is_behind =
            |reader: &Reader| reader.waiting.load(Ordering::Relaxed) + coming >= MOST / 2;
        readers.iter().all(|reader| is_behind(reader))
            && readers
                .iter()
                .any(|reader| !reader.is_stopped.load(Ordering::Relaxed))
    }

    async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        zmtp::greet(&mut stream).await?;
        let (incoming, outgoing) = stream.into_split();
        let (queue, messages) = unbounded_channel();
        let reader = Arc::new(Reader {
            topics: Mutex::default(),
            queue,
            waiting: AtomicUsize::new(0),
            is_stopped: AtomicBool::new(false),
        });
        locked(&self.readers).push(reader.clone());
        let ended = tokio::select! {
            ended = reader.listen(incoming) => ended,
            ended = reader.feed(outgoing, messages, &self.moved) => ended,
        };
        locked(&self.readers).retain(|other| !Arc::ptr_eq(other, &reader));
        self.moved.notify_one();
        ended
    }
}

impl Reader {
    fn wants(&self, topic: &[u8]) -> bool {
        locked(&self.topics)
            .iter()
            .any(|wanted| topic.starts_with(wanted))
    }

    /// Takes note of subscriptions, until the reader goes.
    async fn listen(&self, mut incoming: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let (is_command, body) = zmtp::frame(&mut incoming).await?;
            let mut topics = locked(&self.topics);
            match body.split_first() {
                Some((1, topic)) if !is_command => topics.push(topic.to_vec()),
                Some((0, topic)) if !is_command => {
                    if let Some(place) = topics.iter().position(|known| known == topic) {
                        topics.remove(place);
                    }
                }
                _ => {}
            }
        }
    }

    /// Sends what is in the queue.
    async fn feed(
        &self,
        mut outgoing: impl AsyncWrite + Unpin,
        mut messages: UnboundedReceiver<Bytes>,
        moved: &Notify,
    ) -> io::Result<()> {
        while let Some(bytes) = messages.recv().await {
            // In pieces: a figure of 50 MB takes longer than the patience with its reader on a busy machine, and
            // whoever takes a part of it does read.
            for piece in bytes.chunks(PIECE) {
                outgoing.write_all(piece).await?;
                self.waiting.fetch_sub(piece.len(), Ordering::Relaxed);
                self.is_stopped.store(false, Ordering::Relaxed);
                moved.notify_one();
            }
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;
    use zeromq::{Socket, SocketRecv, SubSocket};

    /// So long a test waits for what has to happen.
    const SOON: Duration = Duration::from_secs(20);

    async fn publisher() -> (Publisher, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        (
            Publisher::listen(listener, Duration::from_millis(500)),
            address,
        )
    }

    /// A reader whose subscription has arrived.
    async fn reader(publisher: &Publisher, address: &str, topic: &str) -> SubSocket {
        let number = locked(&publisher.readers).len();
        let mut socket = SubSocket::new();
        socket.connect(address).await.unwrap();
        socket.subscribe(topic).await.unwrap();
        let is_there = || {
            let readers = locked(&publisher.readers);
            readers
                .get(number)
                .is_some_and(|reader| !locked(&reader.topics).is_empty())
        };
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        socket
    }

    fn message(topic: &str, body: Vec<u8>) -> ZmqMessage {
        let frames = vec![Bytes::from(topic.to_owned()), Bytes::from(body)];
        ZmqMessage::try_from(frames).unwrap()
    }

    #[tokio::test]
    async fn a_reader_gets_what_it_has_subscribed_to() {
        let (publisher, address) = publisher().await;
        let mut socket = reader(&publisher, &address, "stream").await;
        publisher.publish(&message("status", vec![1]));
        for length in [0, 1, 255, 256, 100_000] {
            let sent = message("stream", vec![7; length]);
            publisher.publish(&sent);
            let got = timeout(SOON, socket.recv()).await.unwrap().unwrap();
            assert_eq!(got.into_vec(), sent.into_vec());
        }
        drop(socket);
        while !locked(&publisher.readers).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_stopped_reader_loses_messages_and_nobody_waits_for_it() {
        let (publisher, address) = publisher().await;
        let _stopped = reader(&publisher, &address, "").await;
        let mut quick = reader(&publisher, &address, "").await;
        let all = async {
            for number in 0..100_u8 {
                let _coming = publisher.room(0).await;
                publisher.publish(&message("stream", vec![number; 1 << 20]));
                let got = quick.recv().await.unwrap();
                assert_eq!(got.get(1).unwrap()[0], number);
            }
        };
        timeout(SOON, all).await.expect("somebody waited");
        let readers = locked(&publisher.readers);
        let waiting = readers[0].waiting.load(Ordering::Relaxed);
        assert!(waiting < MOST + (2 << 20), "{waiting}");
        assert_eq!(readers[1].waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_takes_long_for_a_large_figure_is_not_taken_for_one_who_reads_nothing() {
        let (publisher, _) = publisher().await;
        let (mut slow, outgoing) = tokio::io::duplex(PIECE);
        let (queue, messages) = unbounded_channel();
        let reader = Arc::new(Reader {
            topics: Mutex::new(vec![Vec::new()]),
            queue,
            waiting: AtomicUsize::new(0),
            is_stopped: AtomicBool::new(false),
        });
        locked(&publisher.readers).push(reader.clone());
        let moved = publisher.moved.clone();
        tokio::spawn(async move { reader.feed(outgoing, messages, &moved).await });
        let figure = message("display_data", vec![0; MOST + 1]);
        let idle = message("status", vec![1]);
        publisher.publish(&figure);
        let next = async {
            let _coming = publisher.room(0).await;
            publisher.publish(&idle);
        };
        let all = zmtp::encoded(&figure).len() + zmtp::encoded(&idle).len();
        let read = async {
            let mut bytes = vec![0; all];
            // Three times as long as a reader is waited for that takes nothing.
            for piece in bytes.chunks_mut(all / 15 + 1) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                slow.read_exact(piece).await.unwrap();
            }
        };
        timeout(SOON, async { tokio::join!(next, read) })
            .await
            .expect("the message behind the figure was lost");
    }

    #[tokio::test]
    async fn a_flood_takes_the_pace_of_a_reader_that_reads_and_is_not_held_up_by_one_that_does_not()
    {
        let (publisher, address) = publisher().await;
        let mut slow = reader(&publisher, &address, "").await;
        let flood = async {
            for number in 0..100_u8 {
                let _coming = publisher.room(0).await;
                publisher.publish(&message("stream", vec![number; 1 << 20]));
            }
        };
        let read = async {
            for number in 0..100 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let got = slow.recv().await.unwrap();
                assert_eq!(got.get(1).unwrap()[0], number, "one was lost");
            }
        };
        timeout(SOON, async { tokio::join!(flood, read) })
            .await
            .expect("both come to their end");
        // From here on it reads nothing.
        let flood = async {
            for number in 0..100_u8 {
                let _coming = publisher.room(0).await;
                publisher.publish(&message("stream", vec![number; 1 << 20]));
            }
        };
        timeout(SOON, flood).await.expect("it was waited for once");
    }

    #[tokio::test]
    async fn what_is_on_its_way_counts_like_what_waits() {
        let (publisher, address) = publisher().await;
        let mut socket = reader(&publisher, &address, "").await;
        let figure = message("display_data", vec![0; MOST + 1]);
        let coming = publisher.room(MOST + 1).await;
        let idle = message("status", vec![1]);
        // Nothing is published yet, and yet there is no room behind it.
        let early = timeout(Duration::from_millis(100), publisher.room(1)).await;
        assert!(early.is_err());
        publisher.publish(&figure);
        drop(coming);
        let next = async {
            let _coming = publisher.room(1).await;
            publisher.publish(&idle);
        };
        let read = async { (socket.recv().await.unwrap(), socket.recv().await.unwrap()) };
        let (_, (_, last)) = timeout(SOON, async { tokio::join!(next, read) })
            .await
            .expect("the message behind the figure was lost");
        assert_eq!(last.into_vec(), idle.into_vec());
    }
}

//! What a PUB socket has to know of the protocol that ZeroMQ speaks
//! (ZMTP 3.0, <https://rfc.zeromq.org/spec/23/>).

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeromq::ZmqMessage;

/// The longest frame that a reader may send: subscriptions have a few bytes.
const LONGEST_FRAME: usize = 1 << 16;

/// The bits of a frame's first byte.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The command that ends a handshake, as a frame.
const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";

/// The handshake: who speaks which version, without encryption, as what kind of socket.
///
/// # Errors
///
/// The system's, or the other side is something else.
pub async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    stream.write_all(&greeting).await?;
    let mut theirs = [0; 64];
    stream.read_exact(&mut theirs).await?;
    let is_fit = (theirs[0], theirs[9]) == (0xff, 0x7f)
        && theirs[10] >= 3
        && theirs[12..32] == greeting[12..32];
    if !is_fit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    stream.write_all(READY).await?;
    let (is_command, body) = frame(stream).await?;
    if !is_command || !body.starts_with(b"\x05READY") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

/// Reads one frame: whether it is a command, and its body.
///
/// # Errors
///
/// The system's, or the frame is longer than any subscription.
pub async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(bool, Vec<u8>)> {
    let flags = stream.read_u8().await?;
    let length = if flags & LONG == 0 {
        u64::from(stream.read_u8().await?)
    } else {
        stream.read_u64().await?
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((flags & COMMAND != 0, body))
}

/// A message as it travels.
pub fn encoded(message: &ZmqMessage) -> Bytes {
    let mut bytes = BytesMut::new();
    for (number, frame) in message.iter().enumerate() {
        let more = if number + 1 < message.len() { MORE } else { 0 };
        match u8::try_from(frame.len()) {
            Ok(length) => bytes.put_slice(&[more, length]),
            Err(_) => {
                bytes.put_u8(more | LONG);
                bytes.put_u64(frame.len() as u64);
            }
        }
        bytes.put_slice(frame);
    }
    bytes.freeze()
}

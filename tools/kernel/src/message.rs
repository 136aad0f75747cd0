//! Jupyter's messages as they travel: frames in, a [`Message`] out, and back.
//!
//! A message is: routing identities, a delimiter, an HMAC signature, then header, parent header,
//! metadata and content as JSON, then binary buffers. The signature is that of the four parts alone
//! (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol>).

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use zeromq::ZmqMessage;

const DELIMITER: &[u8] = b"<IDS|MSG>";

/// Jupyter's channels, but for the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Channel {
    /// Cells, completion, help.
    Shell,
    /// Interrupt and the end.
    Control,
    /// Questions to the user.
    Stdin,
    /// What everybody sees.
    Iopub,
}

/// The protocol version whose messages this kernel sends; evcxr_jupyter names the same.
const VERSION: &str = "5.3";

/// Signs messages with the key of the connection file, and checks what arrives.
#[derive(Clone)]
pub struct Signer {
    /// `None`: the connection file has an empty key, which turns signing off.
    mac: Option<Hmac<Sha256>>,
    /// Names this process in the headers of its own messages.
    session: String,
}

impl Signer {
    /// A signer for the connection file's `key`.
    pub fn new(key: &str) -> Self {
        let mac = (!key.is_empty())
            .then(|| Hmac::new_from_slice(key.as_bytes()).ok())
            .flatten();
        Self {
            mac,
            session: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// The signature of header, parent header, metadata and content.
    fn sign(&self, parts: &[Bytes; 4]) -> String {
        let Some(mut mac) = self.mac.clone() else {
            return String::new();
        };
        parts.iter().for_each(|part| mac.update(part));
        hex::encode(mac.finalize().into_bytes())
    }

    fn accepts(&self, signature: &[u8], parts: &[Bytes; 4]) -> bool {
        let Some(mut mac) = self.mac.clone() else {
            return true;
        };
        parts.iter().for_each(|part| mac.update(part));
        hex::decode(signature).is_ok_and(|bytes| mac.verify_slice(&bytes).is_ok())
    }

    /// Reads a message; `None` for one that is damaged or that somebody else signed.
    pub fn read(&self, raw: &ZmqMessage) -> Option<Message> {
        let frames = Frames::of(raw)?;
        if !self.accepts(&frames.signature, &frames.parts) {
            return None;
        }
        let [header, parent, _metadata, content] = frames.parts;
        Some(Message {
            identities: frames.identities,
            header: serde_json::from_slice(&header).ok()?,
            parent: serde_json::from_slice(&parent).ok()?,
            content: serde_json::from_slice(&content).ok()?,
        })
    }

    /// A message of our own, caused by the message with the header `parent`.
    pub fn write(
        &self,
        identities: &[Bytes],
        kind: &str,
        parent: &Value,
        content: &Value,
    ) -> Option<ZmqMessage> {
        let header = json!({
            "msg_id": uuid::Uuid::new_v4().simple().to_string(),
            "session": self.session,
            "username": "kernel",
            "date": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "msg_type": kind,
            "version": VERSION,
        });
        let parts = [&header, parent, &json!({}), content].map(|part| part.to_string().into());
        self.joined(identities.to_vec(), parts, Vec::new())
    }

    /// The message with other content; everything else stays as it came, to the byte.
    pub fn with_content(&self, raw: &ZmqMessage, content: &Value) -> Option<ZmqMessage> {
        let mut frames = Frames::of(raw)?;
        frames.parts[3] = content.to_string().into();
        self.joined(frames.identities, frames.parts, frames.buffers)
    }

    fn joined(
        &self,
        identities: Vec<Bytes>,
        parts: [Bytes; 4],
        buffers: Vec<Bytes>,
    ) -> Option<ZmqMessage> {
        let mut frames = identities;
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(Bytes::from(self.sign(&parts)));
        frames.extend(parts);
        frames.extend(buffers);
        // Fails for no frames at all only.
        ZmqMessage::try_from(frames).ok()
    }

    /// Whether the message with this header was written by [`Signer::write`] of this signer.
    pub fn wrote(&self, header: &Value) -> bool {
        header["session"] == self.session.as_str()
    }
}

/// A message in its frames.
struct Frames {
    identities: Vec<Bytes>,
    signature: Bytes,
    /// Header, parent header, metadata and content.
    parts: [Bytes; 4],
    buffers: Vec<Bytes>,
}

impl Frames {
    /// `None` for a damaged message.
    fn of(raw: &ZmqMessage) -> Option<Self> {
        let mut identities: Vec<Bytes> = raw.iter().cloned().collect();
        let delimiter = identities
            .iter()
            .position(|frame| frame[..] == *DELIMITER)?;
        // The delimiter itself, the signature, the four parts, the buffers.
        let rest = identities.split_off(delimiter);
        Some(Self {
            identities,
            signature: rest.get(1)?.clone(),
            parts: rest.get(2..6)?.to_vec().try_into().ok()?,
            buffers: rest.get(6..)?.to_vec(),
        })
    }
}

/// One message, read.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where a reply has to be sent.
    pub identities: Vec<Bytes>,
    /// Number, kind and sender.
    pub header: Value,
    /// The header of the message that caused this one; `{}` for a request.
    pub parent: Value,
    /// What the message says.
    pub content: Value,
}

impl Message {
    /// `"execute_request"`, `"status"` and so on.
    pub fn kind(&self) -> &str {
        self.header["msg_type"].as_str().unwrap_or_default()
    }

    /// Whether it asks for a cell to be run.
    pub fn is_cell(&self) -> bool {
        self.kind() == "execute_request"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_there_and_back() {
        let signer = Signer::new("secret");
        let identity = Bytes::from_static(b"client");
        let parent = json!({"msg_id": "1", "msg_type": "execute_request"});
        let raw = signer
            .write(
                std::slice::from_ref(&identity),
                "stream",
                &parent,
                &json!({"text": "hä\n"}),
            )
            .unwrap();
        let message = signer.read(&raw).unwrap();
        assert_eq!(message.identities, [identity]);
        assert_eq!(message.kind(), "stream");
        assert_eq!(message.parent, parent);
        assert_eq!(message.content["text"], "hä\n");
        assert!(signer.wrote(&message.header));
    }

    #[test]
    fn a_wrong_signature_is_refused_and_no_key_accepts_all() {
        let raw = Signer::new("secret")
            .write(&[], "status", &json!({}), &json!({}))
            .unwrap();
        assert!(Signer::new("other").read(&raw).is_none());
        assert!(Signer::new("").read(&raw).is_some());
    }

    /// The signature that Python's `hmac` computes:
    /// `hmac.new(b"k", b"{}" * 4, "sha256").hexdigest()`.
    #[test]
    fn signatures_are_those_of_python() {
        let parts = [const { Bytes::from_static(b"{}") }; 4];
        assert_eq!(
            Signer::new("k").sign(&parts),
            "6f7c3dea506a2fb840fc9377d65462646f8e8df4acfafa710cf0c50bb2db8de2"
        );
    }

    /// A message as a widget sends it, with metadata and two buffers, signed as Jupyter's own `Session`
    /// does: `hmac.new(b"k", b"".join(parts), "sha256")`.
    fn with_buffers() -> ZmqMessage {
        let frames = [
            &b"comm"[..],
            DELIMITER,
            b"46ac8273182d15499a33c277399548fbf583865cfcc5cfd63292fd6046e96f2f",
            b"{\"msg_type\": \"comm_msg\"}",
            b"{}",
            b"{\"a\":  0.10}",
            b"{\"n\": 2}",
            b"\0\x01",
            b"",
        ];
        let frames = frames.map(Bytes::from_static).to_vec();
        ZmqMessage::try_from(frames).unwrap()
    }

    #[test]
    fn buffers_are_not_signed_and_stay_with_their_message() {
        let signer = Signer::new("k");
        let raw = with_buffers();
        assert_eq!(signer.read(&raw).unwrap().kind(), "comm_msg");
        let changed = signer.with_content(&raw, &json!({"n": 1})).unwrap();
        assert_eq!(signer.read(&changed).unwrap().content, json!({"n": 1}));
        for frame in [0, 1, 3, 4, 5, 7, 8] {
            assert_eq!(changed.get(frame), raw.get(frame), "frame {frame}");
        }
        assert_eq!(changed.len(), raw.len());
    }

    #[test]
    fn damaged_messages_are_refused() {
        let signer = Signer::new("");
        for frames in [
            vec![Bytes::from_static(b"id")],
            vec![Bytes::from_static(DELIMITER)],
            vec![
                Bytes::from_static(DELIMITER),
                Bytes::new(),
                Bytes::from_static(b"{}"),
            ],
            vec![
                Bytes::from_static(DELIMITER),
                Bytes::new(),
                Bytes::from_static(b"{"),
                Bytes::from_static(b"{}"),
                Bytes::from_static(b"{}"),
                Bytes::from_static(b"{}"),
            ],
        ] {
            assert!(
                signer
                    .read(&ZmqMessage::try_from(frames).unwrap())
                    .is_none()
            );
        }
    }
}

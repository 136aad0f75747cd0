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

/// Jupyter's channels that questions and answers go over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Channel {
    /// Cells, completion, help.
    Shell,
    /// Interrupt and the end.
    Control,
    /// Questions to the user.
    Stdin,
}

/// The protocol version whose messages this kernel sends.
pub const VERSION: &str = "5.3";

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
        let [header, _parent, _metadata, content] = frames.parts;
        Some(Message {
            identities: frames.identities,
            header: serde_json::from_slice(&header).ok()?,
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
        let mut frames = identities.to_vec();
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(Bytes::from(self.sign(&parts)));
        frames.extend(parts);
        // Fails for no frames at all only.
        ZmqMessage::try_from(frames).ok()
    }
}

/// A message in its frames.
struct Frames {
    identities: Vec<Bytes>,
    signature: Bytes,
    /// Header, parent header, metadata and content.
    parts: [Bytes; 4],
}

impl Frames {
    /// `None` for a damaged message.
    fn of(raw: &ZmqMessage) -> Option<Self> {
        let mut identities: Vec<Bytes> = raw.iter().cloned().collect();
        let delimiter = identities
            .iter()
            .position(|frame| frame[..] == *DELIMITER)?;
        // The delimiter itself, the signature, the four parts, and buffers, which no request here has.
        let rest = identities.split_off(delimiter);
        Some(Self {
            identities,
            signature: rest.get(1)?.clone(),
            parts: rest.get(2..6)?.to_vec().try_into().ok()?,
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
    /// What the message says.
    pub content: Value,
}

impl Message {
    /// `"execute_request"`, `"status"` and so on.
    pub fn kind(&self) -> &str {
        self.header["msg_type"].as_str().unwrap_or_default()
    }

    /// The message's number.
    pub fn id(&self) -> &str {
        self.header["msg_id"].as_str().unwrap_or_default()
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
        let frames = Frames::of(&raw).unwrap();
        assert_eq!(frames.parts[1], parent.to_string());
        assert_eq!(message.content["text"], "hä\n");
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

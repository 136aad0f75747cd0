//! Jupyter's messages as they travel: frames in, a [`Message`] out, and back.
//!
//! A message is: routing identities, a delimiter, an HMAC signature, then header, parent header,
//! metadata and content as JSON, then binary buffers. The signature is that of the four parts alone
//! (<https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol>).
//!
//! Contents stay JSON and not the types of the crate `jupyter-protocol`: most messages pass through here as they came, and must
//! keep fields that neither those types nor this kernel know.

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
#[path = "../../../tests/common/damage.rs"]
mod damage;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completeness;
    use crate::history::History;
    use crate::zmtp;

    /// More cases: EVCXR_TRANSFER_FUZZ=60 cargo test --package kernel message:: -- --nocapture
    #[test]
    fn damaged_messages_are_read_or_refused() {
        let signer = Signer::new("");
        let files = [
            json!({"code": "let r#\"a\"# = (1, 'b', \"\\n\"); /* { */", "silent": false, "store_history": true}),
            json!({"code": "let ü = 1; ü.", "cursor_pos": 12, "detail_level": 0}),
            json!({"hist_access_type": "search", "pattern": "a*?b*", "n": 3, "unique": true, "session": 0}),
            json!({"hist_access_type": "range", "session": 0, "start": 1, "stop": 3, "output": true}),
        ];
        let written = |content: &Value| {
            let identity = [Bytes::from_static(b"client")];
            let raw = signer.write(&identity, "history_request", &json!({}), content);
            raw.unwrap()
        };
        let framed = files
            .iter()
            .map(|content| ("whole", framed(&written(content))));
        let alone = files
            .iter()
            .map(|content| ("content", content.to_string().into_bytes()));
        let files: Vec<(String, Vec<u8>)> = framed
            .chain(alone)
            .map(|(kind, bytes)| (kind.to_owned(), bytes))
            .collect();
        let mut history = History::default();
        for number in 0..4 {
            history.add(number, "let aab = \"ab\";");
        }
        let refused = damage::damaged("messages", &files, 4000, |kind, bytes| {
            // What a reader of iopub sends.
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let mut sent = bytes;
            while runtime
                .as_ref()
                .unwrap()
                .block_on(zmtp::frame(&mut sent))
                .is_ok()
            {}
            let raw = match kind {
                "whole" => unframed(bytes),
                _ => {
                    let parts = [&b"{}"[..], b"{}", b"{}", bytes].map(Bytes::copy_from_slice);
                    let before = [DELIMITER, b""].map(Bytes::from_static);
                    ZmqMessage::try_from([&before[..], &parts[..]].concat()).ok()
                }
            };
            let Some(message) = raw.and_then(|raw| signer.read(&raw)) else {
                return false;
            };
            assert!(message.kind().len() + message.id().len() <= bytes.len());
            let code = message.content["code"].as_str().unwrap_or_default();
            completeness::reply(code);
            history.reply(&message.content);
            true
        });
        assert!(refused > 500, "the damage is real: {refused}");
    }

    /// A message's frames in a row, each behind its length.
    fn framed(raw: &ZmqMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in raw.iter() {
            bytes.extend((frame.len() as u16).to_le_bytes());
            bytes.extend(&frame[..]);
        }
        bytes
    }

    /// The way back, as far as it goes.
    fn unframed(bytes: &[u8]) -> Option<ZmqMessage> {
        let (mut frames, mut rest) = (Vec::new(), bytes);
        while let [low, high, more @ ..] = rest {
            let length = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
            frames.push(Bytes::copy_from_slice(&more[..length]));
            rest = &more[length..];
        }
        ZmqMessage::try_from(frames).ok()
    }

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
        // Buffers follow the parts, and are not signed.
        let mut raw = raw;
        raw.push_back(Bytes::from_static(b"\x00\xff"));
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

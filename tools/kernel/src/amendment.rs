//! What Jupyter is told otherwise than evcxr tells it: the cells' numbers, and how wide fine pictures are.

use serde_json::Value;

use crate::density;
use crate::message::Message;

/// The content with the cell's number as Jupyter counts, evcxr calls the first one 2; and with the width
/// of a fine picture. `None` if there is nothing to change.
pub fn amended(message: &Message) -> Option<Value> {
    let (is_numbered, may_show) = match message.kind() {
        "execute_result" => (true, true),
        "execute_input" | "execute_reply" => (true, false),
        "display_data" => (false, true),
        _ => return None,
    };
    let mut content = message.content.clone();
    let number = content["execution_count"].as_u64();
    let number = number.filter(|_| is_numbered);
    if let Some(number) = number {
        content["execution_count"] = Value::from(number.saturating_sub(1));
    }
    let has_width = may_show && density::tell_width(&mut content);
    (number.is_some() || has_width).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(kind: &str, content: Value) -> Message {
        Message {
            identities: Vec::new(),
            header: json!({ "msg_type": kind }),
            parent: json!({}),
            content,
        }
    }

    #[test]
    fn cells_are_counted_from_one_and_other_messages_stay_as_they_are() {
        let content = json!({"execution_count": 2, "data": {"text/plain": "1"}});
        for kind in ["execute_result", "execute_input", "execute_reply"] {
            let amended = amended(&message(kind, content.clone())).unwrap();
            assert_eq!(amended["execution_count"], 1);
            assert_eq!(amended["data"], content["data"]);
        }
        for kind in ["display_data", "stream", "comm_msg"] {
            assert_eq!(amended(&message(kind, content.clone())), None, "{kind}");
        }
    }
}

//! `connect_error` with `data: {code, message, requestId}`, as clients of Socket.IO expect it.
//!
//! The library's refusals have a text only (`{"message": text}`). So the whole packet is put into the text, and taken
//! out again on its way to the client. The bytes keep their number, padded with spaces, since they may stand inside a
//! frame that tells its length. Can go when the library sends data with a refusal; until then the tests of the sockets
//! with the real client hold it.

use std::fmt;

use serde_json::{Value, json};
use shared::telemetry::RequestId;

use crate::http::ApiError;

/// How the packet of a refusal begins. Inside the JSON of any other packet a quote would be escaped.
const START: &[u8] = b"44{\"message\":\"refused:";

/// Where the JSON begins within the packet.
const JSON_AT: usize = 2;

/// Longest write that is looked at: a client that is refused gets nothing else.
const WRITE_MAX: usize = 4096;

/// Why a client is not let in, as text for the library.
#[derive(Debug)]
pub(super) struct Refusal(String);

impl Refusal {
    pub(super) fn new(error: &ApiError, request_id: &RequestId) -> Self {
        let data = json!({
            "code": error.code.as_str(),
            "message": error.detail,
            "requestId": request_id.as_str(),
        });
        Self(format!("refused:{}", json!({ "message": error.code.as_str(), "data": data })))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `bytes` with the refusal in it as clients expect it, of the same length; `None` when there is none.
pub(super) fn with_data(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > WRITE_MAX {
        return None;
    }
    let start = bytes.windows(START.len()).position(|window| window == START)? + JSON_AT;
    let mut packet = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter::<Value>();
    let text = packet.next()?.ok()?;
    let end = start + packet.byte_offset();
    let inner = text["message"].as_str()?.strip_prefix("refused:")?;
    let mut rewritten = bytes.to_vec();
    let room = rewritten.get_mut(start..end)?;
    room.get_mut(..inner.len())?.copy_from_slice(inner.as_bytes());
    room[inner.len()..].fill(b' ');
    Some(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Code;

    #[test]
    fn a_refusal_becomes_a_message_with_data_of_the_same_length() {
        let error = ApiError::new(Code::Forbidden, "not \"yours\"\n");
        let refusal = Refusal::new(&error, &RequestId::accept(Some("r1"))).to_string();
        let sent = format!("\u{1}44{}\u{1e}2", json!({ "message": refusal }));
        let rewritten = String::from_utf8(with_data(sent.as_bytes()).unwrap()).unwrap();
        assert_eq!(rewritten.len(), sent.len());
        let packet = rewritten.strip_prefix("\u{1}44").unwrap().strip_suffix("\u{1e}2").unwrap();
        let data = json!({ "code": "forbidden", "message": "not \"yours\"\n", "requestId": "r1" });
        assert_eq!(
            serde_json::from_str::<Value>(packet).unwrap(),
            json!({ "message": "forbidden", "data": data })
        );
    }

    #[test]
    fn anything_else_is_left_alone() {
        let said = json!(["newMessage", { "content": "44{\"message\":\"refused:{}\"}" }]);
        for text in
            [format!("42{said}"), "44{\"message\":\"Invalid namespace\"}".to_owned(), START_OF_ONE.to_owned()]
        {
            assert_eq!(with_data(text.as_bytes()), None, "{text}");
        }
    }

    const START_OF_ONE: &str = "44{\"message\":\"refused:{}";
}

//! What clients are sent: A's shapes, and in support threads the desk's projection of a message.

use poem_openapi::types::ToJSON as _;
use serde_json::{Value, json};
use shared::domain::thread::{Thread, ThreadKind};

use crate::api::desk::DeskMessageOut;
use crate::api::shapes::{MessageOut, ThreadOut};
use crate::chat::{MessageView, ThreadView};
use crate::http::ApiError;

/// A message of `thread` for one kind of reader; a guest is told whether it is its own.
pub(super) fn message(thread: &Thread, view: &MessageView, is_mine: Option<bool>) -> Value {
    let shown = match thread.kind {
        ThreadKind::Support => DeskMessageOut::live(thread, view, is_mine).to_json(),
        ThreadKind::Guest | ThreadKind::Team => MessageOut::from(view).to_json(),
    };
    shown.unwrap_or_default()
}

/// `newMessage`: `support` says a customer or guest, `team` the staff.
pub(super) fn new_message(message: Value, by_staff: bool) -> Value {
    json!({ "message": message, "type": if by_staff { "team" } else { "support" } })
}

/// `messageUpdated`.
pub(super) fn message_updated(thread: &Thread, message: Value) -> Value {
    json!({ "threadId": thread.thread_id.as_str(), "message": message })
}

/// `threadUpdated`.
pub(super) fn thread_updated(view: ThreadView) -> Value {
    json!({ "thread": ThreadOut::from(view).to_json() })
}

/// What a refused request is acknowledged with.
pub(super) fn refused(error: &ApiError) -> Value {
    json!({ "error": { "code": error.code.as_str(), "message": error.detail } })
}

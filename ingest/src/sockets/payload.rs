//! What clients are sent: A's shapes, and in support threads the desk's projection of a message.

use poem_openapi::types::ToJSON as _;
use serde_json::{Value, json};
use shared::domain::actor::Roles;
use shared::domain::message::{Attachment, Message};
use shared::domain::thread::{Thread, ThreadKind};
use shared::domain::time::rfc3339;

use crate::api::shapes::{MessageOut, ThreadOut};
use crate::chat::{MessageView, ThreadView};
use crate::http::ApiError;

/// Whether the staff speaks in `message`, as far as `roles` tell; a customer or guest otherwise.
pub(super) fn is_by_staff(message: &Message, roles: &Roles) -> bool {
    !message.is_public() || roles.is_staff(&message.author_id)
}

/// A message of `thread` for one kind of reader.
pub(super) fn message(thread: &Thread, view: &MessageView, by_staff: bool) -> Value {
    match thread.kind {
        ThreadKind::Support => desk_message(view, by_staff),
        ThreadKind::Guest | ThreadKind::Team => MessageOut::from(view).to_json().unwrap_or_default(),
    }
}

/// `newMessage`: `support` says a customer or guest, `team` the staff.
pub(super) fn new_message(thread: &Thread, view: &MessageView, by_staff: bool) -> Value {
    let from = if by_staff { "team" } else { "support" };
    json!({ "message": message(thread, view, by_staff), "type": from })
}

/// `messageUpdated`.
pub(super) fn message_updated(thread: &Thread, view: &MessageView, by_staff: bool) -> Value {
    json!({ "threadId": thread.thread_id.as_str(), "message": message(thread, view, by_staff) })
}

/// `threadUpdated`.
pub(super) fn thread_updated(view: ThreadView) -> Value {
    json!({ "thread": ThreadOut::from(view).to_json() })
}

/// What a refused request is acknowledged with.
pub(super) fn refused(error: &ApiError) -> Value {
    json!({ "error": { "code": error.code.as_str(), "message": error.detail } })
}

fn desk_message(view: &MessageView, by_staff: bool) -> Value {
    let m = &view.message;
    let attachments: Vec<Value> = m.attachments.iter().map(attachment).collect();
    let mut shown = json!({
        "_id": m.message_id.as_str(),
        "room_id": m.thread_id.as_str(),
        "conversation_id": m.author_id.as_str(),
        "content": m.body,
        "type": desk_type(view),
        "attachments": attachments,
        "seq": view.seq,
        "sender_type": if by_staff { "agent" } else { "customer" },
        "created_at": rfc3339(m.created_at),
        "updated_at": rfc3339(m.updated_at),
    });
    if let Some(app) = &m.integration_app {
        shown["integration_app"] = json!(app);
    }
    shown
}

fn attachment(attachment: &Attachment) -> Value {
    json!({
        "url": attachment.url,
        "type": attachment.media_type,
        "name": attachment.name,
        "size": attachment.size,
    })
}

fn desk_type(view: &MessageView) -> &'static str {
    let m = &view.message;
    match m.attachments.first() {
        _ if !m.is_public() => "note",
        None => "text",
        Some(first) if is_image(first) => "image",
        Some(_) => "file",
    }
}

fn is_image(attachment: &Attachment) -> bool {
    const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "webp", "svg", "heic", "bmp"];
    if let Some(media_type) = &attachment.media_type {
        return media_type.starts_with("image/");
    }
    let path = attachment.url.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

//! The examples of the desk's page in the document: the same messages all the way.

use super::shapes::{DeskMessageOut, DeskSentMessage, DeskSentOut, DeskTypeForm};

pub(super) const ROOM: &str = "507f1f77bcf86cd799439011";
pub(super) const CUSTOMER: &str = "507f1f77bcf86cd799439031";
pub(super) const REPLY: &str = "Hello! How can I assist you today?";
pub(super) const QUESTION: &str = "I need help with my account";

/// An agent's answer.
pub(super) fn reply() -> DeskMessageOut {
    let time = "2025-10-08T10:30:00.000Z";
    DeskMessageOut {
        id: "507f1f77bcf86cd799439020".to_owned(),
        room_id: ROOM.to_owned(),
        conversation_id: "507f1f77bcf86cd799439012".to_owned(),
        content: REPLY.to_owned(),
        r#type: DeskTypeForm::Text,
        attachments: None,
        integration_app: None,
        seq: 2,
        created_at: time.to_owned(),
        updated_at: time.to_owned(),
        sender_type: None,
        is_mine: None,
    }
}

/// What sending it answers.
pub(super) fn sent() -> DeskSentOut {
    DeskSentOut { success: true, messages: DeskSentMessage { message: reply() } }
}

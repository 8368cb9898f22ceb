//! `/support/rooms`: the agents' list of rooms.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use shared::domain::ids::Uid;
use shared::domain::thread::Thread;
use shared::domain::time::rfc3339;

use super::paging::LIMIT;
use super::shapes::DeskMessageOut;
use crate::api::Tag;
use crate::api::shapes::StatusOut;
use crate::auth::Staff;
use crate::chat::Trace;
use crate::http::{DeskError, StrictJson};
use crate::services::Services;

pub(super) struct DeskRoomsApi;

/// A room as agents see it.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct DeskRoomOut {
    #[oai(rename = "_id")]
    id: String,
    /// The customer's conversation; a room that was made as a thread may have none.
    conversation_id: Option<String>,
    status: StatusOut,
    /// Who alone may see it, beside admins; nobody: all agents.
    assigned_agents: Vec<String>,
    /// The latest message, which may be a note.
    last_message: Option<DeskMessageOut>,
    /// The customer's messages above the caller's read mark.
    unread_count: u64,
    updated_at: String,
}

impl DeskRoomOut {
    fn of(room: &Thread, reader: &Uid) -> Self {
        let last = room.last_message.as_ref().map(|message| DeskMessageOut {
            sender_type: Some(room.sender_of(message).into()),
            ..DeskMessageOut::of(message, message.seq)
        });
        Self {
            id: room.thread_id.to_string(),
            conversation_id: room.customer_id.as_ref().map(ToString::to_string),
            status: room.status.into(),
            assigned_agents: room.assigned_agent_ids.iter().map(ToString::to_string).collect(),
            last_message: last,
            unread_count: u64::try_from(room.unread_of_customer(reader)).unwrap_or(0),
            updated_at: rfc3339(room.updated_at),
        }
    }
}

/// A page of rooms.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct DeskRoomsOut {
    /// Always true; an error has its own form.
    success: bool,
    rooms: Vec<DeskRoomOut>,
    #[oai(rename = "hasMore")]
    has_more: bool,
    /// Where the next page begins.
    #[oai(rename = "nextCursor")]
    next_cursor: Option<String>,
}

#[OpenApi(prefix_path = "/api/conversation-v2", tag = "Tag::Desk")]
impl DeskRoomsApi {
    /// Lists the rooms that the caller may see, newest first, with what is unread of each.
    #[oai(path = "/support/rooms", method = "get", operation_id = "desk.listRooms")]
    async fn list(
        &self,
        staff: Staff,
        /// The `nextCursor` of the page before.
        #[oai(validator(max_length = 256))]
        cursor: Query<Option<String>>,
        /// 1 to 100, 20 by default.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<DeskRoomsOut>, DeskError> {
        let limit = limit.0.unwrap_or(LIMIT) as usize;
        let (rooms, next_cursor) = services.desk.rooms(&staff, limit, cursor.0.as_deref()).await?;
        let rooms = rooms.iter().map(|room| DeskRoomOut::of(room, &staff.uid)).collect();
        let has_more = next_cursor.is_some();
        Ok(StrictJson(DeskRoomsOut { success: true, rooms, has_more, next_cursor }))
    }
}

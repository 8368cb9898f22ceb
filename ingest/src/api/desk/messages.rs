//! `/support/message`: agents send and read.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Header, Query};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use shared::domain::ids::{MessageId, Uid};

use super::examples;
use super::paging::{SortIn, page};
use super::shapes::{DeskMessageIn, DeskMessageOut, DeskMessagesOut, DeskSent};
use crate::api::Tag;
use crate::auth::Staff;
use crate::chat::{KeyForm, Trace};
use crate::desk::Sending;
use crate::http::{DeskError, Id, StrictJson};
use crate::services::Services;

pub(super) struct DeskMessagesApi;

/// A message of an agent.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
struct DeskSendIn {
    /// The room, which is a thread of kind `support`.
    room_id: String,
    message: DeskMessageIn,
    /// Makes the room when it is absent; false by default.
    new_room: Option<bool>,
    /// The conversation of the customer whose room is made.
    support_conversation_id: Option<Id<Uid>>,
    /// The bot or automation that writes.
    #[oai(validator(min_length = 1, max_length = 128))]
    integration_app: Option<String>,
}

impl Example for DeskSendIn {
    fn example() -> Self {
        Self {
            room_id: examples::ROOM.to_owned(),
            message: DeskMessageIn::text(examples::REPLY),
            new_room: Some(false),
            support_conversation_id: None,
            integration_app: None,
        }
    }
}

#[OpenApi(prefix_path = "/api/conversation-v2", tag = "Tag::Desk")]
impl DeskMessagesApi {
    /// Sends an agent's message to a room.
    ///
    /// A note stays among the staff. The first reply of an agent to an unassigned room assigns it to its sender;
    /// then only the assigned agents and the account's admins and services are let in (403 `not_assigned`).
    #[oai(path = "/support/message", method = "post", operation_id = "desk.sendMessage")]
    async fn send(
        &self,
        staff: Staff,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<DeskSendIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<DeskSent, DeskError> {
        let input = body.0;
        let sending = Sending {
            room_id: input.room_id,
            draft: input.message.draft(input.integration_app),
            new_room: input.new_room.unwrap_or_default(),
            support_conversation_id: input.support_conversation_id.map(|id| id.0),
            key: key.0.map(|key| key.0),
        };
        Ok(services.desk.send(&staff, &trace, sending).await?.into())
    }

    /// Lists a room's messages for agents, notes among them.
    ///
    /// Without a reference, or below `upperRef`, the newest messages; above `lowerRef` the oldest; with both, those
    /// strictly between.
    #[oai(path = "/support/message", method = "get", operation_id = "desk.listMessages")]
    #[expect(clippy::too_many_arguments, reason = "one per documented parameter")]
    async fn list(
        &self,
        staff: Staff,
        /// The room, which is a thread of kind `support`.
        #[oai(name = "room_id")]
        room_id: Query<String>,
        /// The oldest message that the client holds: older ones are answered.
        #[oai(name = "upperRef")]
        upper_ref: Query<Option<Id<MessageId>>>,
        /// The newest message that the client holds: newer ones are answered.
        #[oai(name = "lowerRef")]
        lower_ref: Query<Option<Id<MessageId>>>,
        /// 1 to 100, 20 by default.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u32>>,
        /// Order within the page, newest first by default.
        sort: Query<Option<SortIn>>,
        /// Only messages with all these words; the last may be the beginning of one.
        #[oai(validator(min_length = 1, max_length = 256))]
        search: Query<Option<String>>,
        _trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<DeskMessagesOut>, DeskError> {
        let query = page(upper_ref.0, lower_ref.0, limit.0, sort.0, search.0);
        let (room, views, has_more) = services.desk.list(&staff, &room_id.0, query).await?;
        let messages = views.iter().map(|view| DeskMessageOut::for_agent(&room, view)).collect();
        Ok(StrictJson(DeskMessagesOut { success: true, messages, has_more }))
    }
}

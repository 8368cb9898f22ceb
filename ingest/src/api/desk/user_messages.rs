//! `/support/user/message`: customers send and read, with the credentials of their widget.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Header, Query};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use shared::domain::ids::MessageId;

use super::examples;
use super::paging::{SortIn, page};
use super::shapes::{DeskMessageIn, DeskMessageOut, DeskMessagesOut, DeskSent};
use crate::api::Tag;
use crate::chat::{KeyForm, Trace};
use crate::desk::{Customer, Sending};
use crate::http::{DeskError, Id, StrictJson};
use crate::services::Services;

pub(super) struct DeskUserMessagesApi;

/// A message of a customer.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
struct DeskUserSendIn {
    /// The customer's room, as the session answered it.
    room_id: String,
    message: DeskMessageIn,
    /// For the agents' side only: 422 here.
    integration_app: Option<String>,
}

impl Example for DeskUserSendIn {
    fn example() -> Self {
        let message = DeskMessageIn::text(examples::QUESTION);
        Self { room_id: examples::ROOM.to_owned(), message, integration_app: None }
    }
}

#[OpenApi(prefix_path = "/api/conversation-v2", tag = "Tag::Desk")]
impl DeskUserMessagesApi {
    /// Sends a customer's message to its room.
    #[oai(path = "/support/user/message", method = "post", operation_id = "desk.sendUserMessage")]
    async fn send(
        &self,
        customer: Customer,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<DeskUserSendIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<DeskSent, DeskError> {
        let input = body.0;
        let sending = Sending {
            room_id: input.room_id,
            draft: input.message.draft(input.integration_app),
            new_room: false,
            support_conversation_id: None,
            key: key.0.map(|key| key.0),
        };
        Ok(services.desk.send(&customer, &trace, sending).await?.into())
    }

    /// Lists a room's messages for its customer: no notes, and counters without a hole where one is.
    #[oai(path = "/support/user/message", method = "get", operation_id = "desk.listUserMessages")]
    #[expect(clippy::too_many_arguments, reason = "one per documented parameter")]
    async fn list(
        &self,
        customer: Customer,
        /// The customer's room, as the session answered it.
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
        services: Data<&Arc<Services>>,
    ) -> Result<StrictJson<DeskMessagesOut>, DeskError> {
        let query = page(upper_ref.0, lower_ref.0, limit.0, sort.0, search.0);
        let (room, views, has_more) = services.desk.list(&customer, &room_id.0, query).await?;
        let messages = views.iter().map(|view| DeskMessageOut::for_customer(&room, view)).collect();
        Ok(StrictJson(DeskMessagesOut { success: true, messages, has_more }))
    }
}

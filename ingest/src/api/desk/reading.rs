//! `/support/message/read` and `/support/user/message/read`: read marks of agents and customers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::{ApiResponse, Object, OpenApi};
use shared::domain::ids::MessageId;

use crate::api::Tag;
use crate::auth::Staff;
use crate::chat::{KeyForm, Trace};
use crate::desk::{Customer, Marking};
use crate::http::{DeskError, Id, StrictJson};
use crate::services::Services;

pub(super) struct DeskReadingApi;

/// How far the caller has read.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct DeskReadIn {
    room_id: String,
    /// Up to this message; all of them when it is left out.
    up_to: Option<Id<MessageId>>,
}

impl DeskReadIn {
    fn marking(self, key: Option<Id<KeyForm>>) -> Marking {
        Marking { room_id: self.room_id, up_to: self.up_to.map(|id| id.0), key: key.map(|key| key.0) }
    }
}

/// What is left unread.
#[derive(Debug, Object)]
struct DeskReadOut {
    /// Always true; an error has its own form.
    success: bool,
    room_id: String,
    /// For agents the customer's messages above the mark, for customers those of others.
    unread_count: u64,
}

#[derive(ApiResponse)]
enum DeskRead {
    /// The mark stands there, or further on.
    #[oai(status = 200)]
    Read(StrictJson<DeskReadOut>, #[oai(header = "Idempotent-Replayed")] Option<String>),
}

impl DeskRead {
    fn of(room_id: String, (unread_count, replayed): (u64, bool)) -> Self {
        let out = DeskReadOut { success: true, room_id, unread_count };
        Self::Read(StrictJson(out), replayed.then(|| "true".to_owned()))
    }
}

#[OpenApi(prefix_path = "/api/conversation-v2", tag = "Tag::Desk")]
impl DeskReadingApi {
    /// Marks a room as read by an agent.
    #[oai(path = "/support/message/read", method = "post", operation_id = "desk.read")]
    async fn read(
        &self,
        staff: Staff,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<DeskReadIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<DeskRead, DeskError> {
        let room_id = body.0.room_id.clone();
        let left = services.desk.read(&staff, &trace, body.0.marking(key.0)).await?;
        Ok(DeskRead::of(room_id, left))
    }

    /// Marks a room as read by its customer.
    #[oai(path = "/support/user/message/read", method = "post", operation_id = "desk.readAsUser")]
    async fn read_as_user(
        &self,
        customer: Customer,
        /// Makes a repeated request harmless: the same content is answered as before, other content is 409.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<Id<KeyForm>>>,
        body: StrictJson<DeskReadIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<DeskRead, DeskError> {
        let room_id = body.0.room_id.clone();
        let left = services.desk.read(&customer, &trace, body.0.marking(key.0)).await?;
        Ok(DeskRead::of(room_id, left))
    }
}

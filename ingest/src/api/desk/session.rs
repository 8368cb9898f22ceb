//! `/support/session`: a widget opens or renews its session.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use shared::domain::time::rfc3339;

use super::examples;
use crate::api::Tag;
use crate::chat::Trace;
use crate::desk::{IdentityClaim, Opened, Opening};
use crate::http::{DeskError, StrictJson};
use crate::services::Services;

pub(super) struct DeskSessionApi;

/// Who the visitor is, signed by the account's own servers.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct IdentityIn {
    /// The account's own id of the visitor.
    #[oai(validator(min_length = 1, max_length = 256))]
    id: String,
    #[oai(validator(max_length = 256))]
    name: Option<String>,
    /// Where replies are notified.
    #[oai(validator(max_length = 254))]
    email: Option<String>,
    /// The hex of HMAC-SHA256(identitySecret, id).
    #[oai(validator(max_length = 128))]
    signature: String,
}

/// A widget that wants a session.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct SessionIn {
    /// The token of the widget's embed.
    support_token: String,
    /// To which the session will be bound: 1 to 256 visible ASCII characters.
    #[oai(validator(pattern = "^[\\x21-\\x7e]{1,256}$"))]
    device_id: String,
    /// The session that the visitor has, to be renewed.
    support_session: Option<String>,
    identity: Option<IdentityIn>,
}

impl Example for SessionIn {
    fn example() -> Self {
        Self {
            support_token: "st_…".to_owned(),
            device_id: "7b0c1d52-9a3e-4c41-8f7e-2f1f3a3d9a10".to_owned(),
            support_session: None,
            identity: None,
        }
    }
}

/// A session that is open.
#[derive(Object)]
struct SessionOut {
    /// The secret of the session: the header `support_session` of the customer's requests.
    support_session: String,
    conversation_id: String,
    room_id: String,
    /// When it ends unless it is used again before.
    expires_at: String,
}

/// The answer to a widget.
#[derive(Object)]
#[oai(example)]
struct SessionOpenedOut {
    /// Always true; an error has its own form.
    success: bool,
    session: SessionOut,
}

impl Example for SessionOpenedOut {
    fn example() -> Self {
        let session = SessionOut {
            support_session: "ss_…".to_owned(),
            conversation_id: examples::CUSTOMER.to_owned(),
            room_id: examples::ROOM.to_owned(),
            expires_at: "2025-11-07T10:30:00.000Z".to_owned(),
        };
        Self { success: true, session }
    }
}

#[derive(ApiResponse)]
enum SessionOpened {
    /// It is open; its room and conversation are there.
    #[oai(status = 201)]
    Opened(StrictJson<SessionOpenedOut>),
}

impl From<Opened> for SessionOpened {
    fn from(opened: Opened) -> Self {
        let session = SessionOut {
            support_session: opened.support_session,
            conversation_id: opened.conversation_id.to_string(),
            room_id: opened.room_id.to_string(),
            expires_at: rfc3339(opened.expires_at),
        };
        Self::Opened(StrictJson(SessionOpenedOut { success: true, session }))
    }
}

impl From<IdentityIn> for IdentityClaim {
    fn from(input: IdentityIn) -> Self {
        Self { id: input.id, name: input.name, email: input.email, signature: input.signature }
    }
}

#[OpenApi(prefix_path = "/api/conversation-v2", tag = "Tag::Desk")]
impl DeskSessionApi {
    /// Opens a customer's session, or renews it.
    ///
    /// Token and device alone start a new conversation: a device id is no secret. A visitor renews by its current
    /// session, from the same device, or joins its earlier conversation by a signed identity. Where the token lists
    /// origins, a browser's must be among them (403).
    #[oai(path = "/support/session", method = "post", operation_id = "desk.openSession")]
    async fn open(
        &self,
        request: &Request,
        body: StrictJson<SessionIn>,
        trace: Trace,
        services: Data<&Arc<Services>>,
    ) -> Result<SessionOpened, DeskError> {
        let input = body.0;
        let opening = Opening {
            support_token: input.support_token,
            device_id: input.device_id,
            support_session: input.support_session,
            identity: input.identity.map(Into::into),
            origin: request.header("origin").map(str::to_owned),
        };
        Ok(services.desk.open(&trace, opening).await?.into())
    }
}

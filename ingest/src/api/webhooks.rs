//! `/webhooks/*`: what providers report. Verified over the raw bytes, stored, then answered.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use poem_openapi::payload::PlainText;

use super::Tag;
use crate::events::Kept;
use crate::http::{ApiError, Code};
use crate::services::Services;

pub(super) struct WebhooksApi;

#[OpenApi(tag = "Tag::Webhooks")]
impl WebhooksApi {
    /// Answers the subscription check of WhatsApp.
    ///
    /// The challenge is answered as plain text when the verify token is right, else 403.
    #[oai(path = "/webhooks/whatsapp", method = "get", operation_id = "webhooks.whatsappVerify")]
    async fn whatsapp_verify(
        &self,
        #[oai(name = "hub.mode")] mode: Query<Option<String>>,
        #[oai(name = "hub.verify_token")] token: Query<Option<String>>,
        #[oai(name = "hub.challenge")] challenge: Query<Option<String>>,
        services: Data<&Arc<Services>>,
    ) -> Result<PlainText<String>, ApiError> {
        let known = services.events.knows_verify_token(token.0.as_deref().unwrap_or_default()).await?;
        match (mode.0.as_deref(), challenge.0) {
            (Some("subscribe"), Some(challenge)) if known => Ok(PlainText(challenge)),
            _ => Err(ApiError::new(Code::Forbidden, "the verify token does not fit")),
        }
    }

    /// Takes in a WhatsApp event.
    ///
    /// `X-Hub-Signature-256` is verified over the raw bytes. A repeated event is a no-op; an event that cannot be
    /// stored is answered 503, so that it comes again.
    #[oai(path = "/webhooks/whatsapp", method = "post", operation_id = "webhooks.whatsapp")]
    async fn whatsapp(
        &self,
        request: &Request,
        body: Vec<u8>,
        services: Data<&Arc<Services>>,
    ) -> Result<PlainText<&'static str>, ApiError> {
        let signature = request.header("x-hub-signature-256").unwrap_or_default();
        services.events.whatsapp(&body, signature).await.map(answer)
    }

    /// Takes in a status callback of Twilio.
    ///
    /// `X-Twilio-Signature` is verified over the public URL with its query and the form fields.
    #[oai(path = "/webhooks/twilio/status", method = "post", operation_id = "webhooks.twilioStatus")]
    async fn twilio_status(
        &self,
        request: &Request,
        body: Vec<u8>,
        services: Data<&Arc<Services>>,
    ) -> Result<PlainText<&'static str>, ApiError> {
        let signature = request.header("x-twilio-signature").unwrap_or_default();
        let query = request.original_uri().query().unwrap_or_default();
        services.events.twilio_status(query, &body, signature).await.map(answer)
    }
}

fn answer(kept: Kept) -> PlainText<&'static str> {
    PlainText(match kept {
        Kept::New => "ok",
        Kept::Known => "known",
    })
}

//! The guest platform: our own webhook to it. Asking twice is safe, since its id stays the same.

use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use url::Url;

use super::classes::{Classes, Provider};
use super::judge::{ErrorBody, Judge};
use super::outcome::SendOutcome;
use super::standard_webhooks;
use super::transport::{Lost, Reply, Transport, Trust};
use crate::config::Secret;

/// 409: a webhook with this id arrived before.
const HAS_IT_ALREADY: u16 = 409;

/// Where messages are forwarded to.
#[derive(Debug, Clone)]
pub struct GuestChannel {
    pub url: Url,
    /// `whsec_…`
    pub secret: Secret,
    pub trust: Trust,
}

/// Forwards messages.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    judge: Judge,
}

impl Client {
    /// Shares the connections of `transport`.
    pub fn new(transport: Transport, classes: Arc<Classes>) -> Self {
        Self { transport, judge: Judge { classes, provider: Provider::Guest } }
    }

    /// POSTs `body`, signed, at `timestamp` (unix seconds of this attempt). `webhook_id` is the job's id, the
    /// same for every retry. Accepted by 2xx, and by 409: it has it already. Never unknown.
    pub async fn forward(
        &self,
        channel: &GuestChannel,
        webhook_id: &str,
        timestamp: i64,
        body: &Value,
    ) -> SendOutcome {
        let outcome = match self.post(channel, webhook_id, timestamp, body.to_string()).await {
            Err(lost) => self.judge.lost(lost),
            Ok(reply) if reply.is_success() || reply.status == HAS_IT_ALREADY => {
                SendOutcome::Accepted { provider_id: webhook_id.to_owned(), recipient_id: None }
            }
            // The text of the answer is somebody else's program; the status says enough.
            Ok(reply) => self.judge.answered(&reply, ErrorBody::default(), false),
        };
        self.judge.count(outcome)
    }

    async fn post(
        &self,
        channel: &GuestChannel,
        webhook_id: &str,
        timestamp: i64,
        body: String,
    ) -> Result<Reply, Lost> {
        let signature =
            standard_webhooks::sign(channel.secret.expose(), webhook_id, timestamp, body.as_bytes())
                .map_err(|_| Lost::Blocked("the secret of the guest platform is not usable"))?;
        let request = self.transport.client(channel.trust).post(channel.url.clone());
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body);
        self.transport.exchange(channel.trust, request).await
    }
}

//! Taking in provider events: signature over the raw bytes, stored with the job that works through it.

use std::sync::Arc;
use std::time::Duration;

use shared::channels::ChannelBook;
use shared::committer::Pusher;
use shared::config::Config;
use shared::domain::Time;
use shared::domain::ids::AccountId;
use shared::domain::jobs::PROCESS_EVENT;
use shared::ledger::JobRow;
use shared::providers::{twilio, whatsapp};
use shared::store::{Event, Store};

use crate::http::{ApiError, Code};

/// How long storing may take before the provider is told to come again.
const PATIENCE: Duration = Duration::from_secs(4);

/// The account under which the jobs of raw events stand: an event belongs to nobody before it is worked through.
const NOBODY: &str = "_events";

/// Takes events in.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) pusher: Pusher,
    pub(crate) channels: ChannelBook,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    New,
    /// It had been delivered before.
    Known,
}

impl Events {
    /// Whether `token` is the verify token of one of our numbers; in constant time.
    pub(crate) async fn knows_verify_token(&self, token: &str) -> Result<bool, ApiError> {
        Ok(self.channels.knows_verify_token(token).await?)
    }

    /// A WhatsApp event.
    pub(crate) async fn whatsapp(&self, body: &[u8], signature: &str) -> Result<Kept, ApiError> {
        let secret = self.config.whatsapp.as_ref().and_then(|w| w.app_secret.as_ref());
        if !secret.is_some_and(|secret| whatsapp::verify_signature(secret.expose(), body, signature)) {
            return Err(bad_signature("whatsapp"));
        }
        self.keep("whatsapp", body).await
    }

    /// A status callback of Twilio; kept as `query\nform`, since our job's id stands in the query.
    pub(crate) async fn twilio_status(
        &self,
        query: &str,
        body: &[u8],
        signature: &str,
    ) -> Result<Kept, ApiError> {
        let base = self.config.public_url.as_str().trim_end_matches('/');
        let url = match query {
            "" => format!("{base}/webhooks/twilio/status"),
            query => format!("{base}/webhooks/twilio/status?{query}"),
        };
        let fields = twilio::parse_form(body);
        let token = self.config.twilio.as_ref().map(|t| &t.auth_token);
        if !token.is_some_and(|token| twilio::verify_signature(token.expose(), &url, &fields, signature)) {
            return Err(bad_signature("twilio"));
        }
        let raw = [query.as_bytes(), b"\n", body].concat();
        self.keep("twilio-status", &raw).await
    }

    async fn keep(&self, source: &'static str, body: &[u8]) -> Result<Kept, ApiError> {
        let now = Time::now();
        let event = Event::new(source, body, now);
        let nobody = AccountId::parse(NOBODY).expect("the constant has the form of an account id");
        let mut job = JobRow::new(PROCESS_EVENT, &nobody, now, self.config.dispatcher.push_grace);
        job.event = Some(event.event_id.clone());
        let kept = tokio::time::timeout(PATIENCE, self.store.keep_event(&event, &job)).await;
        let new =
            kept.map_err(|_| ApiError::unavailable(anyhow::anyhow!("mongodb did not answer in time")))?;
        let new = new.map_err(ApiError::unavailable)?;
        let result = if new { "new" } else { "dup" };
        metrics::counter!("webhook_in_total", "source" => source, "result" => result).increment(1);
        if new {
            self.pusher.push([job]);
        }
        Ok(if new { Kept::New } else { Kept::Known })
    }
}

fn bad_signature(source: &'static str) -> ApiError {
    metrics::counter!("webhook_in_total", "source" => source, "result" => "bad_signature").increment(1);
    ApiError::new(Code::BadSignature, "the signature does not fit")
}

//! Raw provider events: stored before they are answered, so that nothing a provider said is lost.

use mongodb::bson::{Binary, Document, doc, serialize_to_document, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, duplicate_index};
use crate::domain::time::Time;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// Stored, not worked through yet.
    Received,
    Processed,
    /// Some of it belongs to nobody we know (yet).
    Unrouted,
    Failed,
}

impl EventState {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            EventState::Received => "received",
            EventState::Processed => "processed",
            EventState::Unrouted => "unrouted",
            EventState::Failed => "failed",
        }
    }
}

/// An event as it arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Digest of source and bytes: the same delivery again is the same event.
    #[serde(rename = "_id")]
    pub event_id: String,
    /// `whatsapp`, `twilio-status`, `twilio-sms`, `guest`.
    pub source: String,
    pub state: EventState,
    pub body: Binary,
    pub received_at: Time,
}

impl Event {
    /// An event of `source` with the bytes that were signed.
    pub fn new(source: &str, body: &[u8], now: Time) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::new().chain_update(source).chain_update([0]).chain_update(body).finalize();
        Self {
            event_id: hex::encode(&digest[..16]),
            source: source.to_owned(),
            state: EventState::Received,
            body: Binary { subtype: BinarySubtype::Generic, bytes: body.to_vec() },
            received_at: now,
        }
    }
}

impl Store {
    /// Keeps an event and the job that works through it, together; answers `false` when it was there before.
    ///
    /// # Errors
    /// [`StoreError`]: the provider must be told to come again.
    pub async fn keep_event(&self, event: &Event, job: &crate::ledger::JobRow) -> Result<bool, StoreError> {
        let documents =
            vec![("events", serialize_to_document(event)?), ("jobs", serialize_to_document(job)?)];
        match self.insert_together(documents).await {
            Ok(()) => Ok(true),
            Err(StoreError::Refused(error)) if duplicate_index(&error).is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Event `id`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn event(&self, id: &str) -> Result<Option<Event>, StoreError> {
        Ok(self.collection::<Event>("events").find_one(doc! { "_id": id }).await?)
    }

    /// Notes what became of events, all in one write.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_event_states(&self, ids: &[&str], state: EventState) -> Result<(), StoreError> {
        let update = doc! { "$set": { "state": state.as_str() } };
        self.collection::<Document>("events").update_many(doc! { "_id": { "$in": ids } }, update).await?;
        Ok(())
    }
}

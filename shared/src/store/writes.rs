//! Writes of threads and reservations together with the jobs that must follow: one fact, one transaction.

use mongodb::bson::{Bson, Document, doc, serialize_to_bson};

use super::transaction::{Write, Wrote};
use super::{Created, IdempotencyRow, Reservation, Scope, StoreError, duplicate_index};
use crate::domain::thread::Thread;
use crate::ledger::JobRow;

impl Scope {
    /// Stores a new thread with its job and the answered key, or tells what stands under its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create_thread(
        &self,
        thread: &Thread,
        job: &JobRow,
        key: Option<&IdempotencyRow>,
    ) -> Result<Created, StoreError> {
        let writes = [
            Write::insert("threads", std::slice::from_ref(thread))?,
            Write::insert("idempotency", key.map(std::slice::from_ref).unwrap_or_default())?,
            Write::insert("jobs", std::slice::from_ref(job))?,
        ];
        match self.store.transact(&writes).await {
            Ok(_) => Ok(Created::New(thread.clone())),
            Err(StoreError::Refused(error)) if duplicate_index(&error).is_some() => {
                match self.thread(&thread.thread_id).await? {
                    Some(stored) if stored.content_hash == thread.content_hash => {
                        Ok(Created::Replayed(stored))
                    }
                    _ => Ok(Created::Conflict),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what a person changed, with its job, where the thread is still at the version before `next`.
    /// Answers whether it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_thread(&self, next: &Thread, job: &JobRow) -> Result<bool, StoreError> {
        let filter = doc! { "_id": &next.key, "version": next.version - 1 };
        let writes = [
            Write::Update { of: "threads", filter, update: by_hand(next)?.into(), upsert: false },
            Write::insert("jobs", std::slice::from_ref(job))?,
        ];
        Ok(self.store.transact(&writes).await? != Wrote::Nothing)
    }

    /// Stores a reservation with the jobs that index its threads; answers whether it is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_reservation(
        &self,
        reservation: &Reservation,
        jobs: &[JobRow],
    ) -> Result<bool, StoreError> {
        const OPTIONAL: [&str; 7] =
            ["guestName", "guestPhone", "guestEmail", "guestUid", "status", "checkIn", "checkOut"];
        let mut set = mongodb::bson::serialize_to_document(reservation)?;
        set.remove("_id");
        let created = set.remove("createdAt");
        let absent = OPTIONAL.into_iter().filter(|field| !set.contains_key(field));
        let unset: Document = absent.map(|field| (field.to_owned(), Bson::from(""))).collect();
        let mut update = doc! { "$set": set, "$setOnInsert": { "createdAt": created } };
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        let filter = doc! { "_id": &reservation.key };
        let writes = [
            Write::Update { of: "reservations", filter, update: update.into(), upsert: true },
            Write::insert("jobs", jobs)?,
        ];
        Ok(self.store.transact(&writes).await? == Wrote::All { inserted: true })
    }
}

/// The fields that a person can change.
fn by_hand(next: &Thread) -> Result<Document, mongodb::bson::error::Error> {
    let mut set = doc! {
        "title": &next.title,
        "important": next.important,
        "status": next.status.as_str(),
        "assignedAgentIds": serialize_to_bson(&next.assigned_agent_ids)?,
        "awaitingFirstReply": next.awaiting_first_reply,
        "staffViewers": &next.staff_viewers,
        "guestViewers": &next.guest_viewers,
        "attention": serialize_to_bson(&next.attention)?,
        "needsAttention": serialize_to_bson(&next.needs_attention)?,
        "needsAttentionMap": &next.needs_attention_map,
        "readMarks": serialize_to_bson(&next.read_marks)?,
        "version": next.version,
    };
    let mut update = Document::new();
    match &next.reservation_id {
        Some(id) => drop(set.insert("reservationId", id.as_str())),
        None => drop(update.insert("$unset", doc! { "reservationId": "" })),
    }
    update.insert("$set", set);
    Ok(update)
}

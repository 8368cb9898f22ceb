//! The floor that posts are compared with: one transaction per message through the same driver, as a careful
//! program without a committer would write it. It writes the same documents as ours: they are copied from a message
//! that ingest stored. No HTTP, no checks, nothing computed.

use std::sync::Arc;

use anyhow::Context as _;
use futures::{FutureExt as _, TryStreamExt as _};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::{Acknowledgment, ReturnDocument, WriteConcern};
use mongodb::{Client, ClientSession, Collection};
use shared::store::Store;
use ulid::Ulid;

use crate::load::{Kind, Poster, Spread, post_request, text};
use crate::stack::{ACCOUNT, Stack};
use crate::town::Town;

/// What all raw callers share.
pub(crate) struct Floor {
    client: Client,
    threads: Collection<Document>,
    messages: Collection<Document>,
    jobs: Collection<Document>,
    ids: Vec<String>,
    message: Document,
    rows: Vec<Document>,
    /// Fields of the thread that a post sets, as they stand after one.
    set: Document,
    max: Document,
}

/// A message, its thread's update, its jobs.
type Documents = (Document, Document, Vec<Document>);

/// Fields of a thread that each post sets anew, beside its counters.
const SET: [&str; 6] =
    ["updatedAt", "publicUpdatedAt", "lastMessage", "lastPublicMessage", "attention", "readMarks"];
/// Set where it grows.
const MAX: &str = "lastWhatsappMessageSentAt";

impl Floor {
    /// Posts one message of `kind` by ingest number `ingest` to each of two threads of `town`, takes the second's
    /// documents as patterns, and copies the threads to a database of its own with the same indexes.
    pub(crate) async fn build(
        stack: &Stack,
        ingest: usize,
        town: &Town,
        kind: Kind,
    ) -> anyhow::Result<Arc<Self>> {
        let client = &stack.ingests[ingest].client;
        let bytes = post_request(client.address(), town, 1, kind, &text());
        client.send(&bytes).await?.expect(&[201])?;
        let second = client.send(&bytes).await?.expect(&[201])?.json()?;
        let id = second["messageId"].as_str().context("an answer without messageId")?;
        let ours = stack.store.raw();
        let key = format!("{ACCOUNT}/{id}");
        let find = |name: &str, filter: Document| {
            let collection = ours.collection::<Document>(name);
            async move { collection.find_one(filter).await }
        };
        let message = find("messages", doc! { "_id": &key }).await?.context("the message is not stored")?;
        let thread_key = message.get_str("thread")?.to_owned();
        let thread =
            find("threads", doc! { "_id": thread_key }).await?.context("its thread is not stored")?;
        let jobs = ours.collection::<Document>("jobs");
        let rows: Vec<Document> = jobs.find(doc! { "message": &key }).await?.try_collect().await?;
        anyhow::ensure!(!rows.is_empty(), "the message has no jobs");
        let mut set = Document::new();
        for name in SET {
            set.extend(thread.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        let max = thread.get(MAX).map(|at| doc! { MAX: at.clone() }).unwrap_or_default();
        let store = stack.floor_store().await?;
        store.ensure_indexes().await?;
        copy_threads(stack, &store, town).await?;
        let db = store.raw();
        Ok(Arc::new(Self {
            client: db.client().clone(),
            threads: db.collection("threads"),
            messages: db.collection("messages"),
            jobs: db.collection("jobs"),
            ids: town.threads.clone(),
            message,
            rows,
            set,
            max,
        }))
    }

    /// Raw callers.
    pub(crate) fn posters(self: &Arc<Self>, count: usize, spread: Spread) -> Vec<FloorPoster> {
        (0..count).map(|_| FloorPoster { floor: Arc::clone(self), spread }).collect()
    }

    /// Deletes the job rows, as [`Stack::forget_jobs`] does on our side.
    pub(crate) async fn forget_jobs(&self) -> anyhow::Result<()> {
        self.jobs.delete_many(doc! {}).await?;
        Ok(())
    }

    /// A message, its thread's update and its jobs. The thread's `seq` is known in the transaction only.
    fn documents(&self, thread: usize) -> Documents {
        let thread_id = &self.ids[thread];
        let thread = format!("{ACCOUNT}/{thread_id}");
        let (id, now) = (ObjectId::new().to_hex(), DateTime::now());
        let key = format!("{ACCOUNT}/{id}");
        let mut message = self.message.clone();
        for (name, value) in [
            ("_id", Bson::from(key.clone())),
            ("messageId", id.into()),
            ("threadId", thread_id.clone().into()),
            ("thread", thread.clone().into()),
            ("createdAt", now.into()),
            ("updatedAt", now.into()),
        ] {
            message.insert(name, value);
        }
        let mut set = self.set.clone();
        for name in ["updatedAt", "publicUpdatedAt"] {
            set.insert(name, now);
        }
        for name in ["lastMessage", "lastPublicMessage"] {
            set.insert(name, message.clone());
        }
        let mut update = doc! { "$inc": { "version": 1_i64, "seq": 1_i64, "publicSeq": 1_i64 }, "$set": set };
        if !self.max.is_empty() {
            update.insert("$max", doc! { MAX: now });
        }
        let mut rows = self.rows.clone();
        for row in &mut rows {
            row.insert("_id", Ulid::new().to_string());
            row.insert("message", &key);
            row.insert("thread", &thread);
            for name in ["dueAt", "pushAfter", "createdAt"] {
                row.insert(name, now);
            }
            if row.contains_key("lane") {
                row.insert("lane", format!("whatsapp:{thread}"));
            }
        }
        (message, update, rows)
    }

    async fn write(
        &self,
        session: &mut ClientSession,
        (message, update, rows): &mut Documents,
    ) -> mongodb::error::Result<()> {
        let filter = doc! { "_id": message.get_str("thread").unwrap_or_default() };
        let after = self
            .threads
            .find_one_and_update(filter, update.clone())
            .projection(doc! { "seq": 1, "publicSeq": 1 })
            .return_document(ReturnDocument::After)
            .session(&mut *session)
            .await?
            .ok_or_else(|| mongodb::error::Error::custom("the thread is gone"))?;
        for name in ["seq", "publicSeq"] {
            message.insert(name, after.get(name).cloned().unwrap_or(Bson::Null));
        }
        for row in rows.iter_mut().filter(|row| row.contains_key("laneSeq")) {
            row.insert("laneSeq", message.get("seq").cloned().unwrap_or(Bson::Null));
        }
        self.messages.insert_one(&*message).session(&mut *session).await?;
        self.jobs.insert_many(rows.iter()).session(&mut *session).await?;
        Ok(())
    }
}

async fn copy_threads(stack: &Stack, store: &Store, town: &Town) -> anyhow::Result<()> {
    let keys: Vec<String> = town.threads.iter().map(|id| format!("{ACCOUNT}/{id}")).collect();
    let theirs = stack.store.raw().collection::<Document>("threads");
    let threads: Vec<Document> = theirs.find(doc! { "_id": { "$in": keys } }).await?.try_collect().await?;
    store.raw().collection::<Document>("threads").insert_many(threads).await?;
    Ok(())
}

/// One raw caller.
pub(crate) struct FloorPoster {
    floor: Arc<Floor>,
    spread: Spread,
}

impl Poster for FloorPoster {
    async fn post(&mut self) -> anyhow::Result<()> {
        let floor = &self.floor;
        let documents = floor.documents(self.spread.pick(floor.ids.len()));
        let mut concern = WriteConcern::from(Acknowledgment::Majority);
        concern.journal = Some(true);
        let mut session = floor.client.start_session().await?;
        let transaction = session.start_transaction().write_concern(concern);
        transaction
            .and_run((Arc::clone(floor), documents), |session, (floor, documents)| {
                floor.write(session, documents).boxed()
            })
            .await
            .context("a raw transaction failed")
    }
}

//! What the programs have stored and done, and waiting for it.

use std::time::Instant;

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use shared::ledger::JobRow;
use shared::search::IndexKind;

use super::{HEALED, LOOK, Programs};
use crate::app::ACCOUNT;

impl Programs {
    /// The jobs that match `filter`.
    ///
    /// # Panics
    /// When MongoDB is away.
    pub async fn jobs(&self, filter: Document) -> Vec<JobRow> {
        let jobs = self.store().raw().collection::<JobRow>("jobs");
        jobs.find(filter).sort(doc! { "_id": 1 }).await.expect("jobs").try_collect().await.expect("jobs")
    }

    /// Waits until `look` holds.
    ///
    /// # Panics
    /// When it does not within [`HEALED`].
    pub async fn until(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> bool) {
        let deadline = Instant::now() + HEALED;
        while !look(self).await {
            if Instant::now() >= deadline {
                panic!("{what} did not happen within {HEALED:?}: {}", self.standing().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How jobs and messages stand, without what they say.
    async fn standing(&self) -> String {
        let jobs = self.jobs(doc! {}).await;
        let jobs = jobs.iter().map(|job| {
            let (state, message) = (job.state.as_str(), job.message.as_deref().unwrap_or("-"));
            format!("{} of {message}: {state}, attempt {}, starts {}", job.name, job.attempt, job.starts)
        });
        let db = self.store().raw();
        let messages = db.collection::<Document>("messages");
        let sorted = messages.find(doc! {}).sort(doc! { "_id": 1 });
        let messages: Vec<Document> = sorted.await.expect("read").try_collect().await.expect("read");
        let messages = messages.iter().map(|message| {
            let delivery = message.get_document("delivery").ok().and_then(|d| d.get_str("state").ok());
            format!("{}: {}", message.get_str("_id").unwrap_or("-"), delivery.unwrap_or("-"))
        });
        jobs.chain(messages).collect::<Vec<_>>().join("; ")
    }

    /// Waits until nothing is queued or running.
    ///
    /// # Panics
    /// When that takes longer than [`HEALED`].
    pub async fn settled(&self) {
        let waiting = doc! { "state": { "$in": ["queued", "running"] } };
        self.until("the end of all jobs", async |programs| programs.jobs(waiting.clone()).await.is_empty())
            .await;
    }

    /// How many messages are in the search index.
    ///
    /// # Panics
    /// When Elasticsearch is away.
    pub async fn indexed(&self) -> u64 {
        let index = self.index();
        index.refresh().await.expect("a refresh");
        index.count(ACCOUNT, IndexKind::Messages).await.expect("a count")
    }

    /// How many documents of `collection` match.
    ///
    /// # Panics
    /// When MongoDB is away.
    pub async fn count(&self, collection: &str, filter: Document) -> u64 {
        self.store().raw().collection::<Document>(collection).count_documents(filter).await.expect("a count")
    }
}

//! Indices of one test and documents to put into them.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use shared::search::{
    Candidates, IndexOp, IndexSettings, MessageDoc, Question, SearchDown, SearchIndex, ThreadDoc, Visibility,
    WordQuery,
};
use tests::servers::elasticsearch::shared_url;

/// Settings of a single node; times that a loaded machine keeps.
pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        replicas: 0,
        write_timeout: Duration::from_secs(30),
        search_timeout: Duration::from_secs(10),
        ..IndexSettings::default()
    }
}

/// A handle with a prefix that nobody else has; nothing is made yet.
pub(super) fn fresh_index() -> SearchIndex {
    let prefix = format!("t-{}-", ulid::Ulid::new().to_string().to_lowercase());
    SearchIndex::new(&shared_url(), &prefix).expect("a handle").with_settings(settings())
}

/// Runs a test on indices of its own, which are deleted whatever happens.
pub(super) async fn with_index<T>(test: impl AsyncFnOnce(&SearchIndex) -> T) -> T {
    let index = fresh_index();
    let outcome = AssertUnwindSafe(async {
        index.ensure().await.expect("indices");
        test(&index).await
    })
    .catch_unwind()
    .await;
    index.drop_all().await.expect("indices dropped");
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A time, in minutes after a fixed one.
pub(super) fn minute(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000 + 60 * minutes, 0).expect("a time")
}

/// A message of account `a` in thread `t1`, revision 1.
pub(super) fn message(id: &str, body: &str) -> MessageDoc {
    MessageDoc {
        account_id: "a".to_owned(),
        thread_id: "t1".to_owned(),
        message_id: id.to_owned(),
        seq: 1,
        message_type: "message".to_owned(),
        source: "hububb".to_owned(),
        content_type: "text".to_owned(),
        author_id: "agent-1".to_owned(),
        body: body.to_owned(),
        created_at: minute(0),
        note: false,
        external_message_id: None,
        rev: 1,
    }
}

/// A thread of account `a` with a title, version 1.
pub(super) fn thread(id: &str, title: &str) -> ThreadDoc {
    ThreadDoc {
        account_id: "a".to_owned(),
        thread_id: id.to_owned(),
        kind: "guest".to_owned(),
        source: "hububb".to_owned(),
        status: "open".to_owned(),
        important: false,
        title: Some(title.to_owned()),
        guest_name: Some("Zoë Müller".to_owned()),
        ids: vec![id.to_owned(), "RES-4711".to_owned()],
        participant_ids: vec!["agent-1".to_owned()],
        assigned_agent_ids: vec![],
        viewers: vec!["staff".to_owned()],
        needs_attention: vec!["agent-1".to_owned()],
        last_message: Some("secret note".to_owned()),
        last_public_message: Some("hello".to_owned()),
        updated_at: minute(0),
        public_updated_at: Some(minute(0)),
        version: 1,
    }
}

/// Writes documents, all of which must be taken, and makes them findable.
pub(super) async fn store(index: &SearchIndex, ops: Vec<IndexOp>) {
    for outcome in index.bulk(&ops).await.expect("elasticsearch") {
        outcome.expect("indexed");
    }
    index.refresh().await.expect("refreshed");
}

/// The candidates of account `a`.
pub(super) async fn candidates(
    index: &SearchIndex,
    text: &str,
    visibility: Visibility,
) -> Result<Candidates, SearchDown> {
    match WordQuery::parse(text) {
        Some(words) => {
            let question = Question { account: "a", words: &words, visibility, within: None };
            index.find_candidates(question, 1_000).await
        }
        None => Ok(Candidates::default()),
    }
}

/// The ids of the threads that staff of account `a` finds.
pub(super) async fn found(index: &SearchIndex, text: &str) -> Vec<String> {
    candidates(index, text, Visibility::Staff).await.expect("elasticsearch").thread_ids()
}

//! Views with `q`: what is found, by whom, in which order, with what is not indexed yet, and how the index is rebuilt.

mod claims;
mod entitlement;
mod finding;
mod in_thread;
mod outage;
mod overlay;
mod paging;
mod rebuild_program;
mod rebuilds;

use mongodb::bson::{Document, doc};
use serde_json::Value;
use tests::app::{Caller, Reply, TestApp};

/// The path of a search; `more` begins with `&` or is empty.
fn path(q: &str, more: &str) -> String {
    let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
    format!("/chat/threads?q={q}{more}")
}

async fn search(caller: &Caller, q: &str, more: &str) -> Reply {
    caller.get(&path(q, more)).expect(200).await
}

/// The ids of the threads that are found.
async fn found(caller: &Caller, q: &str) -> Vec<Value> {
    search(caller, q, "").await.each("threads", "threadId")
}

/// The time in `field`, an hour earlier.
fn an_hour_before(field: &str) -> Document {
    doc! { "$dateAdd": { "startDate": format!("${field}"), "unit": "millisecond", "amount": -3_600_000_i64 } }
}

/// Makes times an hour older in MongoDB, so that the overlay does not look at what is there.
async fn aged(app: &TestApp, collection: &str, fields: &[&str]) {
    let moved = fields.iter().map(|field| ((*field).to_owned(), an_hour_before(field).into()));
    let set: Document = moved.collect();
    let all = app.store().raw().collection::<Document>(collection);
    all.update_many(doc! {}, vec![doc! { "$set": set }]).await.unwrap();
}

/// Waits until everything is in the index, and lets the index alone answer for it.
async fn indexed(app: &TestApp) {
    app.settled().await;
    app.index().refresh().await.unwrap();
    aged(app, "threads", &["updatedAt", "publicUpdatedAt"]).await;
    aged(app, "messages", &["createdAt"]).await;
}

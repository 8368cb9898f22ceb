//! Every index, in one table. Kept lean: each one costs on the commit path or on a job's way through the ledger.

use futures::future::try_join_all;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use std::time::Duration;

use super::StoreError;

/// How long an answered `Idempotency-Key` is remembered.
pub(crate) const IDEMPOTENCY_TTL: Duration = Duration::from_secs(48 * 3600);
/// How long a finished outbound job keeps its timeline.
pub(crate) const FINISHED_JOB_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a raw provider event is kept.
pub(crate) const EVENT_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

fn plain(name: &str, keys: Document) -> IndexModel {
    IndexModel::builder().keys(keys).options(IndexOptions::builder().name(name.to_owned()).build()).build()
}

fn partial(name: &str, keys: Document, filter: Document) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).partial_filter_expression(filter).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn unique(name: &str, keys: Document, filter: Option<Document>) -> IndexModel {
    let options =
        IndexOptions::builder().name(name.to_owned()).unique(true).partial_filter_expression(filter).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn ttl(name: &str, field: &str, after: Duration) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).expire_after(after).build();
    IndexModel::builder().keys(doc! { field: 1 }).options(options).build()
}

/// Collections with their indexes.
type Table = Vec<(&'static str, Vec<IndexModel>)>;

fn exists(field: &str) -> Document {
    doc! { field: { "$exists": true } }
}

fn table() -> Table {
    let mut table = conversations();
    table.extend(desk());
    table.extend(channels());
    table
}

/// The accounts' own numbers, found by what comes in.
fn channels() -> Table {
    vec![(
        "channels",
        vec![
            plain("account", doc! { "accountId": 1 }),
            partial("whatsapp", doc! { "whatsapp.phoneNumberId": 1 }, exists("whatsapp.phoneNumberId")),
            partial("sms", doc! { "sms.accountSid": 1, "sms.from": 1 }, exists("sms.accountSid")),
            partial("guest", doc! { "guest.url": 1 }, exists("guest.url")),
        ],
    )]
}

/// The support desk's own documents.
fn desk() -> Table {
    vec![
        (
            "supportTokens",
            vec![
                unique("hash", doc! { "hash": 1 }, None),
                partial("previous", doc! { "previous.hash": 1 }, exists("previous.hash")),
                plain("account", doc! { "accountId": 1 }),
            ],
        ),
        (
            "supportSessions",
            vec![
                plain("token", doc! { "accountId": 1, "tokenId": 1 }),
                // A document goes when the time in it has come.
                ttl("expired", "expiresAt", Duration::ZERO),
            ],
        ),
        (
            "customers",
            vec![unique("identity", doc! { "accountId": 1, "identityId": 1 }, Some(exists("identityId")))],
        ),
    ]
}

/// Conversations, what follows from them, and what comes in.
fn conversations() -> Table {
    vec![
        (
            "threads",
            vec![
                // The staff's views. Members are not in it: an entry per participant would be rewritten per message.
                plain("view_staff", doc! { "accountId": 1, "staffViewers": 1, "updatedAt": -1 }),
                plain("view_guest", doc! { "accountId": 1, "guestViewers": 1 }),
                plain("view_unread", doc! { "accountId": 1, "needsAttention": 1 }),
                partial("reservation", doc! { "accountId": 1, "reservationId": 1 }, exists("reservationId")),
            ],
        ),
        (
            "messages",
            vec![
                unique("thread_seq", doc! { "thread": 1, "seq": 1 }, None),
                unique("thread_public_seq", doc! { "thread": 1, "publicSeq": 1 }, Some(exists("publicSeq"))),
                unique(
                    "external_id",
                    doc! { "accountId": 1, "source": 1, "externalMessageId": 1 },
                    Some(exists("externalMessageId")),
                ),
            ],
        ),
        (
            "jobs",
            vec![
                partial("due", doc! { "queue": 1, "pushAfter": 1 }, doc! { "state": "queued" }),
                partial("lease", doc! { "leaseUntil": 1 }, doc! { "state": "running" }),
                partial("parked", doc! { "createdAt": 1 }, doc! { "state": "parked" }),
                partial("grace", doc! { "graceUntil": 1 }, doc! { "state": "unknown" }),
                // The lane's mutex: one running job per lane.
                unique(
                    "lane_running",
                    doc! { "lane": 1 },
                    Some(doc! { "lane": { "$exists": true }, "state": "running" }),
                ),
                partial("lane_order", doc! { "lane": 1, "laneSeq": 1 }, doc! { "open": true }),
                partial("timeline", doc! { "message": 1 }, exists("lane")),
                partial("provider_id", doc! { "providerId": 1 }, exists("providerId")),
                ttl("finished", "finishedAt", FINISHED_JOB_TTL),
            ],
        ),
        // Whom an unassigned room's mails go to.
        ("users", vec![partial("email", doc! { "accountId": 1, "role": 1 }, exists("email"))]),
        (
            "contacts",
            vec![
                unique("phone", doc! { "phoneKey": 1 }, Some(exists("phoneKey"))),
                unique("business_id", doc! { "businessKey": 1 }, Some(exists("businessKey"))),
            ],
        ),
        ("templates", vec![plain("business", doc! { "business": 1 })]),
        ("idempotency", vec![ttl("ttl", "createdAt", IDEMPOTENCY_TTL)]),
        (
            "audit",
            vec![
                plain("account_time", doc! { "accountId": 1, "createdAt": -1 }),
                plain("target", doc! { "accountId": 1, "targetId": 1 }),
            ],
        ),
        (
            "events",
            vec![
                plain("state_time", doc! { "state": 1, "receivedAt": 1 }),
                ttl("ttl", "receivedAt", EVENT_TTL),
            ],
        ),
    ]
}

pub(super) async fn ensure(db: &Database) -> Result<(), StoreError> {
    let all = table()
        .into_iter()
        .map(|(name, models)| async move { db.collection::<Document>(name).create_indexes(models).await });
    try_join_all(all).await?;
    Ok(())
}

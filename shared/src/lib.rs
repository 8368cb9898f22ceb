//! Bellhop's domain and its doors to MongoDB, Redis, Elasticsearch and the providers.
//!
//! `domain` is pure; `store`, `committer` and `ledger` own MongoDB; `queue` owns Redis wake-ups, `live` its pub/sub;
//! `search` owns Elasticsearch, `reindex` fills it anew; `providers` owns calls to WhatsApp, Twilio and the guest
//! platform, `mail` those to the mail server; `channels` tells by which number, `secrets` keeps what signs in there.

pub mod channels;
pub mod coalesce;
pub mod committer;
pub mod config;
pub mod credentials;
pub mod domain;
pub mod failpoint;
pub mod ledger;
pub mod live;
pub mod mail;
pub mod presence;
pub mod providers;
pub mod queue;
pub mod reindex;
pub mod search;
pub mod secrets;
pub mod store;
pub mod task;
pub mod telemetry;

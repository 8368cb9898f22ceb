//! Bellhop's domain and its doors to MongoDB, Redis, Elasticsearch and the providers.
//!
//! `domain` is pure; `store`, `committer` and `ledger` own MongoDB; `queue` owns Redis wake-ups;
//! `search` owns Elasticsearch; `providers` owns calls to WhatsApp, Twilio and the guest platform.

pub mod coalesce;
pub mod committer;
pub mod config;
pub mod domain;
pub mod failpoint;
pub mod ledger;
pub mod providers;
pub mod queue;
pub mod search;
pub mod store;
pub mod task;
pub mod telemetry;

//! Bellhop's workers: everything that follows a commit.
//!
//! [`run`](run::run) starts, for each queue, an apalis worker on our Redis backend, and one dispatcher per
//! process. Jobs live in [`jobs`], one file each, and are listed in [`registry`].

pub mod admin;
pub mod backend;
pub mod batches;
pub mod catalogue;
pub mod context;
pub mod dispatcher;
pub mod effect;
pub mod errand;
mod error_classes;
pub mod jobs;
mod late_refusals;
mod news;
pub mod notices;
pub mod outbound;
pub mod projection;
pub mod reconcile;
pub mod registry;
pub mod reindex;
pub mod release;
pub mod rotation;
pub mod run;
pub mod statuses;
pub mod trail;

//! An apalis backend over one Redis stream and one consumer group: wake-ups in, acknowledgements out.
//!
//! A [`RedisStreams`] feeds one apalis worker with the entries of one queue's stream (keys: [`shared::queue`]).
//! Three tasks run beside the worker, each going on for ever through any fault of Redis:
//!
//! * the *reader* blocks in `XREADGROUP` on a connection of its own and keeps a bounded number of entries ready;
//! * the *keeper* renews the claim on every entry in hand, takes over entries whose worker died or handed them
//!   back, and empties our hands at shutdown;
//! * the *acker* acknowledges and deletes what was handled, many at a time.
//!
//! **When an entry is acknowledged.** After the handler ended, whatever its result: the handler records failure
//! and the time of the next attempt in the job ledger, which is the truth, so the wake-up has done its duty.
//! The exception is [`Nack`]: a handler that could not reach the ledger at all returns it, and the entry comes
//! again after `min_idle`. An entry whose handler never ended (the process died) comes again likewise.
//!
//! **At least once.** An entry may be delivered twice: after a crash, after a stall longer than `min_idle`, after
//! `XGROUP DESTROY`. The ledger's claim makes the second delivery harmless.
//! [`Wakeup::redelivered`] tells that an earlier delivery may have died with its process.
//!
//! Invariant: neither `poll_ready`, `poll_next` nor `poll_close` ever answers an error, since apalis ends a worker
//! at the first.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use apalis::prelude::*;
//! use shared::queue::Queue;
//! use workers::backend::{RedisStreams, StreamConfig, Wakeup};
//!
//! async fn handle(wakeup: Wakeup) -> Result<(), BoxDynError> {
//!     tracing::info!(job.id = %wakeup.job_id, wakeup.redelivered, "job {} looked at", wakeup.job_id);
//!     Ok(())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let config = StreamConfig::new("redis://127.0.0.1", "bellhop", Queue::Search);
//! let backend = RedisStreams::new(config)?;
//! Monitor::new()
//!     .shutdown_timeout(Duration::from_secs(8))
//!     .register(move |restart| {
//!         WorkerBuilder::new(format!("search-host-1234-{restart}"))
//!             .backend(backend.clone()) // a clone starts afresh, as a consumer of its own
//!             .enable_tracing()
//!             .parallelize(|job| shared::task::spawn("job", job)) // outside of the timeout, or late jobs go on
//!             .concurrency(64)
//!             .timeout(Duration::from_secs(30))
//!             .catch_panic()
//!             .build(handle)
//!     })
//!     .run_with_signal(tokio::signal::ctrl_c())
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod ack;
mod acker;
mod config;
mod entry;
mod held;
mod keeper;
mod outage;
mod reader;
mod scripts;
mod sink;
mod stream;
mod streams;

pub use ack::{AckLayer, AckService, Nack};
pub use config::StreamConfig;
pub use entry::Wakeup;
pub use sink::PushError;
pub use streams::RedisStreams;

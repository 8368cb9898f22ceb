//! Everything between a connection and a handler. How an endpoint is written:
//!
//! ```ignore
//! // ingest/src/api/threads.rs, one file per resource, listed in ingest/src/api/mod.rs
//! pub struct ThreadsApi;
//!
//! #[derive(Object)]
//! #[oai(rename_all = "camelCase", deny_unknown_fields)]
//! struct ReadMarkIn {
//!     /// Up to this message; the newest when it is left out.
//!     up_to: Option<Id<MessageId>>,
//! }
//!
//! #[OpenApi(tag = "Tag::Threads")]
//! impl ThreadsApi {
//!     /// Marks a thread as read.
//!     ///
//!     /// The first line is the summary in the document, the rest its description.
//!     #[oai(path = "/chat/threads/:id/read", method = "post", operation_id = "threads.read")]
//!     async fn read(
//!         &self,
//!         caller: Caller,                            // 401, 403; `Operator` for /ops
//!         id: Path<Id<ThreadId>>,                    // 400 when malformed
//!         body: StrictJson<ReadMarkIn>,              // 400, 413, 415, 422, naming the field
//!         services: Data<&Arc<Services>>,
//!     ) -> Result<StrictJson<ReadMarkOut>, ApiError> {
//!         let mark = services.threads.mark_read(&caller, &id.0.0, body.0.up_to).await?;
//!         Ok(StrictJson(mark.into()))
//!     }
//! }
//! ```
//!
//! - Take the permission value ([`Caller`](crate::auth::Caller), [`Operator`](crate::auth::Operator)) first,
//!   make one call, map the outcome; `?` turns a `Rejection` or any `Into<ApiError>` into the documented answer.
//! - `Result<T, ApiError>` documents every 4xx and 5xx; use [`DeskError`] under `/api/conversation-v2/`. Other
//!   statuses than 200: `#[derive(ApiResponse)] enum Created { #[oai(status = 201)] Created(StrictJson<Out>) }`.
//! - Request id and client address: `Data<&RequestId>`, `Data<&ClientAddress>`.
//! - A field that is optional may be null. In a PATCH, `MaybeUndefined<T>` tells null from absent; it needs no
//!   `#[oai(default)]` (which would make null absent again).
//! - Strings are strict: [`StrictJson`] checks the body against the documented schema, so a number is no `String`.
//! - Everything else (404, 405, limits, panics, headers, metrics, logs) is done by the edge for every path.

mod admin;
mod body;
mod client;
mod cors;
mod edge;
mod error;
mod health;
mod ids;
pub(crate) mod json;
mod limit;
mod optional_json;
mod problem;
mod routes;
mod schema;
mod server;
mod strict_json;
#[cfg(test)]
mod tests;
mod translate;

pub use client::ClientAddress;
pub use error::{ApiError, Code, DeskError};
pub use health::{Health, Report};
pub use ids::{Id, IdForm};
pub use optional_json::OptionalJson;
pub use strict_json::StrictJson;

pub(crate) use admin::routes as admin_routes;
pub(crate) use edge::{Edge, Gate, Operation, log_cause};
pub(crate) use routes::Routes;
pub(crate) use server::{Limits, Listening};

//! Ingest: the HTTP API, webhooks and sockets. Thin: authenticate, validate, decide, commit, answer.
//!
//! `http` is everything between a connection and a handler, `auth` says who is calling, `api` holds the
//! endpoints, `chat` and `desk` what they do, `sockets` what is live, `openapi` the document, `app` puts them on their
//! ports.

pub mod api;
pub mod auth;
pub mod http;
pub mod openapi;
pub mod sockets;

mod app;
mod channels;
mod chat;
mod desk;
mod events;
mod services;
mod unheard;

pub use app::{App, Running};
pub use services::Services;

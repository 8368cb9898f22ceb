//! Channels of accounts: how they are set, what goes out and comes in by them, and how their secrets are kept.

mod api;
mod book;
mod checks;
mod flags;
mod repair;
pub(crate) mod rig;
mod rotation;
mod secrets;
mod sending;

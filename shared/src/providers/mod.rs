//! Calls to WhatsApp, Twilio and the guest platform, and what their answers mean.
//!
//! A send makes at most one request and ends in exactly one [`SendOutcome`]: accepted, refused (surely not
//! taken) or unknown. What an error means stands in a data file ([`Classes`]), never in a `match`.
//! URLs that clients set are guarded when connecting ([`ssrf`]).

pub mod backoff;
mod circuit;
mod classes;
pub mod guest;
pub(crate) mod judge;
mod numbering;
mod outcome;
mod phone;
pub mod retry_after;
mod scrub;
#[cfg(test)]
mod socket_tests;
pub mod ssrf;
pub mod standard_webhooks;
mod transport;
pub mod twilio;
pub mod whatsapp;

pub use circuit::{Circuit, CircuitPolicy, CircuitState, Circuits, Permit, RetryAt, Verdict};
pub use classes::{Class, Classes, ClassesError, Decision, Pace, Provider, Rule, Scope, Signal, Until};
pub use outcome::{Refusal, SendOutcome, UnknownCause};
pub use phone::{NotAPhone, Phone};
pub(crate) use transport::Lost;
pub use transport::{Transport, TransportOptions, Trust};

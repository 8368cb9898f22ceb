//! Signatures judged by the providers' own packages: what we send they accept, what they sign we accept.

mod standard_webhooks;
mod twilio;

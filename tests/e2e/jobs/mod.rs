//! What follows a commit: every job against the provider simulator, on real servers.

mod deliveries;
mod doubt;
mod error_codes;
mod fairness;
mod flagged;
mod lanes;
mod late_refusals;
mod pace;
mod poison;
mod privacy;
mod reconcile;
mod refusals;
mod repeats;
mod resend;
mod statuses;
mod story;
mod templates;
mod window;

//! What follows a commit: every job against the provider simulator, on real servers.

mod deliveries;
mod doubt;
mod flagged;
mod lanes;
mod poison;
mod privacy;
mod refusals;
mod repeats;
mod statuses;
mod story;
mod window;

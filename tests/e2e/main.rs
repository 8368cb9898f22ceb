//! All tests on real servers, in one program. `dev/with-servers` starts the servers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end anywhere")]

mod api;
mod backend;
mod channels;
mod commit;
mod compose;
mod desk;
mod docs;
mod faults;
mod jobs;
mod ledger;
mod live;
mod mail;
mod search;
mod validators;
mod views;

//! What the product survives: killed programs, emptied and absent servers, a large backlog. Short times here; the
//! full ones with `dev/faults`.

mod backlog;
mod ingest_dies;
mod outages;
mod reload;
mod storm;
mod worker_dies;

use std::time::Duration;

/// How long an outage lasts: seconds, or minutes with `BELLHOP_TEST_FAULTS=full`.
#[expect(clippy::disallowed_methods, reason = "tests are told how long to last by their environment")]
fn outage() -> Duration {
    match std::env::var("BELLHOP_TEST_FAULTS").as_deref() {
        Ok("full") => Duration::from_secs(120),
        _ => Duration::from_secs(2),
    }
}

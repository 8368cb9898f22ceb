//! A ledger in a database of its own, with jobs put into lanes by hand.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::Document;
use shared::domain::delivery::Reason;
use shared::domain::ids::AccountId;
use shared::domain::jobs::{DELIVER_SMS, JobState};
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{Claim, JobRow, Ledger, Trouble, Verdict};
use tests::servers::mongodb::TestDatabase;

/// How long a claim holds.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Beyond every lease and grace of these tests.
pub(super) const LATER: i64 = 3_600_000;

pub(super) struct Bench {
    pub(super) ledger: Ledger,
    pub(super) db: TestDatabase,
}

/// A job that was sent and whose fate is not known.
pub(super) fn lost(grace_millis: i64) -> Verdict {
    Verdict::Unknown { grace_until: plus_millis(Time::now(), grace_millis) }
}

pub(super) fn done() -> Verdict {
    Verdict::Done { provider_id: None }
}

pub(super) fn dead() -> Verdict {
    Verdict::Dead { reason: Reason::ProviderRejected }
}

pub(super) fn parked() -> Verdict {
    Verdict::Park { reason: Reason::NeedsTemplate }
}

pub(super) fn retry_in(millis: i64) -> Verdict {
    Verdict::Retry { due_at: plus_millis(Time::now(), millis), counts: true }
}

/// The store's clock, as a leader sees it, an hour later.
pub(super) fn later() -> Time {
    plus_millis(Time::now(), LATER)
}

impl Bench {
    pub(super) async fn open() -> Self {
        let db = TestDatabase::new().await.expect("mongodb");
        Self { ledger: Ledger::new(db.store(), LEASE), db }
    }

    /// The rows behind the ledger's back.
    pub(super) fn rows(&self) -> Collection<Document> {
        self.db.store().raw().collection("jobs")
    }

    /// A row that is not stored yet.
    pub(super) fn row(lane: &str, seq: i64) -> JobRow {
        let account = AccountId::parse("acme").expect("an account");
        let mut row = JobRow::new(DELIVER_SMS, &account, Time::now(), Duration::ZERO);
        row.lane = Some(lane.to_owned());
        row.lane_seq = Some(seq);
        row.open = Some(true);
        row
    }

    /// `count` jobs in `lane`, numbered from 1.
    pub(super) async fn lane(&self, lane: &str, count: i64) -> Vec<JobRow> {
        let mut rows = Vec::new();
        for seq in 1..=count {
            let row = Self::row(lane, seq);
            self.ledger.add(&row).await.expect("added");
            rows.push(row);
        }
        rows
    }

    pub(super) async fn job(&self, row: &JobRow) -> JobRow {
        self.ledger.job(&row.id).await.expect("read").expect("the job")
    }

    pub(super) async fn state(&self, row: &JobRow) -> JobState {
        self.job(row).await.state
    }

    pub(super) async fn claim(&self, row: &JobRow) -> Claim {
        self.ledger.claim(&row.id, "w1").await.expect("claimed")
    }

    /// Claims by the id of `row`, which must succeed.
    pub(super) async fn take(&self, row: &JobRow) -> JobRow {
        match self.claim(row).await {
            Claim::Taken(job) => *job,
            other => panic!("not taken: {other:?}"),
        }
    }

    /// Ends the attempt of `job`, which must be ours.
    pub(super) async fn settle(&self, job: &JobRow, verdict: Verdict) {
        let settled = self.ledger.settle(job, &verdict, &Trouble::default(), Time::now()).await;
        settled.expect("written").expect("not fenced");
    }

    /// The place in its lane of the job that may run next.
    pub(super) async fn next(&self, lane: &str) -> Option<i64> {
        self.ledger.next_in_lane(lane).await.expect("read").and_then(|job| job.lane_seq)
    }
}

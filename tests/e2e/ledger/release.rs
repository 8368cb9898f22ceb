//! Releasing what waits for somebody who has acted now: of one account, one channel, and for a reason that is gone.

use shared::domain::delivery::Reason;
use shared::domain::ids::AccountId;
use shared::domain::jobs::JobState;
use shared::ledger::Verdict;

use super::bench::{Bench, done};

const REPAIRED: [Reason; 2] = [Reason::NeedsOperator, Reason::ChannelDisabled];

/// How many go on, step by step.
async fn release(bench: &Bench, channel: &str) -> Vec<u64> {
    let acme = AccountId::parse("acme").expect("an account");
    let (mut steps, mut after) = (Vec::new(), String::new());
    while let Some(step) =
        bench.ledger.release_parked(&acme, channel, &REPAIRED, &after).await.expect("released")
    {
        steps.push(step.jobs);
        after = step.last;
    }
    steps
}

#[tokio::test]
async fn only_what_waits_for_the_repair_in_the_accounts_own_lanes_goes_on() {
    let bench = Bench::open().await;
    let waits = [
        ("whatsapp:acme/t1", Reason::NeedsOperator, JobState::Queued),
        ("whatsapp:acme/t2", Reason::ChannelDisabled, JobState::Queued),
        ("whatsapp:acme/t3", Reason::NeedsTemplate, JobState::Parked),
        ("whatsapp:acme-2/t1", Reason::NeedsOperator, JobState::Parked),
        ("whatsapp:acme2/t1", Reason::NeedsOperator, JobState::Parked),
        ("whatsapp:globex/t1", Reason::NeedsOperator, JobState::Parked),
        ("sms:acme/t1", Reason::NeedsOperator, JobState::Parked),
    ];
    let mut jobs = Vec::new();
    for (lane, reason, _) in waits {
        let job = bench.lane(lane, 1).await.remove(0);
        let taken = bench.take(&job).await;
        bench.settle(&taken, Verdict::Park { reason }).await;
        jobs.push(job);
    }
    assert_eq!(release(&bench, "whatsapp").await, [2]);
    assert_eq!(release(&bench, "whatsapp").await, [0_u64; 0]);
    for ((lane, _, wanted), job) in waits.into_iter().zip(&jobs) {
        assert_eq!(bench.state(job).await, wanted, "{lane}");
    }
    assert_eq!(release(&bench, "sms").await, [1]);
}

#[tokio::test]
async fn a_lane_is_released_in_its_order_with_all_that_stood_behind() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:acme/t1", 3).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, Verdict::Park { reason: Reason::NeedsOperator }).await;
    for job in &jobs[1..] {
        let job = bench.job(job).await;
        assert!(bench.ledger.park_behind(&job, Some(Reason::NeedsOperator.as_str())).await.expect("parked"));
    }
    assert_eq!(release(&bench, "sms").await, [3]);
    for seq in 1..=3 {
        assert_eq!(bench.next("sms:acme/t1").await, Some(seq), "due at once");
        let taken = bench.take(&jobs[2]).await;
        assert_eq!((taken.lane_seq, taken.reason.as_deref()), (Some(seq), None));
        bench.settle(&taken, done()).await;
    }
}

#[tokio::test]
async fn more_than_one_step_is_released_by_asking_until_nothing_is_left() {
    let bench = Bench::open().await;
    let mut rows = Vec::new();
    for n in 0..1_100 {
        let mut row = Bench::row(&format!("sms:acme/t{n}"), 1);
        (row.state, row.reason) = (JobState::Parked, Some(Reason::ChannelDisabled.as_str().to_owned()));
        rows.push(row);
    }
    bench.ledger.add_missing(&rows).await.expect("added");
    assert_eq!(release(&bench, "sms").await, [500, 500, 100]);
    let left =
        bench.rows().count_documents(mongodb::bson::doc! { "state": "parked" }).await.expect("counted");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_is_parked_again_meanwhile_is_met_once() {
    let bench = Bench::open().await;
    let acme = AccountId::parse("acme").expect("an account");
    let job = bench.lane("sms:acme/t1", 1).await.remove(0);
    let park = async || {
        let taken = bench.take(&job).await;
        bench.settle(&taken, Verdict::Park { reason: Reason::NeedsOperator }).await;
    };
    park().await;
    let step =
        bench.ledger.release_parked(&acme, "sms", &REPAIRED, "").await.expect("released").expect("a step");
    park().await;
    assert_eq!(bench.ledger.release_parked(&acme, "sms", &REPAIRED, &step.last).await.expect("asked"), None);
    assert_eq!(bench.state(&job).await, JobState::Parked);
}

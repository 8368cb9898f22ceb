//! How attempts end, and what a proof or a clock that is wrong changes.

use shared::domain::delivery::Reason;
use shared::domain::jobs::JobState;
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{AttemptOutcome, Claim, JobRow, Trouble, Verdict};

use super::bench::{Bench, LATER, dead, done, lost, parked, retry_in};

#[tokio::test]
async fn the_timeline_tells_every_attempt_and_how_it_ended() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    let first = bench.take(&jobs[0]).await;
    bench.ledger.begin_send(&first).await.expect("begun");
    let first = bench.job(&jobs[0]).await;
    let trouble = Trouble {
        class: Some("retry".to_owned()),
        provider_code: Some("$30008".to_owned()),
        text: Some("$$NOW is no variable here".to_owned()),
    };
    let settled = bench.ledger.settle(&first, &retry_in(0), &trouble, Time::now()).await;
    settled.expect("written").expect("ours");
    let second = bench.take(&jobs[0]).await;
    let sent = Verdict::Done { provider_id: Some("$SM1".to_owned()) };
    bench.settle(&second, sent).await;
    let job = bench.job(&jobs[0]).await;
    assert_eq!((job.state, job.provider_id.as_deref(), job.open), (JobState::Done, Some("$SM1"), None));
    assert_eq!((job.attempt_count, job.last_error.as_deref()), (1, Some("$$NOW is no variable here")));
    let told: Vec<_> = job.attempts.iter().map(|a| (a.attempt, a.outcome, a.finished_at.is_some())).collect();
    assert_eq!(told, [(1, Some(AttemptOutcome::Retry), true), (2, Some(AttemptOutcome::Ok), true)]);
    let failed = &job.attempts[0];
    assert_eq!(failed.provider_error_code.as_deref(), Some("$30008"));
    assert_eq!(failed.error_class.as_deref(), Some("retry"));
    assert!(failed.next_attempt_at.is_some() && failed.sending_at.is_some());
    assert!(failed.finished_at >= Some(failed.started_at));
}

#[tokio::test]
async fn refusals_that_cost_nothing_are_not_counted_and_any_answer_forgets_the_deaths() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    for (counts, count) in [(false, 0), (true, 1), (false, 1)] {
        let taken = bench.take(&jobs[0]).await;
        bench.settle(&taken, Verdict::Retry { due_at: Time::now(), counts }).await;
        let job = bench.job(&jobs[0]).await;
        assert_eq!((job.attempt_count, job.starts), (count, 0));
    }
}

#[tokio::test]
async fn only_the_last_fifty_attempts_are_kept() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    for _ in 0..52 {
        let taken = bench.take(&jobs[0]).await;
        bench.settle(&taken, retry_in(0)).await;
    }
    let attempts = bench.job(&jobs[0]).await.attempts;
    assert_eq!(attempts.iter().map(|a| a.attempt).collect::<Vec<_>>(), (3..=52).collect::<Vec<_>>());
    assert!(attempts.iter().all(|a| a.outcome == Some(AttemptOutcome::Retry)));
}

/// Brings the first job of a new lane to an end by `verdict`.
async fn brought_to(bench: &Bench, lane: &str, verdict: Verdict) -> JobRow {
    let jobs = bench.lane(lane, 2).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, verdict).await;
    bench.job(&jobs[0]).await
}

#[tokio::test]
async fn a_proof_of_delivery_ends_an_unknown_dead_or_parked_job_and_frees_its_lane() {
    let bench = Bench::open().await;
    for (lane, verdict) in [("sms:u", lost(LATER)), ("sms:d", dead()), ("sms:p", parked())] {
        let job = brought_to(&bench, lane, verdict).await;
        assert!(bench.ledger.prove(&job.id, Some("SM1"), Time::now()).await.expect("asked"), "{lane}");
        let proved = bench.job(&job).await;
        assert_eq!((proved.state, proved.reason.as_deref()), (JobState::Done, None), "{lane}");
        assert_eq!(proved.grace_until, None);
        assert_eq!(bench.next(lane).await, Some(2), "{lane}");
        assert!(
            !bench.ledger.prove(&job.id, Some("SM1"), Time::now()).await.expect("asked"),
            "news only once"
        );
    }
}

#[tokio::test]
async fn a_proof_of_an_earlier_attempt_reaches_a_job_that_waits_for_its_next_one() {
    let bench = Bench::open().await;
    let job = brought_to(&bench, "sms:t1", retry_in(LATER)).await;
    assert!(bench.ledger.prove(&job.id, None, Time::now()).await.expect("asked"));
    assert_eq!(bench.next("sms:t1").await, Some(2));
}

#[tokio::test]
async fn a_retry_is_put_off_by_the_stores_clock_however_wrong_the_workers_is() {
    let bench = Bench::open().await;
    for (lane, skew) in [("sms:ahead", 2 * LATER), ("sms:behind", -2 * LATER)] {
        let jobs = bench.lane(lane, 1).await;
        for (wait, may_run) in [(0, true), (600_000, false)] {
            let taken = bench.take(&jobs[0]).await;
            let workers_now = plus_millis(Time::now(), skew);
            let verdict = Verdict::Retry { due_at: plus_millis(workers_now, wait), counts: true };
            let settled = bench.ledger.settle(&taken, &verdict, &Trouble::default(), workers_now).await;
            settled.expect("written").expect("ours");
            assert_eq!(bench.next(lane).await.is_some(), may_run, "{lane}: due in {wait} ms");
        }
        let due = bench.job(&jobs[0]).await.due_at.timestamp_millis() - Time::now().timestamp_millis();
        assert!((540_000..=600_000).contains(&due), "{lane}: due in {due} ms");
        assert_eq!(bench.claim(&jobs[0]).await, Claim::Behind, "{lane}: not due");
    }
}

#[tokio::test]
async fn the_grace_of_an_unknown_outcome_counts_by_the_stores_clock() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    let taken = bench.take(&jobs[0]).await;
    let workers_now = plus_millis(Time::now(), -2 * LATER);
    let verdict = Verdict::Unknown { grace_until: plus_millis(workers_now, 120_000) };
    let settled = bench.ledger.settle(&taken, &verdict, &Trouble::default(), workers_now).await;
    settled.expect("written").expect("ours");
    assert_eq!(bench.ledger.end_grace(false, Time::now()).await.expect("swept"), None, "it is not over");
    let job = bench.job(&jobs[0]).await;
    assert_eq!(job.reason.as_deref(), Some(Reason::OutcomeUnknown.as_str()));
    assert_eq!((job.state, job.attempt_count), (JobState::Unknown, 1));
}

#[tokio::test]
async fn a_job_that_is_done_after_all_tells_no_reason() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, lost(0)).await;
    bench.ledger.end_grace(true, super::bench::later()).await.expect("swept").expect("resent");
    let again = bench.take(&jobs[0]).await;
    bench.settle(&again, done()).await;
    assert_eq!(bench.job(&jobs[0]).await.reason, None);
}

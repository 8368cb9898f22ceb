//! Who gets a job, and what a worker that comes back late can still do.

use futures::future::join_all;
use mongodb::bson::doc;
use shared::domain::jobs::JobState;
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{Claim, Fenced, Trouble};

use super::bench::{Bench, LEASE, done, later, retry_in};

#[tokio::test]
async fn a_claim_takes_the_head_of_the_lane_whatever_id_woke_it() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 3).await;
    let taken = bench.take(&jobs[2]).await;
    assert_eq!((&taken.id, taken.state, taken.attempt, taken.starts), (&jobs[0].id, JobState::Running, 1, 1));
    assert_eq!(taken.attempts.len(), 1);
    assert_eq!(taken.attempts[0].worker, "w1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thirty_two_claims_at_once_exactly_one_takes_the_lane() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 4).await;
    let claims = (0..32).map(|n| bench.claim(&jobs[n % 4]));
    let claims = join_all(claims).await;
    let taken: Vec<_> = claims.iter().filter(|claim| matches!(claim, Claim::Taken(_))).collect();
    assert_eq!(taken.len(), 1, "{claims:?}");
    assert!(matches!(taken[0], Claim::Taken(job) if job.id == jobs[0].id));
    assert!(claims.iter().all(|claim| matches!(claim, Claim::Taken(_) | Claim::Behind | Claim::Gone)));
}

#[tokio::test]
async fn while_one_job_of_a_lane_runs_the_others_are_behind_it() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    let other_lane = bench.lane("sms:t2", 1).await;
    bench.take(&jobs[0]).await;
    assert_eq!(bench.claim(&jobs[1]).await, Claim::Behind);
    assert_eq!(bench.claim(&jobs[0]).await, Claim::Gone, "it runs already");
    bench.take(&other_lane[0]).await;
}

#[tokio::test]
async fn the_index_keeps_a_second_job_of_a_lane_from_running_even_when_it_is_taken_for_the_head() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    bench.take(&jobs[0]).await;
    // As if the head had been read a moment before: the running job no longer holds the lane in what is read.
    let closed = doc! { "$unset": { "open": "" } };
    bench.rows().update_one(doc! { "_id": &jobs[0].id }, closed).await.expect("written");
    assert_eq!(bench.claim(&jobs[1]).await, Claim::Behind);
}

#[tokio::test]
async fn a_finished_or_unknown_id_is_gone() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, done()).await;
    assert_eq!(bench.claim(&jobs[0]).await, Claim::Gone);
    assert_eq!(bench.claim(&Bench::row("sms:t1", 9)).await, Claim::Gone);
}

#[tokio::test]
async fn a_worker_whose_lease_ended_is_fenced_off() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    let zombie = bench.take(&jobs[0]).await;
    let recovered = bench.ledger.recover_one(|_| false, LEASE, later()).await.expect("swept");
    assert!(recovered.is_some());
    let taken_over = bench.take(&jobs[0]).await;
    assert!(taken_over.epoch > zombie.epoch);
    assert!(!bench.ledger.begin_send(&zombie).await.expect("asked"), "it must not send any more");
    for verdict in [done(), retry_in(0)] {
        let late = bench.ledger.settle(&zombie, &verdict, &Trouble::default(), Time::now()).await;
        assert_eq!(late.expect("asked"), Err(Fenced));
    }
    assert_eq!(bench.job(&jobs[0]).await, taken_over, "nothing of it was changed");
    bench.settle(&taken_over, done()).await;
}

#[tokio::test]
async fn a_lease_is_taken_by_the_stores_clock_and_begun_anew_before_sending() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    let taken = bench.take(&jobs[0]).await;
    let lease = taken.lease_until.expect("a lease").timestamp_millis()
        - taken.attempts[0].started_at.timestamp_millis();
    assert_eq!(lease, LEASE.as_millis() as i64);
    assert!(bench.ledger.begin_send(&taken).await.expect("asked"));
    let sending = bench.job(&jobs[0]).await;
    assert!(sending.sending_at.is_some() && sending.lease_until >= taken.lease_until);
    let before_its_end = plus_millis(taken.lease_until.expect("a lease"), -1);
    let early = bench.ledger.recover_one(|_| false, LEASE, before_its_end).await.expect("swept");
    assert_eq!(early, None, "no lease is stolen before its end");
}

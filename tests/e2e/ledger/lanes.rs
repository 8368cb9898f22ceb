//! The order of a lane: what holds it, what lets it go on, and parking.

use shared::domain::jobs::JobState;
use shared::ledger::Claim;

use super::bench::{Bench, LATER, dead, done, later, lost, parked, retry_in};

#[tokio::test]
async fn a_retry_holds_its_lane_back_until_it_is_due() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, retry_in(LATER)).await;
    assert_eq!(bench.next("sms:t1").await, None);
    for job in &jobs {
        assert_eq!(bench.claim(job).await, Claim::Behind);
    }
}

#[tokio::test]
async fn a_retry_that_is_due_is_taken_before_those_behind_it() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, retry_in(0)).await;
    assert_eq!(bench.next("sms:t1").await, Some(1));
    let again = bench.take(&jobs[1]).await;
    assert_eq!((again.lane_seq, again.attempt), (Some(1), 2));
}

#[tokio::test]
async fn a_done_or_dead_head_lets_its_lane_go_on() {
    let bench = Bench::open().await;
    for (lane, verdict) in [("sms:a", done()), ("sms:b", dead())] {
        let jobs = bench.lane(lane, 2).await;
        let taken = bench.take(&jobs[0]).await;
        bench.settle(&taken, verdict).await;
        assert_eq!(bench.next(lane).await, Some(2), "{lane}");
        assert_eq!(bench.take(&jobs[1]).await.lane_seq, Some(2));
    }
}

#[tokio::test]
async fn a_buried_head_lets_its_lane_go_on() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    bench.ledger.bury(&jobs[0].id, "expired", "too old", later()).await.expect("buried");
    assert_eq!(bench.next("sms:t1").await, Some(2));
}

#[tokio::test]
async fn an_unknown_outcome_holds_its_lane_for_its_grace_only() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, lost(60_000)).await;
    assert_eq!(bench.claim(&jobs[1]).await, Claim::Behind);
    let held = bench.ledger.end_grace(false, later()).await.expect("swept").expect("its grace is over");
    assert_eq!((held.state, held.open), (JobState::Unknown, None), "left to an operator");
    assert_eq!(bench.take(&jobs[1]).await.lane_seq, Some(2));
}

#[tokio::test]
async fn texts_behind_a_parked_head_park_too_and_are_released_in_their_order() {
    let bench = Bench::open().await;
    let jobs = bench.lane("whatsapp:t1", 3).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, parked()).await;
    assert_eq!(bench.next("whatsapp:t1").await, Some(2), "it is woken to park too");
    for waiting in &jobs[1..] {
        let Claim::BehindParked { job, head } = bench.claim(waiting).await else {
            panic!("behind a parked one")
        };
        assert_eq!((&job.id, &head.id), (&waiting.id, &jobs[0].id));
        assert!(bench.ledger.park_behind(&job, head.reason.as_deref()).await.expect("parked"));
        assert_eq!(bench.job(waiting).await.reason, head.reason);
    }
    assert_eq!(bench.next("whatsapp:t1").await, None);
    assert_eq!(bench.ledger.release_lane("whatsapp:t1").await.expect("released"), 3);
    for seq in 1..=3 {
        assert_eq!(bench.next("whatsapp:t1").await, Some(seq), "due at once");
        let taken = bench.take(&jobs[2]).await;
        assert_eq!((taken.lane_seq, taken.reason.as_deref()), (Some(seq), None));
        bench.settle(&taken, done()).await;
        if seq == 3 {
            break;
        }
    }
    assert_eq!(bench.ledger.release_lane("whatsapp:t1").await.expect("released"), 0);
}

#[tokio::test]
async fn a_text_that_was_to_park_behind_a_head_released_meanwhile_is_not_left_behind() {
    let bench = Bench::open().await;
    let jobs = bench.lane("whatsapp:t1", 2).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, parked()).await;
    let Claim::BehindParked { job, head } = bench.claim(&jobs[1]).await else {
        panic!("behind a parked one")
    };
    bench.ledger.release_lane("whatsapp:t1").await.expect("released");
    assert!(!bench.ledger.park_behind(&job, head.reason.as_deref()).await.expect("asked"));
    assert_eq!(bench.state(&jobs[1]).await, JobState::Queued);
    for seq in 1..=2 {
        let taken = bench.take(&jobs[1]).await;
        assert_eq!(taken.lane_seq, Some(seq));
        bench.settle(&taken, done()).await;
    }
}

#[tokio::test]
async fn a_late_refusal_parks_a_done_job_again_and_an_old_sight_of_it_changes_nothing() {
    use shared::domain::delivery::{DeliveryState, News, Reason};
    use shared::domain::time::Time;

    let bench = Bench::open().await;
    let jobs = bench.lane("whatsapp:t1", 2).await;
    let taken = bench.take(&jobs[0]).await;
    bench.settle(&taken, done()).await;
    let finished = bench.job(&jobs[0]).await;
    let news = News::new(1, DeliveryState::Parked, Time::now()).because(Some(Reason::NeedsTemplate), None);
    let refuse = || bench.ledger.refuse(&finished, true, "needs-template", &news, Time::now());
    assert!(refuse().await.expect("asked"));
    assert!(!refuse().await.expect("asked"), "said twice");
    assert_eq!(bench.state(&jobs[0]).await, JobState::Parked);
    assert!(matches!(bench.claim(&jobs[1]).await, Claim::BehindParked { .. }));
}

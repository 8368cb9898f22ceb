//! What the dispatcher does: who leads, what is due, what died, what waited enough.

use std::time::Duration;

use shared::domain::ids::AccountId;
use shared::domain::jobs::{DELIVER_SMS, INDEX_MESSAGE, JobState};
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{AttemptOutcome, JobRow, Recovered};
use shared::queue::Queue;

use super::bench::{Bench, LATER, LEASE, later, lost};

const GRACE: Duration = Duration::from_secs(120);

async fn recover(bench: &Bench) -> Option<Recovered> {
    bench.ledger.recover_one(|name| name == "forward_to_guest", GRACE, later()).await.expect("swept")
}

#[tokio::test]
async fn a_job_whose_worker_died_before_sending_is_queued_again_at_once() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 1).await;
    bench.take(&jobs[0]).await;
    let Some(Recovered::Requeued(job)) = recover(&bench).await else { panic!("queued again") };
    assert_eq!((job.state, job.starts, job.lease_until), (JobState::Queued, 1, None));
    let lost = &job.attempts[0];
    assert_eq!(
        (lost.outcome, lost.error_class.as_deref()),
        (Some(AttemptOutcome::Retry), Some("worker_lost"))
    );
    assert_eq!(recover(&bench).await, None);
    bench.take(&jobs[0]).await;
}

#[tokio::test]
async fn a_job_whose_worker_died_while_sending_has_an_unknown_outcome() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    let taken = bench.take(&jobs[0]).await;
    assert!(bench.ledger.begin_send(&taken).await.expect("begun"));
    let Some(Recovered::Unknown(job)) = recover(&bench).await else { panic!("unknown") };
    assert!(job.attempts[0].sending_at.is_some());
    assert_eq!(job.attempts[0].outcome, Some(AttemptOutcome::Unknown));
    assert_eq!(bench.next("sms:t1").await, None, "it holds its lane for its grace");
    let grace = job.grace_until.expect("a grace").timestamp_millis() - Time::now().timestamp_millis();
    assert!((60_000..=120_000).contains(&grace), "by the store's clock: {grace} ms");
}

#[tokio::test]
async fn a_repeatable_effect_whose_worker_died_while_sending_is_queued_again() {
    let bench = Bench::open().await;
    let mut row = Bench::row("guest:t1", 1);
    row.name = "forward_to_guest".to_owned();
    bench.ledger.add(&row).await.expect("added");
    let taken = bench.take(&row).await;
    assert!(bench.ledger.begin_send(&taken).await.expect("begun"));
    assert!(matches!(recover(&bench).await, Some(Recovered::Requeued(_))));
}

#[tokio::test]
async fn a_job_under_which_three_workers_died_is_poison_and_its_lane_goes_on() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    for _ in 0..2 {
        bench.take(&jobs[0]).await;
        assert!(matches!(recover(&bench).await, Some(Recovered::Requeued(_))));
    }
    bench.take(&jobs[0]).await;
    let Some(Recovered::Poison(job)) = recover(&bench).await else { panic!("poison") };
    assert_eq!((job.state, job.error_class.as_deref()), (JobState::Dead, Some("poison")));
    assert!(job.finished_at.is_some());
    assert_eq!(bench.next("sms:t1").await, Some(2));
}

#[tokio::test]
async fn an_unknown_outcome_is_sent_again_once_where_that_is_the_policy() {
    let bench = Bench::open().await;
    let jobs = bench.lane("sms:t1", 2).await;
    for resent in [true, false] {
        let taken = bench.take(&jobs[0]).await;
        assert_eq!(taken.lane_seq, Some(1));
        bench.settle(&taken, lost(0)).await;
        let ended = bench.ledger.end_grace(true, later()).await.expect("swept").expect("over");
        let expected = if resent { JobState::Queued } else { JobState::Unknown };
        assert_eq!((ended.state, ended.resends), (expected, 1));
    }
    assert_eq!(bench.ledger.end_grace(true, later()).await.expect("swept"), None);
    assert_eq!(bench.next("sms:t1").await, Some(2));
}

fn at(queue_kind: shared::domain::jobs::JobKind, account: &str, due_in: i64, push_in: u64) -> JobRow {
    let account = AccountId::parse(account).expect("an account");
    let mut row = JobRow::new(queue_kind, &account, Time::now(), Duration::from_millis(push_in));
    row.due_at = plus_millis(row.due_at, due_in);
    row
}

async fn due(bench: &Bench, limit: usize) -> Vec<String> {
    let now = plus_millis(Time::now(), 1_000);
    let due = bench.ledger.due(Queue::Search, limit, now).await.expect("read");
    due.into_iter().map(|due| due.id).collect()
}

#[tokio::test]
async fn only_what_is_due_and_not_in_redis_is_pushed_and_accounts_take_turns() {
    let bench = Bench::open().await;
    let rows = [
        at(INDEX_MESSAGE, "noisy", 0, 0),
        at(INDEX_MESSAGE, "noisy", 0, 1),
        at(INDEX_MESSAGE, "noisy", 0, 2),
        at(INDEX_MESSAGE, "quiet", 0, 3),
    ];
    let others = [
        at(INDEX_MESSAGE, "noisy", LATER, 0),  // not due
        at(INDEX_MESSAGE, "noisy", 0, 60_000), // its id is in Redis
        at(DELIVER_SMS, "noisy", 0, 0),        // of another queue
    ];
    for row in rows.iter().chain(&others) {
        bench.ledger.add(row).await.expect("added");
    }
    let expected = [&rows[0].id, &rows[3].id, &rows[1].id, &rows[2].id];
    assert_eq!(due(&bench, 100).await, expected.map(String::as_str));
    assert_eq!(due(&bench, 2).await.len(), 2);
    assert!(due(&bench, 0).await.is_empty());
    bench.ledger.mark_pushed(&[&rows[0].id, &rows[3].id], Duration::from_secs(60)).await.expect("marked");
    assert_eq!(due(&bench, 100).await, [rows[1].id.as_str(), &rows[2].id]);
}

#[tokio::test]
async fn after_redis_lost_its_data_all_that_waits_is_pushed_again_when_it_is_due() {
    let bench = Bench::open().await;
    let pushed = at(INDEX_MESSAGE, "acme", 0, 60_000);
    let put_off = at(INDEX_MESSAGE, "acme", LATER, 60_000);
    for row in [&pushed, &put_off] {
        bench.ledger.add(row).await.expect("added");
    }
    assert!(due(&bench, 100).await.is_empty());
    assert_eq!(bench.ledger.forget_pushes().await.expect("reset"), 2);
    assert_eq!(due(&bench, 100).await, [pushed.id.as_str()]);
    assert_eq!(bench.job(&put_off).await.push_after, put_off.due_at);
}

#[tokio::test]
async fn a_failed_projection_is_put_off_and_a_poisonous_one_is_buried() {
    let bench = Bench::open().await;
    let row = at(INDEX_MESSAGE, "acme", 0, 0);
    bench.ledger.add(&row).await.expect("added");
    assert_eq!(bench.ledger.waiting(&[&row.id]).await.expect("read").len(), 1);
    bench.ledger.postpone(&row.id, Duration::from_secs(60), "retry", "$text").await.expect("postponed");
    let job = bench.job(&row).await;
    assert_eq!((job.attempt_count, job.last_error.as_deref()), (1, Some("$text")));
    assert!(bench.ledger.waiting(&[&row.id]).await.expect("read").is_empty(), "not due");
    assert_eq!(bench.ledger.start_redelivered(&row.id, Time::now()).await.expect("asked"), None, "not due");
    bench.ledger.postpone(&row.id, Duration::ZERO, "retry", "again").await.expect("postponed");
    for _ in 0..3 {
        assert!(bench.ledger.start_redelivered(&row.id, Time::now()).await.expect("asked").is_some());
    }
    assert_eq!(bench.ledger.start_redelivered(&row.id, Time::now()).await.expect("asked"), None);
    let job = bench.job(&row).await;
    assert_eq!((job.state, job.error_class.as_deref()), (JobState::Dead, Some("poison")));
}

#[tokio::test]
async fn one_leads_until_its_lease_ends_or_it_resigns() {
    let bench = Bench::open().await;
    let other = shared::ledger::Ledger::new(&bench.db.another().await.expect("a store"), LEASE);
    let hold = Duration::from_secs(60);
    let (first, second) = tokio::join!(bench.ledger.lead("d", "a", hold), other.lead("d", "b", hold));
    let (first, second) = (first.expect("asked"), second.expect("asked"));
    assert_ne!(first.is_some(), second.is_some(), "one of them");
    let (winner, loser) = if first.is_some() { ("a", "b") } else { ("b", "a") };
    assert!(bench.ledger.lead("d", winner, hold).await.expect("asked").is_some(), "stays");
    assert!(bench.ledger.lead("d", loser, hold).await.expect("asked").is_none());
    bench.ledger.resign("d", loser).await.expect("resigned");
    assert!(bench.ledger.lead("d", loser, hold).await.expect("asked").is_none(), "not its to give up");
    bench.ledger.resign("d", winner).await.expect("resigned");
    assert!(bench.ledger.lead("d", loser, Duration::ZERO).await.expect("asked").is_some());
    assert!(
        bench.ledger.lead("d", winner, hold).await.expect("asked").is_some(),
        "a lease that ended is taken"
    );
    assert!(bench.ledger.lead("d", loser, hold).await.expect("asked").is_none());
    assert!(bench.ledger.lead("other", loser, hold).await.expect("asked").is_some(), "of another name");
}

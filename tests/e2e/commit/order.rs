//! One thread, many posts at once: `seq` has no gap and no twin.

use futures::future::join_all;
use mongodb::bson::doc;
use shared::committer::Committer;
use shared::domain::message::MessageType;
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{Claim, JobRow, Ledger};

use super::desk::{Desk, text};

async fn post_at_once(desk: &Desk, replicas: &[Committer], count: usize) {
    let thread = desk.thread("t1").await;
    let posts = (0..count).map(|n| {
        let who = ["host", "guest", "cohost"][n % 3];
        replicas[n % replicas.len()].post(desk.post("t1", who, text(&format!("message {n}"))))
    });
    for answer in join_all(posts).await {
        assert!(!answer.expect("posted").is_replay());
    }
    let stored = desk.assert_whole(&thread).await;
    let seqs: Vec<i64> = stored.iter().map(|m| m.seq).collect();
    assert_eq!(seqs, (1..=count as i64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_posts_at_once_to_one_thread_are_numbered_without_gap_or_twin() {
    let desk = Desk::open().await;
    post_at_once(&desk, &[desk.replica()], 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_post_to_one_thread_at_once_leave_no_gap_or_twin() {
    let desk = Desk::open().await;
    post_at_once(&desk, &[desk.replica(), desk.replica()], 200).await;
}

#[tokio::test]
async fn a_thread_stamped_by_a_clock_that_is_ahead_keeps_its_order_and_delays_no_job() {
    let desk = Desk::open().await;
    let before = desk.thread("t1").await;
    let mut ahead = before.clone();
    ahead.updated_at = plus_millis(Time::now(), 300_000);
    ahead.version += 1;
    desk.replace(&before, &ahead).await;
    let draft = shared::domain::message::Draft { kind: Some(MessageType::SmsMessage), ..text("hi") };
    let posted = desk.replica().post(desk.post("t1", "host", draft)).await.expect("posted");
    assert_eq!(posted.message().created_at, ahead.updated_at, "time never contradicts seq");
    let ledger = Ledger::new(desk.store(), std::time::Duration::from_secs(30));
    let jobs = ledger.jobs_of_message(&posted.message().key).await.expect("read");
    assert!(matches!(ledger.claim(&jobs[0].id, "w").await.expect("claimed"), Claim::Taken(_)));
}

#[tokio::test]
async fn a_job_made_by_a_process_whose_clock_is_ahead_can_be_claimed_at_once() {
    let desk = Desk::open().await;
    let ahead = plus_millis(Time::now(), 300_000);
    let kind = shared::domain::jobs::DELIVER_SMS;
    let job = JobRow::new(kind, &desk.account, ahead, std::time::Duration::ZERO);
    let ledger = Ledger::new(desk.store(), std::time::Duration::from_secs(30));
    ledger.add(&job).await.expect("added");
    let filter = doc! { "_id": &job.id, "dueAt": { "$gt": Time::now() } };
    assert_eq!(
        desk.store().raw().collection::<JobRow>("jobs").count_documents(filter).await.expect("read"),
        1
    );
    assert!(matches!(ledger.claim(&job.id, "w").await.expect("claimed"), Claim::Taken(_)));
}

//! Row 1: kill -9 of ingest at four points of the commit. Nothing acknowledged is lost, nothing is there twice.

use mongodb::bson::doc;
use shared::domain::message::Message;
use tests::app::Programs;

const MESSAGES: usize = 12;

/// Posts messages one after the other while ingest dies in the middle at `point`, then checks every store.
async fn survives(point: &str) {
    let mut programs = Programs::new(&[]).await;
    programs.start_workers(None).await;
    programs.start_ingest(Some(&format!("{point}:abort:after=5:times=1"))).await;
    let thread = programs.whatsapp_thread("+41790000101").await;
    let mut deaths = 0;
    for n in 1..=MESSAGES {
        let (message, died) = programs.post_stubbornly(&thread, &format!("m{n}")).await;
        assert_eq!(message["seq"], n, "posted in order, so numbered in order");
        deaths += died;
    }
    assert_eq!(deaths, 1, "ingest was to die once, at {point}");
    programs.settled().await;
    everything_is_there(&programs, &thread).await;
}

async fn everything_is_there(programs: &Programs, thread: &str) {
    let messages = programs.store().raw().collection::<Message>("messages");
    for n in 1..=MESSAGES {
        let found = messages.find_one(doc! { "_id": format!("acme/m{n}") }).await.expect("messages");
        assert_eq!(found.expect("an acknowledged message").seq, n as i64);
    }
    assert_eq!(programs.count("messages", doc! {}).await, MESSAGES as u64, "no twin");
    let state = doc! { "_id": format!("acme/{thread}"), "seq": MESSAGES as i64 };
    assert_eq!(programs.count("threads", state).await, 1, "the thread has every message");
    assert_eq!(programs.indexed().await, MESSAGES as u64);
    assert_eq!(
        programs.count("audit", doc! { "action": "message.create", "outcome": "success" }).await,
        MESSAGES as u64
    );
    let sends = programs.jobs(doc! { "name": "deliver_whatsapp" }).await;
    assert_eq!(sends.len(), MESSAGES, "one job a message");
    assert!(sends.iter().all(|job| job.state.as_str() == "done"), "{sends:?}");
    let accepted = programs.simulator.accepted();
    let bodies: Vec<_> = accepted.iter().map(|a| a.body.clone()).collect();
    let wanted: Vec<_> = (1..=MESSAGES).map(|n| format!("text of m{n}")).collect();
    assert_eq!(bodies, wanted, "each once, in order");
}

#[tokio::test]
async fn ingest_killed_before_the_transaction_loses_nothing() {
    survives("commit.before_txn").await;
}

#[tokio::test]
async fn ingest_killed_inside_the_transaction_leaves_no_ghost() {
    survives("commit.inside_txn").await;
}

#[tokio::test]
async fn ingest_killed_after_the_commit_and_before_the_answer_stores_once() {
    survives("commit.after_commit").await;
}

#[tokio::test]
async fn ingest_killed_before_it_wakes_the_workers_loses_no_job() {
    survives("commit.before_push").await;
}

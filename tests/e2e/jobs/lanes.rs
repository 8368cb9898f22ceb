//! Messages of one thread and channel leave in the order of the thread; nobody else waits for them.

use std::collections::HashMap;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tests::app::{SOON, TestApp};
use tests::simulator::{Action, Answer, FaultRule, Provider};

async fn post(app: &TestApp, thread: &str, text: &str) -> Value {
    app.agent("anna").post_message(thread, json!({ "body": text, "type": "whatsapp-message" })).await
}

fn bodies(app: &TestApp) -> Vec<String> {
    app.simulator.accepted().iter().map(|sent| sent.body.clone()).collect()
}

#[tokio::test]
async fn what_is_posted_at_once_is_accepted_in_the_order_of_the_thread() {
    let app = TestApp::without_search().await;
    let mut threads = Vec::new();
    for n in 0..4 {
        threads.push(app.whatsapp_thread(&format!("+4179555{n:04}")).await);
    }
    // Every seventh send fails first, so that something has to wait.
    let busy = Action::Answer(Answer::code(131_016));
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, busy).every(7));
    let posts = (0..60).map(|n| post(&app, &threads[n % 4], "text"));
    let posted = futures::future::join_all(posts).await;
    app.simulator.wait_for(|all| all.len() >= 60, SOON).await.expect("all are sent");
    app.settled().await;
    let mut seqs: HashMap<String, Vec<i64>> = HashMap::new();
    for sent in app.simulator.accepted() {
        let job = app.job(sent.job.as_deref().unwrap()).await.expect("the job");
        seqs.entry(sent.to.clone()).or_default().push(job.lane_seq.unwrap());
    }
    assert_eq!(seqs.len(), 4);
    for (to, seqs) in seqs {
        assert_eq!(seqs, (1..=15).collect::<Vec<i64>>(), "{to}");
    }
    assert_eq!((posted.len(), app.simulator.duplicates().len()), (60, 0));
}

#[tokio::test]
async fn a_failing_head_holds_its_own_thread_only() {
    let app = TestApp::without_search().await;
    let (stuck, free) =
        (app.whatsapp_thread("+41795550001").await, app.whatsapp_thread("+41795550002").await);
    let busy = Action::Answer(Answer::code(131_056).with_retry_after("2"));
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, busy).body_contains("head").times(1));
    let head = post(&app, &stuck, "head").await;
    app.simulator.wait_for_requests(|seen| !seen.is_empty(), SOON).await.expect("a first try");
    let behind = post(&app, &stuck, "behind").await;
    let other = post(&app, &free, "other").await;
    app.delivery_of(&other, "delivered").await;
    assert_eq!(bodies(&app), ["other"], "what stands behind the head waits, the other thread does not");
    app.delivery_of(&head, "delivered").await;
    app.delivery_of(&behind, "delivered").await;
    assert_eq!(bodies(&app), ["other", "head", "behind"]);
}

#[tokio::test]
async fn channels_of_one_thread_do_not_wait_for_each_other() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread("+41795550001").await;
    let busy = Action::Answer(Answer::status(429).with_retry_after("60"));
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, busy));
    post(&app, &thread, "stuck").await;
    let sms = app.agent("anna").post_message(&thread, json!({ "body": "sms", "type": "sms-message" })).await;
    app.delivery_of(&sms, "delivered").await;
    assert_eq!(bodies(&app), ["sms"]);
}

#[tokio::test]
async fn a_send_whose_outcome_is_unknown_holds_its_thread_for_the_grace_only() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    let thread = app.whatsapp_thread("+41795550001").await;
    app.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::AcceptReset).body_contains("head"));
    let head = post(&app, &thread, "head").await;
    app.delivery_of(&head, "unknown").await;
    let behind = post(&app, &thread, "behind").await;
    let begun = std::time::Instant::now();
    app.delivery_of(&behind, "sent").await;
    assert!(begun.elapsed() > std::time::Duration::from_secs(1), "it waited {:?}", begun.elapsed());
    assert_eq!(bodies(&app), ["head", "behind"], "the head is not sent again");
    assert_eq!(app.story(&head).await["delivery"]["state"], "unknown", "an operator decides");
}

#[tokio::test]
async fn s33_an_account_with_a_backlog_does_not_hold_up_another() {
    let mut app = TestApp::ingest_only().await;
    let noisy = app.thread(json!({})).await;
    let posts = (0..300).map(|n| {
        let (anna, noisy) = (app.agent("anna"), noisy.clone());
        async move { anna.say(&noisy, &format!("noise {n}")).await }
    });
    futures::future::join_all(posts).await;
    let quiet = app.caller("globex", "gus", shared::domain::actor::Role::Agent);
    let made = quiet.post("/chat/threads", json!({})).expect(201).await;
    let posted = quiet.say(made["threadId"].as_str().unwrap(), "quiet").await;
    app.start_workers();
    let audit = app.store().raw().collection::<Document>("audit");
    let row = doc! { "accountId": "globex", "targetId": posted["messageId"].as_str().unwrap() };
    app.eventually("the quiet account's row", async || audit.find_one(row.clone()).await.unwrap()).await;
    app.settled().await;
}

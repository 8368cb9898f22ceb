//! What the index does not hold yet is found all the same, and how far it is behind is told.

use mongodb::bson::{Document, doc};
use serde_json::json;
use tests::app::TestApp;

use super::{aged, an_hour_before, found, search};

/// An app whose workers have stopped: nothing reaches the index.
async fn without_workers() -> TestApp {
    let mut app = TestApp::full().await;
    app.stop_workers().await;
    app
}

#[tokio::test]
async fn a_message_is_found_at_once() {
    let app = TestApp::full().await;
    app.thread(json!({ "threadId": "t1" })).await;
    for n in 0..20 {
        app.agent("anna").say("t1", &format!("word{n}")).await;
        assert_eq!(found(&app.agent("ben"), &format!("word{n}")).await, ["t1"], "{n}");
    }
}

#[tokio::test]
async fn a_message_that_is_not_indexed_is_found_with_its_highlight() {
    let app = without_workers().await;
    app.thread(json!({ "threadId": "t1", "title": "Garden view", "participantIds": ["gina"] })).await;
    app.thread(json!({ "threadId": "t2" })).await;
    let anna = app.agent("anna");
    anna.say("t1", "two towels please").await;
    // The word is far below the last message, and a note among them.
    for n in 0..30 {
        let kind = if n == 7 { "note" } else { "message" };
        anna.post_message("t1", json!({ "body": format!("filler {n}"), "type": kind })).await;
    }
    for caller in [anna.clone(), app.guest("gina")] {
        let page = search(&caller, "towels tw", "").await;
        assert_eq!(page.each("threads", "threadId"), ["t1"]);
        assert_eq!(page["threads"][0]["highlights"], json!(["<em>two</em> <em>towels</em> please"]));
    }
    assert_eq!(found(&app.guest("gina"), "filler 7").await, [""; 0], "a note");
    assert_eq!(found(&anna, "filler 7").await, ["t1"]);
    assert_eq!(found(&anna, "garden").await, ["t1"], "a new thread by its title");
    assert_eq!(found(&anna, "garden towels").await, [""; 0]);
}

#[tokio::test]
async fn the_overlay_reaches_back_to_the_oldest_waiting_job_and_the_lag_is_its_age() {
    let app = without_workers().await;
    app.thread(json!({ "threadId": "t1" })).await;
    let anna = app.agent("anna");
    anna.say("t1", "towels").await;
    aged(&app, "threads", &["updatedAt", "publicUpdatedAt"]).await;
    aged(&app, "messages", &["createdAt"]).await;
    // lastMessage stands in the thread with its own time.
    let threads = app.store().raw().collection::<Document>("threads");
    let last = doc! { "lastMessage.createdAt": an_hour_before("lastMessage.createdAt") };
    threads.update_many(doc! {}, vec![doc! { "$set": last }]).await.unwrap();
    app.eventually("nothing is new", async || {
        let page = search(&anna, "towels", "").await;
        let lag = page["indexLagMs"].as_u64()?;
        (page.each("threads", "threadId").is_empty() && lag < 60_000).then_some(())
    })
    .await;
    aged(&app, "jobs", &["createdAt"]).await;
    app.eventually("the hour is overlaid", async || {
        let page = search(&anna, "towels", "").await;
        let lag = page["indexLagMs"].as_u64()?;
        (page.each("threads", "threadId") == ["t1"] && lag >= 3_600_000).then_some(())
    })
    .await;
    let other = app.caller("other", "zoe", shared::domain::actor::Role::Admin);
    assert_eq!(search(&other, "towels", "").await["indexLagMs"], 0, "another account does not wait");
}

#[tokio::test]
async fn the_lag_is_nothing_when_all_is_indexed() {
    let app = TestApp::full().await;
    app.thread(json!({ "threadId": "t1" })).await;
    let anna = app.agent("anna");
    anna.say("t1", "towels").await;
    app.settled().await;
    app.eventually("no lag", async || (search(&anna, "towels", "").await["indexLagMs"] == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn pages_of_what_is_not_indexed_meet_every_thread_once() {
    let app = without_workers().await;
    let anna = app.agent("anna");
    for n in 0..7 {
        app.thread(json!({ "threadId": format!("t{n}") })).await;
        anna.say(&format!("t{n}"), "towels").await;
    }
    let (mut seen, mut more) = (Vec::new(), "&limit=2".to_owned());
    loop {
        let page = search(&anna, "towels", &more).await;
        seen.extend(page.each("threads", "threadId"));
        let Some(next) = page["nextCursor"].as_str() else { break };
        more = format!("&limit=2&cursor={next}");
    }
    assert_eq!(seen, ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]);
}

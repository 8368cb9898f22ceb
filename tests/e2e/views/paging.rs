//! Pages of what is found: the order and the cursor of the lists, firm while others write.

use std::collections::HashSet;

use serde_json::{Value, json};
use tests::app::TestApp;

use super::{found, indexed, search};

#[tokio::test]
async fn pages_come_in_the_order_of_the_lists_and_end() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    for n in 0..11 {
        app.thread(json!({ "threadId": format!("t{n:02}") })).await;
        anna.say(&format!("t{n:02}"), "towels").await;
    }
    indexed(&app).await;
    let (mut seen, mut more) = (Vec::new(), "&limit=4".to_owned());
    loop {
        let page = search(&anna, "towels", &more).await;
        assert_eq!(page["hasMore"] == true, page["nextCursor"].is_string(), "{}", page.text);
        assert!(page["truncated"].is_null());
        seen.extend(page.each("threads", "threadId"));
        let Some(next) = page["nextCursor"].as_str() else { break };
        more = format!("&limit=4&cursor={next}");
    }
    let listed = anna.get("/chat/threads?limit=100").expect(200).await.each("threads", "threadId");
    assert_eq!(seen, listed);
}

#[tokio::test]
async fn a_walk_meets_every_thread_once_while_others_write() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    let ids: Vec<String> = (0..24).map(|n| format!("t{n:02}")).collect();
    for id in &ids {
        app.thread(json!({ "threadId": id })).await;
        anna.say(id, "towels").await;
    }
    indexed(&app).await;
    let (mut seen, mut touched): (Vec<Value>, HashSet<String>) = Default::default();
    let mut more = "&limit=4".to_owned();
    for round in 0.. {
        let page = search(&anna, "towels", &more).await;
        seen.extend(page.each("threads", "threadId"));
        let Some(next) = page["nextCursor"].as_str() else { break };
        more = format!("&limit=4&cursor={next}");
        // One that was shown, one that was not, and a new one: all move to the top.
        anna.say(seen[seen.len() - 1].as_str().unwrap(), "more towels").await;
        let unseen = ids.iter().find(|id| !seen.contains(&json!(id)) && !touched.contains(*id));
        if let Some(id) = unseen {
            anna.say(id, "towels once more").await;
            touched.insert(id.clone());
        }
        app.thread(json!({ "threadId": format!("new{round}"), "title": "towels" })).await;
    }
    let distinct: HashSet<String> = seen.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(distinct.len(), seen.len(), "none twice: {seen:?}");
    for id in ids.iter().filter(|id| !touched.contains(*id)) {
        assert!(distinct.contains(id), "{id} was not met: {seen:?}");
    }
    let top = search(&anna, "towels", "&limit=100").await.each("threads", "threadId");
    assert!(ids.iter().all(|id| top.contains(&json!(id))), "those that moved are at the top: {top:?}");
}

#[tokio::test]
async fn more_than_1000_threads_are_cut_and_said_to_be() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    let threads = app.store().raw().collection::<mongodb::bson::Document>("threads");
    app.thread(json!({ "threadId": "t0000", "title": "towels" })).await;
    indexed(&app).await;
    // The others only in the index: MongoDB decides what exists.
    let docs = (1..=1_000).map(|n| {
        let account = "acme".to_owned();
        let id = format!("t{n:04}");
        shared::search::ThreadDoc {
            account_id: account,
            ids: vec![id.clone()],
            thread_id: id,
            title: Some("towels".to_owned()),
            kind: "guest".to_owned(),
            source: "hububb".to_owned(),
            status: "open".to_owned(),
            important: false,
            guest_name: None,
            participant_ids: vec![],
            assigned_agent_ids: vec![],
            viewers: vec![],
            needs_attention: vec![],
            last_message: None,
            last_public_message: None,
            updated_at: chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            public_updated_at: None,
            version: 1,
        }
        .into()
    });
    let docs: Vec<shared::search::IndexOp> = docs.collect();
    app.index().bulk(&docs).await.unwrap();
    app.index().refresh().await.unwrap();
    let page = search(&anna, "towels", "").await;
    assert_eq!(
        (page["truncated"].clone(), page.each("threads", "threadId")),
        (json!(true), vec![json!("t0000")])
    );
    assert_eq!(threads.count_documents(mongodb::bson::doc! {}).await.unwrap(), 1);
    assert_eq!(found(&anna, "t0000").await, ["t0000"]);
}

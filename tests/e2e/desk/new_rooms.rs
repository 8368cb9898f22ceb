//! `new_room`: a room is made when it is absent, once, for the conversation that is named.

use serde_json::{Value, json};
use tests::app::{DESK, TestApp, room_of};

const ROOM: &str = "507f1f77bcf86cd799439011";

fn to_new_room(room: &str, whose: Value) -> Value {
    let mut body = room_of(room, json!({ "type": "text", "content": "hello" }));
    body["new_room"] = json!(true);
    body["support_conversation_id"] = whose;
    body
}

#[tokio::test]
async fn an_absent_room_is_made_only_when_it_is_asked_for() {
    let app = TestApp::ingest_only().await;
    let (anna, path) = (app.agent("anna"), format!("{DESK}/message"));
    let mut body = to_new_room(ROOM, json!("conv-1"));
    for no in [json!(false), json!(null)] {
        body["new_room"] = no;
        anna.post(&path, body.clone()).desk_refused(404, "not_found").await;
    }
    anna.post(&path, to_new_room(ROOM, json!(null))).desk_refused(422, "unprocessable").await;
    anna.post(&path, to_new_room("a.b", json!("conv-1"))).desk_refused(404, "not_found").await;
    let sent = anna.post(&path, to_new_room(ROOM, json!("conv-1"))).expect(200).await;
    assert_eq!(
        (&sent["messages"]["message"]["room_id"], &sent["messages"]["message"]["seq"]),
        (&json!(ROOM), &json!(1))
    );
    let rooms = anna.get(&format!("{DESK}/rooms")).expect(200).await;
    assert_eq!(rooms["rooms"][0]["conversation_id"], "conv-1");
    assert_eq!(rooms["rooms"][0]["assigned_agents"], json!(["anna"]), "the first reply assigns");
}

#[tokio::test]
async fn a_room_that_is_there_is_used() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let (anna, path) = (app.agent("anna"), format!("{DESK}/message"));
    for whose in [json!(widget.conversation), json!(null)] {
        anna.post(&path, to_new_room(&widget.room, whose)).expect(200).await;
    }
    anna.post(&path, to_new_room(&widget.room, json!("somebody-else"))).desk_refused(409, "conflict").await;
    let thread = app.thread(json!({ "threadId": "guests" })).await;
    anna.post(&path, to_new_room(&thread, json!("conv-1"))).desk_refused(409, "conflict").await;
    assert_eq!(widget.page("").expect(200).await.each("messages", "_id").len(), 2);
}

#[tokio::test]
async fn two_who_make_one_room_at_once_get_one() {
    let app = TestApp::ingest_only().await;
    let path = format!("{DESK}/message");
    let calls = (0..8).map(|_| app.admin("adam").post(&path, to_new_room(ROOM, json!("conv-1"))).expect(200));
    let mut seqs: Vec<i64> = futures::future::join_all(calls)
        .await
        .iter()
        .map(|reply| reply["messages"]["message"]["seq"].as_i64().unwrap())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_customer_enters_the_rooms_that_agents_made_for_it() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let path = format!("{DESK}/message");
    app.agent("anna").post(&path, to_new_room(ROOM, json!(widget.conversation))).expect(200).await;
    let entered = widget.changed(|w| w.room = ROOM.into());
    assert_eq!(entered.say("hi").await["seq"], 2);
    let stranger = app.widget("device-2").await.changed(|w| w.room = ROOM.into());
    stranger.page("").desk_refused(404, "not_found").await;
}

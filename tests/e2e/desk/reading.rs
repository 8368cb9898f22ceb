//! Read marks and what is unread: exact for agents and customers, and shown by the list of rooms.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{Call, Caller, DESK, TestApp, Widget};

fn agent_reads(agent: &Caller, room: &str, up_to: Option<&Value>) -> Call {
    let mut body = json!({ "room_id": room });
    if let Some(id) = up_to {
        body["up_to"] = id.clone();
    }
    agent.post(&format!("{DESK}/message/read"), body)
}

fn customer_reads(widget: &Widget, up_to: Option<&Value>) -> Call {
    let mut body = json!({ "room_id": widget.room });
    if let Some(id) = up_to {
        body["up_to"] = id.clone();
    }
    widget.call(Method::POST, "/message/read").json(&body)
}

async fn unread(agent: &Caller, room: &str) -> Value {
    let rooms = agent.get(&format!("{DESK}/rooms")).expect(200).await;
    let rooms = rooms["rooms"].as_array().unwrap().clone();
    rooms.into_iter().find(|shown| shown["_id"] == room).unwrap()["unread_count"].clone()
}

#[tokio::test]
async fn unread_are_the_customers_messages_above_the_mark() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let (anna, adam) = (app.agent("anna"), app.admin("adam"));
    let first = widget.say("1").await;
    widget.say("2").await;
    adam.desk_send(&widget.room, json!({ "type": "note", "content": "note" })).await;
    assert_eq!(unread(&anna, &widget.room).await, 2, "a colleague's message is not unread");
    assert_eq!(unread(&adam, &widget.room).await, 0, "posting moves one's own mark");
    let left = agent_reads(&anna, &widget.room, Some(&first["_id"])).expect(200).await;
    let expected = json!({ "success": true, "room_id": widget.room, "unread_count": 1 });
    assert_eq!(left.body, expected);
    assert_eq!(unread(&anna, &widget.room).await, 1);
    anna.desk_page(&widget.room, "").expect(200).await;
    assert_eq!(unread(&anna, &widget.room).await, 1, "a GET never clears");
    assert_eq!(agent_reads(&anna, &widget.room, None).expect(200).await["unread_count"], 0);
    agent_reads(&anna, &widget.room, Some(&first["_id"])).expect(200).await;
    assert_eq!(unread(&anna, &widget.room).await, 0, "a mark never goes back");
    widget.say("3").await;
    assert_eq!(unread(&anna, &widget.room).await, 1);
}

#[tokio::test]
async fn a_customer_reads_what_others_wrote_to_it() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    widget.say("hi").await;
    let first = anna.reply(&widget.room, "1").await;
    let note = anna.desk_send(&widget.room, json!({ "type": "note", "content": "note" })).await;
    anna.reply(&widget.room, "2").await;
    let left = customer_reads(&widget, Some(&first["_id"])).expect(200).await;
    assert_eq!(left.body, json!({ "success": true, "room_id": widget.room, "unread_count": 1 }));
    customer_reads(&widget, Some(&note["_id"])).desk_refused(400, "invalid_ref").await;
    customer_reads(&widget, Some(&json!("absent"))).desk_refused(400, "invalid_ref").await;
    customer_reads(&widget, Some(&json!("a.b"))).desk_refused(400, "invalid_request").await;
    assert_eq!(customer_reads(&widget, None).expect(200).await["unread_count"], 0);
    agent_reads(&anna, &widget.room, Some(&json!("absent"))).desk_refused(400, "invalid_ref").await;
}

#[tokio::test]
async fn a_repeated_mark_is_answered_as_it_stands() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let first = widget.say("1").await;
    let anna = app.agent("anna");
    let keyed = |up_to| agent_reads(&anna, &widget.room, up_to).header("idempotency-key", "key-1");
    assert_eq!(keyed(None).expect(200).await["unread_count"], 0);
    widget.say("2").await;
    let again = keyed(None).expect(200).await;
    assert!(again.is_replay());
    assert_eq!(again["unread_count"], 1, "rendered anew, and the mark did not move");
    keyed(Some(&first["_id"])).desk_refused(409, "idempotency_conflict").await;
    let by_widget = || customer_reads(&widget, None).header("idempotency-key", "key-1");
    assert!(!by_widget().expect(200).await.is_replay());
    assert!(by_widget().expect(200).await.is_replay());
}

#[tokio::test]
async fn the_rooms_are_listed_newest_first_in_pages() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let mut rooms = Vec::new();
    for n in 0..5 {
        let widget = app.widget_with(&issued, &format!("device-{n}"), json!({})).await;
        let last = widget.say(&format!("from {n}")).await;
        rooms.insert(0, (widget, last));
    }
    app.thread(json!({ "kind": "guest" })).await;
    let anna = app.agent("anna");
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = anna.get(&format!("{DESK}/rooms{query}")).expect(200).await;
        seen.extend(page["rooms"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else {
            assert_eq!(page["hasMore"], false);
            break;
        };
        assert_eq!(page["hasMore"], true);
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    for (room, (widget, last)) in seen.iter().zip(&rooms) {
        assert_eq!(
            (&room["_id"], &room["conversation_id"]),
            (&json!(widget.room), &json!(widget.conversation))
        );
        assert_eq!((&room["status"], &room["assigned_agents"]), (&json!("open"), &json!([])));
        assert_eq!((&room["last_message"]["_id"], &room["unread_count"]), (&last["_id"], &json!(1)));
        assert_eq!(room["last_message"]["sender_type"], "customer");
        assert_eq!(room["updated_at"], last["created_at"]);
    }
}

/// Writes and reads a room's messages as chance has it.
async fn write_and_read(widget: &Widget, staff: &[Caller], seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    for _ in 0..25 {
        let caller = &staff[dice.random_range(0..staff.len())];
        match dice.random_range(0..6) {
            0 | 1 => drop(widget.say("x").await),
            2 => drop(caller.reply(&widget.room, "y").await),
            3 => drop(caller.desk_send(&widget.room, json!({ "type": "note", "content": "z" })).await),
            4 => drop(agent_reads(caller, &widget.room, None).expect(200).await),
            _ => {
                let page = caller.desk_page(&widget.room, "&limit=100").expect(200).await;
                let ids = page.each("messages", "_id");
                if !ids.is_empty() {
                    let at = dice.random_range(0..ids.len());
                    agent_reads(caller, &widget.room, Some(&ids[at])).expect(200).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn counts_stay_exact_while_many_read_and_write() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let (room, seed) = (widget.room.clone(), u64::from(rand::random::<u32>()));
    let staff = [app.admin("adam"), app.admin("beth"), app.service("bot")];
    futures::future::join_all((0..8).map(|n| write_and_read(&widget, &staff, seed + n))).await;
    let scope = app.store().account(&shared::domain::AccountId::parse("acme").unwrap());
    let id = shared::domain::ThreadId::parse(&room).unwrap();
    let thread = scope.thread(&id).await.unwrap().unwrap();
    for caller in &staff {
        let mark = thread.read_up_to(&shared::domain::Uid::parse(caller.uid()).unwrap());
        let filter = mongodb::bson::doc! {
            "thread": &thread.key, "seq": { "$gt": mark }, "authorId": &widget.conversation,
        };
        let messages = app.store().raw().collection::<mongodb::bson::Document>("messages");
        let counted = messages.count_documents(filter).await.unwrap();
        assert_eq!(unread(caller, &room).await, json!(counted), "{} with seed {seed}", caller.uid());
    }
}

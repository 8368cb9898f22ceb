//! Notes with a canary word, and a look at every surface that a customer or guest has: none of them may show it.

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::{Caller, DESK, TestApp, Widget};

const CANARY: &str = "canarybird7731";
/// Stands in the links of the notes' attachments, which the audit trail keeps, for those who may see the note.
const LINK: &str = "canarylink7731";

/// A room with messages of all types and a note beside each; the notes carry the canary.
async fn conversation(app: &TestApp) -> (Widget, Vec<String>) {
    let widget = app.widget("device-1").await;
    let anna = app.agent("anna");
    let note = json!({ "type": "note", "content": format!("{CANARY} is to know this"), "attachments": [
        { "url": format!("https://cdn.example.com/{LINK}.png"), "type": "image/png", "name": CANARY },
    ] });
    let mut ids = Vec::new();
    let mut add = |message: &Value| ids.push(message["_id"].as_str().unwrap().to_owned());
    for n in 0..3 {
        add(&anna.desk_send(&widget.room, note.clone()).await);
        add(&widget.say(&format!("question {n}")).await);
        add(&anna.desk_send(&widget.room, note.clone()).await);
        add(&anna.reply(&widget.room, &format!("answer {n}")).await);
    }
    anna.post_message(&widget.room, json!({ "body": CANARY, "type": "note" })).await;
    (widget, ids)
}

/// All that the widget's endpoints answer to its customer.
async fn seen_by_widget(widget: &Widget, ids: &[String]) -> String {
    let mut queries: Vec<String> = ["", "&sort=asc", "&limit=1", "&limit=100"].map(str::to_owned).to_vec();
    queries.extend([CANARY, "canary", "know"].map(|word| format!("&search={word}")));
    for id in ids {
        queries.extend(["upperRef", "lowerRef"].map(|reference| format!("&{reference}={id}")));
        queries.push(format!("&upperRef={id}&search=canary"));
    }
    let mut seen = String::new();
    for query in queries {
        seen += &widget.page(&query).send().await.text;
    }
    for id in ids.iter().map(|id| json!(id)).chain([Value::Null]) {
        let mark = json!({ "room_id": widget.room, "up_to": id });
        seen += &widget.call(Method::POST, "/message/read").json(&mark).send().await.text;
    }
    seen + &widget.say("more").await.to_string()
}

/// All that the other API answers to a guest who is the customer.
async fn seen_by_guest(guest: &Caller, room: &str, ids: &[String]) -> String {
    let thread = format!("/chat/threads/{room}");
    let mut paths = vec![
        "/chat/threads".to_owned(),
        "/chat/threads?view=unread".to_owned(),
        "/chat/threads?view=important".to_owned(),
        "/chat/threads?kind=support".to_owned(),
        format!("/chat/threads?q={CANARY}"),
        thread.clone(),
        format!("{thread}/messages"),
        format!("{thread}/messages?search={CANARY}"),
        "/chat/users/anna".to_owned(),
    ];
    paths.extend(ids.iter().map(|id| format!("{thread}/messages/{id}")));
    let mut seen = String::new();
    for path in paths {
        seen += &guest.get(&path).send().await.text;
    }
    seen
}

#[tokio::test]
async fn no_surface_of_a_customer_or_guest_shows_a_note() {
    let app = TestApp::full().await;
    app.must_not_be_logged(CANARY);
    app.must_not_be_logged(LINK);
    let (widget, ids) = conversation(&app).await;
    let seen = seen_by_widget(&widget, &ids).await;
    assert!(!seen.contains(CANARY) && !seen.contains(LINK) && seen.contains("answer 2"), "{seen}");
    let seen = seen_by_guest(&app.guest(&widget.conversation), &widget.room, &ids).await;
    assert!(!seen.contains(CANARY) && !seen.contains(LINK) && seen.contains("answer 2"), "{seen}");
    let staff = app.agent("anna").desk_page(&widget.room, "").expect(200).await;
    assert!(staff.text.contains(CANARY), "the staff sees it");
    let forwarded = app.thread(json!({ "source": "hububb-guest", "participantIds": ["gina"] })).await;
    app.agent("anna").post_message(&forwarded, json!({ "body": CANARY, "type": "note" })).await;
    app.agent("anna").say(&forwarded, "for the guest").await;
    app.settled().await;
    let accepted = app.simulator.accepted();
    let sent: Vec<String> = accepted.iter().map(|sent| serde_json::to_string(&**sent).unwrap()).collect();
    let sent = sent.join("\n");
    assert!(!sent.contains("canary") && sent.contains("for the guest"), "no note left the house: {sent}");
    let account = shared::domain::AccountId::parse("acme").unwrap();
    let filter = shared::store::AuditFilter { account: Some(account), limit: 100, ..Default::default() };
    let rows = app.store().audit().find(&filter).await.unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let (text, is_note) =
            (format!("{row:?}"), row.metadata.get_str("type").is_ok_and(|kind| kind == "note"));
        assert!(!text.contains(CANARY), "no text in the trail: {text}");
        assert!(is_note || !text.contains(LINK), "a row that is not the staff's alone: {text}");
    }
}

#[tokio::test]
async fn a_note_moves_nothing_that_a_customer_sees() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    let widget = app.widget_with(&issued, "device-1", json!({ "identity": identity })).await;
    let anna = app.agent("anna");
    widget.say("hi").await;
    anna.reply(&widget.room, "hello").await;
    let guest = app.guest(&widget.conversation);
    let page = async || widget.page("").expect(200).await.body;
    let before = (page().await, guest.thread(&widget.room).await);
    let order = async || guest.get("/chat/threads").expect(200).await.body;
    let order_before = order().await;
    anna.desk_send(&widget.room, json!({ "type": "note", "content": CANARY })).await;
    assert_eq!((page().await, guest.thread(&widget.room).await), before, "times, counters, last message");
    assert_eq!(order().await, order_before);
    let next = widget.say("next").await;
    assert_eq!(next["seq"], 3, "no hole");
    let rooms = anna.get(&format!("{DESK}/rooms")).expect(200).await;
    assert_eq!(rooms["rooms"][0]["last_message"]["seq"], 4, "the staff counts it");
}

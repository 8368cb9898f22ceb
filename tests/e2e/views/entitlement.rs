//! Who finds what: the same answer as lists and single reads, whatever the index says.

use serde_json::json;
use shared::domain::actor::Role;
use tests::app::TestApp;

use super::{found, indexed, search};

const CANARY: &str = "canary91c2";

#[tokio::test]
async fn an_assigned_room_is_found_by_its_agents_and_admins_and_an_unassigned_one_by_all_staff() {
    let mut app = TestApp::full().await;
    for (id, assigned) in [("open-room", json!([])), ("bens-room", json!(["ben"]))] {
        app.thread(json!({ "threadId": id, "kind": "support", "assignedAgentIds": assigned,
            "title": "Towels", "participantIds": ["cust"] }))
            .await;
        app.guest("cust").say(id, "towels please").await;
    }
    let (anna, ben, adam) = (app.agent("anna"), app.agent("ben"), app.admin("adam"));
    for index_alone in [false, true] {
        assert_eq!(found(&anna, "towels").await, ["open-room"], "{index_alone}");
        assert_eq!(found(&ben, "towels").await, ["bens-room", "open-room"], "{index_alone}");
        assert_eq!(found(&adam, "towels").await, ["bens-room", "open-room"], "{index_alone}");
        indexed(&app).await;
    }
    // The index does not hear of it, and need not.
    app.stop_workers().await;
    adam.patch("/chat/threads/bens-room", json!({ "assignedAgentIds": ["anna"] })).expect(200).await;
    assert_eq!(found(&anna, "towels").await, ["bens-room", "open-room"]);
    assert_eq!(found(&ben, "towels").await, ["open-room"]);
}

#[tokio::test]
async fn nothing_of_another_account_is_found() {
    let app = TestApp::full().await;
    let theirs = app.caller("other", "zoe", Role::Admin);
    for (caller, text) in [(app.admin("adam"), "our towels"), (theirs.clone(), "their towels")] {
        caller.post("/chat/threads", json!({ "threadId": "t1", "title": "Shared" })).expect(201).await;
        caller.say("t1", text).await;
    }
    for index_alone in [false, true] {
        assert_eq!(found(&app.admin("adam"), "their").await, [""; 0], "{index_alone}");
        assert_eq!(found(&theirs, "our").await, [""; 0], "{index_alone}");
        let page = search(&theirs, "towels", "").await;
        assert_eq!(page["threads"][0]["highlights"], json!(["their <em>towels</em>"]), "{index_alone}");
        assert!(!page.text.contains("our towels"));
        indexed(&app).await;
    }
}

#[tokio::test]
async fn guests_find_their_own_threads_and_never_a_note() {
    let app = TestApp::full().await;
    app.must_not_be_logged(CANARY);
    for (id, guest) in [("t1", "gina"), ("t2", "gina"), ("t3", "gert")] {
        app.thread(json!({ "threadId": id, "participantIds": [guest] })).await;
        app.agent("anna").say(id, "towels are coming").await;
    }
    let note = json!({ "body": format!("towels {CANARY}"), "type": "note" });
    let note = app.agent("anna").post_message("t1", note).await;
    let gina = app.guest("gina");
    for index_alone in [false, true] {
        let page = search(&gina, "towels", "").await;
        assert_eq!(
            page.each("threads", "threadId"),
            ["t2", "t1"],
            "the note does not move it, {index_alone}"
        );
        let shown = json!(["<em>towels</em> are coming"]);
        assert_eq!(page.each("threads", "highlights"), [shown.clone(), shown], "{index_alone}");
        assert!(!page.text.contains(CANARY), "{}", page.text);
        for q in [CANARY, "towels canary", note["messageId"].as_str().unwrap()] {
            assert_eq!(found(&gina, q).await, [""; 0], "{q}, {index_alone}");
        }
        assert_eq!(found(&app.guest("gert"), "towels").await, ["t3"]);
        assert_eq!(found(&app.guest("gone"), "towels").await, [""; 0]);
        let staff = search(&app.agent("anna"), CANARY, "").await;
        assert_eq!(staff.each("threads", "threadId"), ["t1"], "staff finds the note, {index_alone}");
        assert!(staff["threads"][0]["highlights"][0].as_str().unwrap().contains(CANARY));
        indexed(&app).await;
    }
    app.caller("acme", "op", Role::Operator).get("/chat/threads?q=towels").expect(403).await;
}

#[tokio::test]
async fn a_guest_is_not_shown_the_name_in_the_reservation() {
    let app = TestApp::full().await;
    app.service("setup")
        .put("/chat/reservations/r1", json!({ "guestName": "Towels Canary" }))
        .expect(201)
        .await;
    app.thread(json!({ "threadId": "t1", "participantIds": ["gina"], "reservationId": "r1" })).await;
    app.agent("anna").say("t1", "towels").await;
    indexed(&app).await;
    let staff = search(&app.agent("anna"), "towels", "").await;
    assert_eq!(staff["threads"][0]["highlights"], json!(["<em>towels</em>", "<em>Towels</em> Canary"]));
    let guest = search(&app.guest("gina"), "towels", "").await;
    assert_eq!(guest["threads"][0]["highlights"], json!(["<em>towels</em>"]));
}

//! Nothing of an account or a customer is to be seen with the credentials of another.

use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{DESK, Reply, TestApp};

/// A refusal without what differs by request.
fn bare(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    body.as_object_mut().unwrap().remove("requestId");
    body
}

#[tokio::test]
async fn a_room_of_another_account_or_customer_is_like_no_room() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    let mine = widget.say("secret").await;
    let foreign = app.support_token_of("globex", json!({})).await;
    let foreign = app.widget_with(&foreign, "device-1", json!({})).await;
    let neighbour = app.widget("device-1").await;
    for other in [foreign, neighbour] {
        let to = |room: &str| other.changed(|w| w.room = room.to_owned());
        let text = json!({ "type": "text", "content": "x" });
        let read = |room: &str| json!({ "room_id": room });
        for (own, absent) in [
            (to(&widget.room).page(""), to("absent").page("")),
            (to(&widget.room).message(text.clone()), to("absent").message(text.clone())),
            (
                other.call(Method::POST, "/message/read").json(&read(&widget.room)),
                other.call(Method::POST, "/message/read").json(&read("absent")),
            ),
        ] {
            let (own, absent) =
                (own.desk_refused(404, "not_found").await, absent.desk_refused(404, "not_found").await);
            assert_eq!(bare(&own), bare(&absent));
        }
        // A message of another room is no reference, as one that is nowhere.
        let reference = mine["_id"].as_str().unwrap();
        for query in ["upperRef", "lowerRef"] {
            let known = other.page(&format!("&{query}={reference}")).desk_refused(400, "invalid_ref").await;
            let random = other.page(&format!("&{query}=random")).desk_refused(400, "invalid_ref").await;
            assert_eq!(bare(&known), bare(&random));
        }
    }
}

#[tokio::test]
async fn credentials_of_two_customers_do_not_mix() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let first = app.widget_with(&issued, "device-1", json!({})).await;
    let second = app.widget_with(&issued, "device-2", json!({})).await;
    let other_token = app.widget("device-1").await;
    let foreign = app.support_token_of("globex", json!({})).await;
    let foreign = app.widget_with(&foreign, "device-1", json!({})).await;
    for mixed in [
        first.changed(|w| w.session.clone_from(&second.session)),
        first.changed(|w| w.token.clone_from(&other_token.token)),
        first.changed(|w| w.token.clone_from(&foreign.token)),
        foreign.changed(|w| w.session.clone_from(&first.session)),
    ] {
        mixed.page("").desk_refused(401, "unauthenticated").await;
    }
    second.changed(|w| w.room.clone_from(&first.room)).page("").desk_refused(404, "not_found").await;
}

#[tokio::test]
async fn staff_of_another_account_see_no_room_and_no_list() {
    let app = TestApp::ingest_only().await;
    let widget = app.widget("device-1").await;
    widget.say("secret").await;
    let foreign = app.caller("globex", "anna", Role::Admin);
    let rooms = foreign.get(&format!("{DESK}/rooms")).expect(200).await;
    assert!(rooms.each("rooms", "_id").is_empty());
    let own = foreign.desk_page(&widget.room, "").desk_refused(404, "not_found").await;
    let absent = foreign.desk_page("absent", "").desk_refused(404, "not_found").await;
    assert_eq!(bare(&own), bare(&absent));
    // The same id in another account is another room.
    let mut body = tests::app::room_of(&widget.room, json!({ "type": "text", "content": "x" }));
    body["new_room"] = json!(true);
    body["support_conversation_id"] = json!(widget.conversation);
    foreign.post(&format!("{DESK}/message"), body).expect(200).await;
    assert_eq!(widget.page("").expect(200).await.each("messages", "content"), [json!("secret")]);
}

//! Who may do what: nobody forges a guest's message, and guests stay in their threads.

use serde_json::json;
use shared::domain::actor::Role;
use tests::app::{HS256_SECRET, TestApp};

#[tokio::test]
async fn only_services_set_a_foreign_source_an_external_id_or_an_author() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    for caller in [app.agent("anna"), app.admin("adam"), app.guest("gina")] {
        for source in ["whatsapp", "sms", "twilio", "hububb-guest", "airbnb", "x"] {
            let body = json!({ "body": "x", "source": source });
            caller.message(&thread, body).refused(403, "forbidden").await;
        }
        for field in ["externalMessageId", "authorId"] {
            let body = json!({ "body": "x", field: "gina" });
            caller.message(&thread, body).refused(403, "forbidden").await;
        }
    }
    for caller in [app.agent("anna"), app.admin("adam")] {
        for source in ["hububb", "operations"] {
            caller.message(&thread, json!({ "body": "x", "source": source })).expect(201).await;
        }
    }
    let body = json!({ "body": "x", "source": "airbnb", "externalMessageId": "e1", "authorId": "gina" });
    let posted = app.service("ota").post_message(&thread, body).await;
    assert_eq!((&posted["authorId"], &posted["source"]), (&json!("gina"), &json!("airbnb")));
}

#[tokio::test]
async fn guests_post_plain_messages_only() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let gina = app.guest("gina");
    for forbidden in [
        json!({ "body": "x", "type": "note" }),
        json!({ "body": "x", "type": "whatsapp-message" }),
        json!({ "body": "x", "type": "sms-message" }),
        json!({ "body": "x", "source": "operations" }),
    ] {
        gina.message(&thread, forbidden).refused(403, "forbidden").await;
    }
    gina.message(&thread, json!({ "body": "x", "type": "message", "source": "hububb" })).expect(201).await;
}

#[tokio::test]
async fn a_guest_who_is_no_participant_gets_403_everywhere() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let sent = app.agent("anna").say(&thread, "hello").await;
    let path = format!("/chat/threads/{thread}");
    let gert = app.guest("gert");
    gert.message(&thread, json!({ "body": "x" })).refused(403, "not_participant").await;
    gert.get(&path).refused(403, "not_participant").await;
    gert.get(&format!("{path}/messages")).refused(403, "not_participant").await;
    let one = format!("{path}/messages/{}", sent["messageId"].as_str().unwrap());
    gert.get(&one).refused(403, "not_participant").await;
    gert.post(&format!("{path}/read"), json!({})).refused(403, "not_participant").await;
    assert!(gert.get("/chat/threads").expect(200).await.each("threads", "threadId").is_empty());
}

#[tokio::test]
async fn guests_neither_create_nor_change_threads_and_see_no_reservation() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    app.reservation("r1", "+41790000001").await;
    let gina = app.guest("gina");
    gina.post("/chat/threads", json!({})).refused(403, "forbidden").await;
    gina.patch(&format!("/chat/threads/{thread}"), json!({ "title": "x" })).refused(403, "forbidden").await;
    gina.get("/chat/reservations/r1").refused(403, "forbidden").await;
    gina.put("/chat/reservations/r1", json!({})).refused(403, "forbidden").await;
    gina.put("/chat/users/gina", json!({ "name": "G" })).refused(403, "forbidden").await;
}

#[tokio::test]
async fn operators_have_no_part_in_conversations() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let operator = app.caller("acme", "olga", Role::Operator);
    operator.get("/chat/threads").refused(403, "forbidden").await;
    operator.get(&format!("/chat/threads/{thread}")).refused(403, "forbidden").await;
    operator.message(&thread, json!({ "body": "x" })).refused(403, "forbidden").await;
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_answered() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let reply = app.nobody().message(&thread, json!({ "body": "x" })).refused(401, "unauthenticated").await;
    assert!(reply.header("www-authenticate").starts_with("Bearer"));
    let good = ingest::auth::TokenRequest {
        account: "acme".to_owned().try_into().unwrap(),
        uid: "anna".to_owned().try_into().unwrap(),
        role: Role::Agent,
        conversation: None,
        name: None,
        ttl: std::time::Duration::from_secs(60),
    };
    let issued = |change: &dyn Fn(&mut shared::config::Auth)| {
        let mut auth = app.config().auth.clone();
        change(&mut auth);
        ingest::auth::issue(&auth, &good).unwrap()
    };
    let other_secret = shared::config::Secret::new(HS256_SECRET.to_uppercase());
    let tokens = [
        "canary-7f3a".to_owned(),
        "a.b.c".to_owned(),
        format!("{}x", issued(&|_| {})),
        issued(&|auth| auth.hs256_secret = Some(other_secret.clone())),
        issued(&|auth| auth.issuer = "another".to_owned()),
        issued(&|auth| auth.audience = "another".to_owned()),
    ];
    for token in tokens {
        let reply =
            app.agent("anna").with_token(token).get("/chat/threads").refused(401, "unauthenticated").await;
        assert!(reply.header("www-authenticate").contains("invalid_token"));
        assert!(!reply.text.contains("canary"));
    }
    app.agent("anna").with_token(issued(&|_| {})).get("/chat/threads").expect(200).await;
}

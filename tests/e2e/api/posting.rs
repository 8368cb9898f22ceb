//! `createMessage` as its document tells it, sentence by sentence.

use serde_json::{Value, json};
use tests::app::TestApp;

fn sorted(list: &Value) -> Vec<&str> {
    let mut uids: Vec<&str> = list.as_array().unwrap().iter().map(|uid| uid.as_str().unwrap()).collect();
    uids.sort_unstable();
    uids
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// RFC 3339, UTC, three decimals.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

#[tokio::test]
async fn the_raw_stored_message_is_answered_with_its_defaults() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let reply = app.agent("anna").message(&thread, json!({ "body": "hello" })).expect(201).await;
    assert!(!reply.is_replay());
    let expected = json!({
        "messageId": reply["messageId"], "threadId": thread, "seq": 1, "authorId": "anna", "body": "hello",
        "type": "message", "source": "hububb", "contentType": "text", "attachments": [],
        "createdAt": reply["createdAt"], "updatedAt": reply["createdAt"],
    });
    assert_eq!(reply.body, expected, "no author object, nothing of the inside");
    assert!(is_time(&reply["createdAt"]), "{}", reply.text);
    let id = reply["messageId"].as_str().unwrap();
    assert!(id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
}

#[tokio::test]
async fn every_field_of_the_request_is_stored_and_answered() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let payment =
        json!({ "amount": 120.5, "currency": "EUR", "lines": [{ "n": 1 }, null, true], "note": "ü" });
    let body = json!({
        "body": "", "source": "airbnb", "externalMessageId": "abnb-1", "attachments": ["f1", "https://x.example/a"],
        "messageId": "my_id-1", "type": "message", "paymentContent": payment, "contentType": "payment-processed",
        "authorId": "guest:77",
    });
    let posted = app.service("ota").post_message(&thread, body.clone()).await;
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&posted[field], value, "{field}");
    }
    let page = app.agent("anna").messages(&thread, "").await;
    for (field, value) in posted.as_object().unwrap() {
        assert_eq!(&page["messages"][0][field], value, "{field}");
    }
}

#[tokio::test]
async fn payment_content_goes_with_payment_types_and_lets_the_body_be_empty() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    for content_type in ["payment", "payment-processed"] {
        let body = json!({ "body": "", "contentType": content_type, "paymentContent": { "amount": 7 } });
        let posted = anna.post_message(&thread, body).await;
        assert_eq!(
            (&posted["contentType"], &posted["paymentContent"]["amount"]),
            (&json!(content_type), &json!(7))
        );
    }
    let plain = json!({ "body": "x", "contentType": "text", "paymentContent": { "amount": 7 } });
    anna.message(&thread, plain).refused(422, "unprocessable").await;
}

#[tokio::test]
async fn staff_who_post_become_participants_once() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    app.agent("anna").say(&thread, "one").await;
    app.admin("adam").say(&thread, "two").await;
    app.agent("anna").say(&thread, "three").await;
    app.guest("gina").say(&thread, "four").await;
    let body = json!({ "body": "five", "authorId": "gert" });
    app.service("ota").post_message(&thread, body).await;
    let stored = app.agent("anna").thread(&thread).await;
    assert_eq!(
        stored["participantIds"],
        json!(["gina", "anna", "adam", "gert"]),
        "the author, not the caller"
    );
}

#[tokio::test]
async fn a_message_needs_the_attention_of_all_others_and_not_of_its_author() {
    let app = TestApp::ingest_only().await;
    let people = json!({ "participantIds": ["anna", "ben", "gina"], "assignedAgentIds": ["cara"] });
    let thread = app.thread(people).await;
    app.agent("anna").say(&thread, "one").await;
    let after_one = app.agent("anna").thread(&thread).await;
    assert_eq!(sorted(&after_one["needsAttention"]), ["ben", "cara", "gina"]);
    assert_eq!(after_one["needsAttentionMap"], json!({ "ben": true, "cara": true, "gina": true }));
    app.guest("gina").say(&thread, "two").await;
    let after_two = app.agent("anna").thread(&thread).await;
    assert_eq!(
        sorted(&after_two["needsAttention"]),
        ["anna", "ben", "cara"],
        "the old set stays, less the author"
    );
    let map: Vec<&str> = keys(&after_two["needsAttentionMap"]);
    assert_eq!(map.len(), 3);
}

#[tokio::test]
async fn uids_with_dots_and_at_signs_are_keys_like_any_other() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["a.b@c.example", "auth0|65f"] })).await;
    app.agent("anna").say(&thread, "one").await;
    let stored = app.agent("anna").thread(&thread).await;
    assert_eq!(stored["needsAttentionMap"], json!({ "a.b@c.example": true, "auth0|65f": true }));
}

#[tokio::test]
async fn a_note_needs_the_attention_of_staff_only() {
    let app = TestApp::ingest_only().await;
    app.introduce_agent("ben").await;
    let people = json!({ "participantIds": ["ben", "gina", "stranger"], "assignedAgentIds": ["cara"] });
    let thread = app.thread(people).await;
    app.agent("anna").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let stored = app.agent("anna").thread(&thread).await;
    assert_eq!(sorted(&stored["needsAttention"]), ["ben", "cara"], "an unknown uid is not staff");
}

#[tokio::test]
async fn the_thread_shows_its_last_message_and_its_last_public_one() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let one = anna.say(&thread, "one").await;
    let stored = anna.thread(&thread).await;
    assert_eq!((&stored["lastMessage"], &stored["lastPublicMessage"]), (&one, &one));
    assert_eq!((&stored["updatedAt"], &stored["seq"]), (&one["createdAt"], &json!(1)));
    let note = anna.post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let stored = anna.thread(&thread).await;
    assert_eq!((&stored["lastMessage"], &stored["lastPublicMessage"]), (&note, &one));
    assert_eq!((&stored["updatedAt"], &stored["seq"]), (&note["createdAt"], &json!(2)));
}

#[tokio::test]
async fn an_outbound_whatsapp_message_stamps_the_thread() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    anna.say(&thread, "plain").await;
    assert_eq!(anna.thread(&thread).await["lastWhatsappMessageSentAt"], Value::Null);
    let sent = anna.post_message(&thread, json!({ "body": "hi", "type": "whatsapp-message" })).await;
    assert_eq!(anna.thread(&thread).await["lastWhatsappMessageSentAt"], sent["createdAt"]);
    assert_eq!(
        (&sent["delivery"]["channel"], &sent["delivery"]["state"]),
        (&json!("whatsapp"), &json!("queued"))
    );
    let sms = anna.post_message(&thread, json!({ "body": "hi", "type": "sms-message" })).await;
    assert_eq!(sms["delivery"]["channel"], "sms");
    assert_eq!(anna.thread(&thread).await["lastWhatsappMessageSentAt"], sent["createdAt"]);
}

#[tokio::test]
async fn an_inbound_whatsapp_message_opens_the_window_for_24_hours() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let before = app.agent("anna").thread(&thread).await;
    assert_eq!((&before["canReplyFreeform"], &before["windowExpiresAt"]), (&json!(true), &Value::Null));
    let inbound = json!({ "body": "hi", "type": "whatsapp-message", "source": "whatsapp", "externalMessageId": "wamid.1" });
    let came = app.service("ota").post_message(&thread, inbound).await;
    assert!(came.get("delivery").is_none(), "what came in is not sent out: {came}");
    let after = app.agent("anna").thread(&thread).await;
    assert_eq!(
        (&after["lastWhatsappInboundAt"], &after["canReplyFreeform"]),
        (&came["createdAt"], &json!(true))
    );
    let time = |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    assert_eq!(time(&after["windowExpiresAt"]) - time(&came["createdAt"]), chrono::Duration::hours(24));
    assert_eq!(after["lastWhatsappMessageSentAt"], Value::Null);
}

#[tokio::test]
async fn the_intent_to_send_is_fixed_at_commit_by_type_source_and_external_id() {
    let app = TestApp::ingest_only().await;
    let plain = app.thread(json!({})).await;
    let forwarded = app.thread(json!({ "source": "hububb-guest" })).await;
    let ota = app.service("ota");
    let cases = [
        (&plain, json!({ "type": "message" }), None),
        (&plain, json!({ "type": "note" }), None),
        (&plain, json!({ "type": "whatsapp-message" }), Some("whatsapp")),
        (&plain, json!({ "type": "whatsapp-message", "source": "operations" }), None),
        (&plain, json!({ "type": "whatsapp-message", "externalMessageId": "w1" }), None),
        (&plain, json!({ "type": "sms-message" }), Some("sms")),
        (&plain, json!({ "type": "sms-message", "source": "operations" }), Some("sms")),
        (&plain, json!({ "type": "sms-message", "source": "sms" }), None),
        (&plain, json!({ "type": "sms-message", "source": "twilio" }), None),
        (&plain, json!({ "type": "sms-message", "source": "whatsapp" }), None),
        (&plain, json!({ "type": "sms-message", "externalMessageId": "s1" }), None),
        (&forwarded, json!({ "type": "message" }), Some("guest")),
        (&forwarded, json!({ "type": "note" }), None),
        (&forwarded, json!({ "type": "message", "source": "hububb-guest" }), None),
        (&forwarded, json!({ "type": "whatsapp-message" }), Some("whatsapp")),
    ];
    for (thread, mut body, channel) in cases {
        body["body"] = json!("x");
        let posted = ota.post_message(thread, body.clone()).await;
        assert_eq!(posted["delivery"]["channel"].as_str(), channel, "{body}");
        let jobs = app.jobs_where(
            mongodb::bson::doc! { "message": format!("acme/{}", posted["messageId"].as_str().unwrap()) },
        );
        let effects = jobs.await.iter().filter(|job| job.is_effect()).count();
        let both = usize::from(thread == &forwarded && channel == Some("whatsapp"));
        assert_eq!(effects, usize::from(channel.is_some()) + both, "{body}");
    }
}

#[tokio::test]
async fn sixty_four_posts_at_once_are_numbered_without_gap_or_twin() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let posts = (0..64).map(|n| {
        let (caller, thread) = (app.agent(&format!("agent-{}", n % 8)), thread.clone());
        async move { caller.say(&thread, &format!("message {n}")).await["seq"].as_i64().unwrap() }
    });
    let mut seqs = futures::future::join_all(posts).await;
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=64).collect::<Vec<_>>());
    let stored = app.agent("anna").messages(&thread, "?limit=100&sort=asc").await;
    assert_eq!(stored.each("messages", "seq"), (1..=64).map(|n| json!(n)).collect::<Vec<_>>());
    let jobs = app.jobs_where(mongodb::bson::doc! { "name": "audit_message" }).await;
    assert_eq!(jobs.len(), 64, "each message has its jobs");
}

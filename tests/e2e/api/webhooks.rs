//! Webhooks in: verified over the raw bytes, stored, then answered.

use mongodb::bson::{Document, doc};
use reqwest::Method;
use serde_json::json;
use tests::app::TestApp;
use tests::app::webhooks::status;
use tests::simulator::{DEV_APP_SECRET, DEV_VERIFY_TOKEN, signature};

async fn events(app: &TestApp) -> u64 {
    app.store().raw().collection::<Document>("events").count_documents(doc! {}).await.unwrap()
}

#[tokio::test]
async fn the_subscription_check_answers_the_challenge_to_who_knows_the_token() {
    let app = TestApp::ingest_only().await;
    app.simulator.verify_webhook().await.expect("Meta's handshake");
    let ask = |query: &str| app.nobody().get(&format!("/webhooks/whatsapp?{query}"));
    let good = format!("hub.mode=subscribe&hub.verify_token={DEV_VERIFY_TOKEN}&hub.challenge=42x");
    let reply = ask(&good).expect(200).await;
    assert_eq!((reply.text.as_str(), reply.header("content-type")), ("42x", "text/plain; charset=utf-8"));
    for bad in [
        "",
        "hub.mode=subscribe&hub.challenge=42x",
        "hub.mode=subscribe&hub.verify_token=&hub.challenge=42x",
        "hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=42x",
        &good.replace("subscribe", "unsubscribe"),
    ] {
        ask(bad).refused(403, "forbidden").await;
    }
}

#[tokio::test]
async fn s20_a_signature_that_does_not_fit_is_a_401_and_nothing_is_kept() {
    let app = TestApp::ingest_only().await;
    let body = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    let post = |body: &[u8], signed: &str| {
        let call = app.nobody().call(Method::POST, "/webhooks/whatsapp");
        call.header("x-hub-signature-256", signed).bytes("application/json", body)
    };
    let good = signature::whatsapp(DEV_APP_SECRET, body);
    let spaced = br#"{"object": "whatsapp_business_account", "entry": []}"#;
    let of_another = signature::whatsapp("another-app-secret", body);
    let (short, sha1) = (&good[..good.len() - 2], good.replace("sha256", "sha1"));
    for (body, signed) in [
        (&body[..], ""),
        (&body[..], "sha256="),
        (&body[..], short),
        (&body[..], sha1.as_str()),
        (&body[..], of_another.as_str()),
        (&spaced[..], good.as_str()),
    ] {
        post(body, signed).refused(401, "bad_signature").await;
    }
    app.nobody()
        .call(Method::POST, "/webhooks/whatsapp")
        .bytes("application/json", *body)
        .refused(401, "bad_signature")
        .await;
    assert_eq!(events(&app).await, 0);
    post(body, &good).expect(200).await;
    assert_eq!(events(&app).await, 1);
}

#[tokio::test]
async fn s22_twilio_signs_the_public_url_with_its_query_and_every_field() {
    let app = TestApp::ingest_only().await;
    let fields =
        [("MessageSid", "SM1"), ("MessageStatus", "sent"), ("To", "+15005550009"), ("Body", " hi & bye ")];
    app.twilio_status("job=01ARZ3NDEKTSV4RRFFQ69G5FAV&a=1", &fields).expect(200).await;
    assert_eq!(events(&app).await, 1);
    let signed = app.twilio_signature("job=x&a=1", &fields);
    for (query, form) in [
        ("job=y&a=1", "MessageSid=SM1&MessageStatus=sent&To=%2B15005550009&Body=+hi+%26+bye+"),
        ("job=x&a=1", "MessageSid=SM1&MessageStatus=delivered&To=%2B15005550009&Body=+hi+%26+bye+"),
        ("job=x&a=1", "MessageSid=SM1&MessageStatus=sent&To=%2B15005550009&Body=+hi+%26+bye+&Extra=1"),
        ("job=x&a=1&b=2", "MessageSid=SM1&MessageStatus=sent&To=%2B15005550009&Body=+hi+%26+bye+"),
    ] {
        let call = app.nobody().call(Method::POST, &format!("/webhooks/twilio/status?{query}"));
        let call =
            call.header("x-twilio-signature", &signed).bytes("application/x-www-form-urlencoded", form);
        call.refused(401, "bad_signature").await;
    }
    assert_eq!(events(&app).await, 1);
}

#[tokio::test]
async fn s21_a_repeated_event_is_a_no_op() {
    let app = TestApp::ingest_only().await;
    let statuses = [status("wamid.x", "sent", None, None)];
    let first = app.whatsapp_statuses(&statuses).expect(200).await;
    assert_eq!(first.text, "ok");
    let again =
        futures::future::join_all((0..10).map(|_| app.whatsapp_statuses(&statuses).expect(200))).await;
    assert!(again.iter().all(|reply| reply.text == "known"));
    assert_eq!(events(&app).await, 1);
    assert_eq!(app.jobs_where(doc! { "name": "process_event" }).await.len(), 1);
}

#[tokio::test]
async fn signed_but_unreadable_is_kept_raw_and_answered_200() {
    let app = TestApp::without_search().await;
    let raw: &[&[u8]] =
        &[b"\xff\xfe not json", b"", b"[]", b"{\"object\":7}", br#"{"object":"page","entry":[{"x":1}]}"#];
    for body in raw {
        app.whatsapp_webhook(*body).expect(200).await;
    }
    app.twilio_status("", &[("Nonsense", "1")]).expect(200).await;
    app.settled().await;
    assert_eq!(events(&app).await, raw.len() as u64 + 1);
    let kept = app.store().raw().collection::<Document>("events");
    let unseen = kept.count_documents(doc! { "state": { "$in": ["received", "processed"] } }).await.unwrap();
    assert_eq!(unseen, 0, "each is shown as failed or unrouted");
}

#[tokio::test]
async fn an_event_of_an_unknown_message_is_kept_as_unrouted() {
    let app = TestApp::without_search().await;
    app.whatsapp_statuses(&[status("wamid.unknown", "delivered", None, None)]).expect(200).await;
    let inbound = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{
        "field": "messages", "value": { "messaging_product": "whatsapp",
            "metadata": { "phone_number_id": "100000000000001", "display_phone_number": "1" },
            "messages": [{ "from": "41790000001", "id": "wamid.in", "timestamp": "1780000000", "type": "text",
                "text": { "body": "hello" } }] } }] }] });
    app.whatsapp_webhook(inbound.to_string()).expect(200).await;
    app.settled().await;
    let kept = app.store().raw().collection::<Document>("events");
    assert_eq!(kept.count_documents(doc! { "state": "unrouted" }).await.unwrap(), 2);
}

#[tokio::test]
async fn an_event_of_three_megabytes_is_taken_and_one_of_five_is_not() {
    let app = TestApp::ingest_only().await;
    app.whatsapp_webhook(vec![b' '; 3 * 1024 * 1024]).expect(200).await;
    app.whatsapp_webhook(vec![b' '; 5 * 1024 * 1024]).refused(413, "payload_too_large").await;
    assert_eq!(events(&app).await, 1);
}

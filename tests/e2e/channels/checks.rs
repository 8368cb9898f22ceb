//! What a channel may not be: refused at once, with the field that is wrong.

use serde_json::{Value, json};
use tests::app::TestApp;

use super::rig::{KEY, PATH, TOKEN, email, guest, setup, sms, whatsapp, whatsapp_as_it_is};

/// Stores a channel of which one field is something else; answers the place that is named.
async fn refused(app: &TestApp, status: u16, body: Value, at: &str, value: Value) -> String {
    let mut body = body;
    let (object, field) = at.rsplit_once('/').unwrap();
    body.pointer_mut(object).unwrap()[field] = value.clone();
    let code = if status == 400 { "invalid_request" } else { "unprocessable" };
    let reply = app.admin("adam").put(&format!("{PATH}/main"), body).refused(status, code).await;
    assert!(value.as_str().is_none_or(|text| text.len() < 8 || !reply.text.contains(text)), "{}", reply.text);
    reply["pointer"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_address_that_can_never_pass_is_refused_at_once() {
    let app = setup().with("BELLHOP_NET__ALLOW_PRIVATE", "false").ingest_only().await;
    let guests = "https://guests.example/hook";
    for url in [
        "http://graph.example.com",
        "https://127.0.0.1/v1",
        "https://2130706433/v1",
        "https://[::1]/v1",
        "https://metadata.google.internal/",
        "https://user:password@graph.example.com/",
        "https://graph.example.com:6379/",
        "file:///etc/passwd",
        "graph.example.com",
    ] {
        for (body, at) in
            [(whatsapp(), "/whatsapp/baseUrl"), (sms(), "/sms/baseUrl"), (guest(guests), "/guest/url")]
        {
            assert_eq!(refused(&app, 422, body, at, json!(url)).await, at, "{url}");
        }
    }
    for (body, at) in [(whatsapp(), "/whatsapp/baseUrl"), (sms(), "/sms/baseUrl")] {
        for url in ["https://graph.example.com/v1?x=y", "https://graph.example.com/v1#x"] {
            assert_eq!(refused(&app, 422, body.clone(), at, json!(url)).await, at, "{url}");
        }
    }
    let mut good = whatsapp();
    good["whatsapp"]["baseUrl"] = json!("https://graph.example.com/v23.0");
    app.admin("adam").put(&format!("{PATH}/main"), good).expect(201).await;
}

#[tokio::test]
async fn a_token_does_not_follow_to_another_address() {
    let app = setup().ingest_only().await;
    let (adam, one) = (app.admin("adam"), format!("{PATH}/main"));
    adam.put(&one, whatsapp()).expect(201).await;
    let mut moved = whatsapp_as_it_is();
    moved["whatsapp"]["baseUrl"] = json!("https://collector.example/v23.0");
    let reply = adam.put(&one, moved.clone()).refused(422, "unprocessable").await;
    assert_eq!(reply["pointer"], "/whatsapp/accessToken");
    moved["whatsapp"]["accessToken"] = json!(TOKEN);
    adam.put(&one, moved).expect(200).await;
    let reply = adam.put(&one, whatsapp_as_it_is()).refused(422, "unprocessable").await;
    assert_eq!(reply["pointer"], "/whatsapp/accessToken", "nor back");
}

#[tokio::test]
async fn a_secret_that_is_needed_is_asked_for() {
    let app = setup().ingest_only().await;
    let all = [
        (whatsapp(), "/whatsapp/accessToken"),
        (whatsapp(), "/whatsapp/appSecret"),
        (whatsapp(), "/whatsapp/verifyToken"),
        (sms(), "/sms/authToken"),
        (guest("https://guests.example/hook"), "/guest/secret"),
    ];
    for (body, at) in all {
        assert_eq!(refused(&app, 422, body, at, Value::Null).await, at);
    }
    // What is stored for one kind is no secret of another.
    let adam = app.admin("adam");
    adam.put(&format!("{PATH}/main"), sms()).expect(201).await;
    adam.put(&format!("{PATH}/main"), whatsapp_as_it_is()).refused(422, "unprocessable").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_channel_is_named() {
    let app = setup().ingest_only().await;
    let guests = || guest("https://guests.example/hook");
    for (status, body, at, value) in [
        (422, sms(), "/sms/from", json!("+4179123")),
        (422, sms(), "/sms/from", json!("+9991234567")),
        (422, sms(), "/sms/from", json!("0791234567")),
        (422, sms(), "/sms/from", json!("MG123")),
        (400, sms(), "/sms/accountSid", json!("AC1/../../x")),
        (422, sms(), "/sms/authToken", json!("line\nbreak")),
        (400, whatsapp(), "/whatsapp/phoneNumberId", json!("1/../2")),
        (422, whatsapp(), "/whatsapp/accessToken", json!("with a space")),
        (422, whatsapp(), "/whatsapp/accessToken", json!("")),
        (422, whatsapp(), "/whatsapp/appSecret", json!("a\u{0}b")),
        (422, guests(), "/guest/secret", json!("whsec_c2hvcnQ=")),
        (422, guests(), "/guest/secret", json!("no-prefix-at-all-but-long-enough")),
        (422, email("desk@acme.example"), "/email/from", json!("not an address")),
        (422, email("desk@acme.example"), "/email/from", json!("desk@acme.example\r\nBcc: x@y.example")),
        (422, email("desk@acme.example"), "/email/replyTo", json!("nobody")),
        (400, email("desk@acme.example"), "/kind", json!("fax")),
        (400, email("desk@acme.example"), "/unknownPolicy", json!("guess")),
        (400, email("desk@acme.example"), "/enabled", json!("yes")),
        (400, email("desk@acme.example"), "/kind", json!("sms")),
        (400, sms(), "/email", json!({ "from": "desk@acme.example" })),
        (400, whatsapp(), "/whatsapp/token", json!("unknown-field")),
    ] {
        let named = refused(&app, status, body, at, value.clone()).await;
        let kind_is_missing = at == "/kind" && named == "/sms";
        assert!(named == at || kind_is_missing, "{at} {value}: {named}");
    }
    app.admin("adam").get(&format!("{PATH}/main")).refused(404, "not_found").await;
    let mut service = sms();
    service["sms"]["from"] = json!("MG0123456789abcdef0123456789ABCDEF");
    app.admin("adam").put(&format!("{PATH}/main"), service).expect(201).await;
}

#[tokio::test]
async fn without_a_key_secrets_are_refused_and_what_has_none_is_not() {
    let app = TestApp::ingest_only().await;
    let adam = app.admin("adam");
    for (body, at) in [
        (whatsapp(), "/whatsapp/accessToken"),
        (sms(), "/sms/authToken"),
        (guest("https://guests.example/hook"), "/guest/secret"),
    ] {
        let reply = adam.put(&format!("{PATH}/main"), body).refused(422, "unprocessable").await;
        assert_eq!(reply["pointer"], at);
        assert!(!reply.text.contains(KEY), "{}", reply.text);
    }
    adam.put(&format!("{PATH}/mail"), email("desk@acme.example")).expect(201).await;
}

//! What a request must look like. Missing, null, mistyped, unknown or malformed: 400. Past a limit: 422.

use serde_json::{Value, json};
use tests::app::TestApp;

/// A value that no answer may repeat.
const CANARY: &str = "canary-7f3a";

#[tokio::test]
async fn a_field_that_is_missing_mistyped_unknown_or_malformed_is_a_400_that_names_it() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let service = app.service("ota");
    let text = |fields: Value| {
        let mut body = json!({ "body": "x" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let cases = [
        ("/body", json!({})),
        ("/body", json!({ "body": null })),
        ("/body", json!({ "body": 7 })),
        ("/body", json!({ "body": ["canary-7f3a"] })),
        ("/body", json!({ "body": { "$ne": null } })),
        ("/title", text(json!({ "title": CANARY }))),
        ("/seq", text(json!({ "seq": 9 }))),
        ("/createdAt", text(json!({ "createdAt": CANARY }))),
        ("/delivery", text(json!({ "delivery": { "state": "read" } }))),
        ("/accountId", text(json!({ "accountId": CANARY }))),
        ("/type", text(json!({ "type": CANARY }))),
        ("/type", text(json!({ "type": 1 }))),
        ("/contentType", text(json!({ "contentType": CANARY }))),
        ("/source", text(json!({ "source": "Canary-7f3a" }))),
        ("/source", text(json!({ "source": "" }))),
        ("/source", text(json!({ "source": "a".repeat(65) }))),
        ("/messageId", text(json!({ "messageId": "" }))),
        ("/messageId", text(json!({ "messageId": "canary-7f3a/../x" }))),
        ("/messageId", text(json!({ "messageId": "a".repeat(129) }))),
        ("/messageId", text(json!({ "messageId": true }))),
        ("/externalMessageId", text(json!({ "externalMessageId": 1 }))),
        ("/attachments", text(json!({ "attachments": CANARY }))),
        ("/attachments/1", text(json!({ "attachments": ["a", 2] }))),
        ("/attachments/0", text(json!({ "attachments": [null] }))),
        ("/authorId", text(json!({ "authorId": "canary 7f3a" }))),
        ("/paymentContent", text(json!({ "paymentContent": CANARY, "contentType": "payment" }))),
        ("/paymentContent", text(json!({ "paymentContent": { "$where": 1 }, "contentType": "payment" }))),
        ("/paymentContent", text(json!({ "paymentContent": { "a.b": 1 }, "contentType": "payment" }))),
    ];
    for (pointer, body) in cases {
        let reply = service.message(&thread, body.clone()).refused(400, "invalid_request").await;
        assert_eq!(reply["pointer"], pointer, "{body}");
        assert!(!reply.text.contains(CANARY), "{body} is repeated: {}", reply.text);
    }
    assert_eq!(service.thread(&thread).await["seq"], 0, "nothing was written");
}

#[tokio::test]
async fn an_optional_field_may_be_null() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "title": null, "participantIds": null })).await;
    let body = json!({
        "body": "x", "source": null, "externalMessageId": null, "attachments": null, "messageId": null,
        "type": null, "paymentContent": null, "contentType": null, "authorId": null,
    });
    let posted = app.agent("anna").post_message(&thread, body).await;
    assert_eq!((&posted["type"], &posted["source"]), (&json!("message"), &json!("hububb")));
}

#[tokio::test]
async fn a_limit_is_a_422_and_what_just_fits_is_taken() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let service = app.service("ota");
    let text = |n: usize| "x".repeat(n);
    let link = |n: usize| (0..n).map(|i| format!("https://cdn.example.com/{i}.png")).collect::<Vec<_>>();
    let emoji = |n: usize| "😀".repeat(n);
    let fits = [
        json!({ "body": text(32 * 1024) }),
        json!({ "body": emoji(8 * 1024) }),
        json!({ "body": "", "attachments": ["file-1"] }),
        json!({ "body": "x", "attachments": link(15) }),
        json!({ "body": "x", "externalMessageId": text(256), "source": "airbnb" }),
        json!({ "body": emoji(4096), "type": "whatsapp-message" }),
        json!({ "body": text(1024), "type": "whatsapp-message", "attachments": link(1) }),
        json!({ "body": text(1600), "type": "sms-message", "attachments": link(10) }),
        // Nothing inbound is dropped: channel limits hold only where there is a send intent.
        json!({ "body": text(5000), "type": "whatsapp-message", "source": "whatsapp", "attachments": link(3) }),
        json!({ "body": text(5000), "type": "sms-message", "externalMessageId": "SM1" }),
    ];
    for body in fits {
        service.message(&thread, body).expect(201).await;
    }
    let too_much = [
        json!({ "body": "" }),
        json!({ "body": "", "attachments": [] }),
        json!({ "body": "", "contentType": "payment" }),
        json!({ "body": text(32 * 1024 + 1) }),
        json!({ "body": emoji(8 * 1024 + 1) }),
        json!({ "body": "x", "attachments": link(16) }),
        json!({ "body": "x", "attachments": [""] }),
        json!({ "body": "x", "attachments": [text(4097)] }),
        json!({ "body": "x", "externalMessageId": "" }),
        json!({ "body": "x", "externalMessageId": text(257) }),
        json!({ "body": "x", "paymentContent": { "amount": 1 } }),
        json!({ "body": text(4097), "type": "whatsapp-message" }),
        json!({ "body": text(1025), "type": "whatsapp-message", "attachments": link(1) }),
        json!({ "body": "x", "type": "whatsapp-message", "attachments": link(2) }),
        json!({ "body": text(1601), "type": "sms-message" }),
        json!({ "body": "x", "type": "sms-message", "attachments": link(11) }),
        json!({ "body": "x", "type": "whatsapp-message", "attachments": ["http://cdn.example.com/a.png"] }),
        json!({ "body": "x", "type": "sms-message", "attachments": ["file-1"] }),
    ];
    for body in too_much {
        service.message(&thread, body).refused(422, "unprocessable").await;
    }
}

#[tokio::test]
async fn an_attachment_that_can_never_pass_is_refused_at_commit() {
    let app = TestApp::with("BELLHOP_NET__ALLOW_PRIVATE", "false").ingest_only().await;
    let thread = app.thread(json!({})).await;
    for url in [
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://169.254.169.254/latest/meta-data",
        "https://0x7f.1/a",
        "https://2130706433/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://user:pw@cdn.example.com/a",
        "ftp://cdn.example.com/a",
        "https://",
    ] {
        let body = json!({ "body": "x", "type": "whatsapp-message", "attachments": [url] });
        let reply = app.agent("anna").message(&thread, body).refused(422, "unprocessable").await;
        assert!(!reply.text.contains(url), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_body_that_is_no_plain_json_is_refused_before_it_is_looked_at() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let path = format!("/chat/threads/{thread}/messages");
    let anna = app.agent("anna");
    let raw =
        |content_type: &str, body: Vec<u8>| anna.call(reqwest::Method::POST, &path).bytes(content_type, body);
    let malformed: [&[u8]; 9] = [
        b"",
        b"{\"body\":\"canary-7f3a\"",
        b"{\"body\":\"a\",\"body\":\"b\"}",
        b"{\"body\":\"a\"} trailing",
        b"\xef\xbb\xbf{\"body\":\"a\"}",
        b"{\"body\":\"\\ud800\"}",
        b"{\"body\":\"\xff\"}",
        b"{\"body\":NaN}",
        b"[\"canary-7f3a\"]",
    ];
    for body in malformed {
        let reply = raw("application/json", body.to_vec()).refused(400, "invalid_request").await;
        assert!(!reply.text.contains(CANARY), "{}", reply.text);
    }
    let deep = format!("{{\"body\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    raw("application/json", deep.into_bytes()).refused(400, "invalid_request").await;
    let good = br#"{"body":"a"}"#.to_vec();
    for other in ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=latin1"]
    {
        raw(other, good.clone()).refused(415, "unsupported_media_type").await;
    }
    raw("application/json; charset=UTF-8", good).expect(201).await;
    let large = format!("{{\"body\":\"{}\"}}", "x".repeat(1024 * 1024));
    raw("application/json", large.into_bytes()).refused(413, "payload_too_large").await;
}

#[tokio::test]
async fn odd_texts_are_stored_exactly() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    for odd in [
        "a\u{0}b",
        "\u{202e}tfel",
        "e\u{301} é",
        "👩‍👩‍👧‍👦",
        "$where {\"$ne\": 1}",
        "<script>",
        "\r\n\t",
        "\u{feff}",
    ] {
        let posted = anna.say(&thread, odd).await;
        let page = anna.messages(&thread, "?limit=1").await;
        assert_eq!((&posted["body"], &page["messages"][0]["body"]), (&json!(odd), &json!(odd)));
    }
}

#[tokio::test]
async fn a_malformed_id_is_a_400_and_an_unknown_one_a_404() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let long = "a".repeat(129);
    for id in ["a%20b", "%24ne", "..%2Fx", "a%00b", "%C3%A4", "a.b", long.as_str()] {
        for path in [format!("/chat/threads/{id}"), format!("/chat/threads/{thread}/messages/{id}")] {
            anna.get(&path).refused(400, "invalid_request").await;
        }
        anna.message(id, json!({ "body": "x" })).refused(400, "invalid_request").await;
    }
    anna.get("/chat/threads/absent").refused(404, "not_found").await;
    anna.get(&format!("/chat/threads/{thread}/messages/absent")).refused(404, "not_found").await;
    anna.message("absent", json!({ "body": "x" })).refused(404, "not_found").await;
    anna.post("/chat/threads/absent/read", json!({})).refused(404, "not_found").await;
    anna.patch("/chat/threads/absent", json!({ "title": "x" })).refused(404, "not_found").await;
    for unknown in ["/", "/chat", "/chat/threads/", "/nothing", "/chat/threads/a/b/c/d", "/openapi.yaml"] {
        anna.get(unknown).refused(404, "not_found").await;
    }
}

#[tokio::test]
async fn a_query_that_is_out_of_range_is_a_400_that_names_the_parameter() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let too_long = format!("search={}", "x".repeat(257));
    for (name, query) in [
        ("limit", "limit=0"),
        ("limit", "limit=101"),
        ("limit", "limit=-1"),
        ("limit", "limit=1e3"),
        ("limit", "limit="),
        ("sort", "sort=canary-7f3a"),
        ("search", "search="),
        ("search", too_long.as_str()),
        ("upperRef", "upperRef=a%20canary-7f3a"),
        ("lowerRef", "lowerRef="),
    ] {
        let path = format!("/chat/threads/{thread}/messages?{query}");
        let reply = anna.get(&path).refused(400, "invalid_request").await;
        assert!(reply["detail"].as_str().unwrap().contains(name), "{query}: {}", reply.text);
        assert!(!reply.text.contains(CANARY), "{}", reply.text);
    }
    for query in
        ["view=all", "kind=canary-7f3a", "status=done", "source=A%20B", "limit=101", "cursor=canary-7f3a"]
    {
        let reply = anna.get(&format!("/chat/threads?{query}")).refused(400, "invalid_request").await;
        assert!(!reply.text.contains(CANARY), "{}", reply.text);
    }
}

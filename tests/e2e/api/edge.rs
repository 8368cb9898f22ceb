//! What every request gets, whatever its path: ids, limits, headers, and answers that give nothing away.

use mongodb::bson::doc;
use reqwest::Method;
use serde_json::json;
use shared::domain::actor::Role;
use tests::app::TestApp;

#[tokio::test]
async fn a_plain_request_id_is_kept_and_carried_into_the_jobs() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    let kept =
        anna.message(&thread, json!({ "body": "x" })).header("x-request-id", "req-1-2_3").expect(201).await;
    assert_eq!(kept.header("x-request-id"), "req-1-2_3");
    let jobs = app.jobs_where(doc! { "requestId": "req-1-2_3" }).await;
    assert!(!jobs.is_empty());
    let long = "x".repeat(300);
    for odd in ["", "a b", "a\"b", "ä", long.as_str()] {
        let reply = anna.get("/chat/threads").header("x-request-id", odd).expect(200).await;
        let made = reply.header("x-request-id");
        assert!(!made.is_empty() && made != odd, "{odd:?} became {made:?}");
    }
}

#[tokio::test]
async fn another_method_is_a_405_that_names_the_known_ones() {
    let app = TestApp::ingest_only().await;
    let anna = app.agent("anna");
    for (path, allow) in [
        ("/chat/threads", "GET, HEAD, OPTIONS, POST"),
        ("/chat/threads/t1", "GET, HEAD, OPTIONS, PATCH"),
        ("/chat/threads/t1/messages/m1", "GET, HEAD, OPTIONS"),
        ("/chat/reservations/r1", "GET, HEAD, OPTIONS, PUT"),
        ("/webhooks/twilio/status", "OPTIONS, POST"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ] {
        for method in [Method::DELETE, Method::TRACE, Method::from_bytes(b"BREW").unwrap()] {
            let reply = anna.call(method, path).refused(405, "method_not_allowed").await;
            assert_eq!(reply.header("allow"), allow, "{path}");
        }
    }
}

#[tokio::test]
async fn s28_one_caller_who_is_too_fast_is_told_to_wait_and_others_are_not() {
    let app = TestApp::with("BELLHOP_HTTP__RATE_LIMIT", "1/m")
        .with("BELLHOP_HTTP__RATE_BURST", "5")
        .ingest_only()
        .await;
    let anna = app.agent("anna");
    for left in (0..5).rev() {
        let reply = anna.get("/chat/threads").expect(200).await;
        assert_eq!(reply.header("ratelimit-remaining"), left.to_string());
        assert_eq!(reply.header("ratelimit-limit"), "5");
        assert!(reply.header("ratelimit").starts_with("\"caller\";r="));
    }
    let refused = anna.get("/chat/threads").refused(429, "rate_limited").await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    app.agent("ben").get("/chat/threads").expect(200).await;
    for _ in 0..20 {
        app.whatsapp_statuses(&[]).expect(200).await;
        app.nobody().get("/healthz").expect(200).await;
    }
}

#[tokio::test]
async fn s32_answers_carry_security_headers_and_foreign_origins_no_credentials() {
    let app = TestApp::ingest_only().await;
    let anna = app.agent("anna");
    for path in ["/chat/threads", "/nothing", "/docs", "/healthz"] {
        let reply = anna.get(path).send().await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert_eq!(reply.header("server"), "");
    }
    let origin = |origin: &str| anna.get("/chat/threads").header("origin", origin);
    let reply = origin("https://app.example.com").expect(200).await;
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    assert_eq!(origin("null").expect(200).await.header("access-control-allow-origin"), "");
    let preflight =
        app.nobody().call(Method::OPTIONS, "/chat/threads").header("origin", "https://app.example.com");
    let preflight = preflight.header("access-control-request-method", "POST").expect(204).await;
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    assert!(preflight.header("access-control-allow-headers").contains("idempotency-key"));
}

#[tokio::test]
async fn s33_no_error_repeats_what_the_caller_sent() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let (anna, canary) = (app.agent("anna"), "canary-55ab");
    let path = format!("/chat/threads/{thread}");
    let calls = [
        anna.get(&format!("/{canary}")),
        anna.get(&format!("/chat/threads/{canary}%20")),
        anna.get(&format!("/chat/threads/{canary}")),
        anna.get(&format!("/chat/threads?cursor={canary}")),
        anna.get(&format!("{path}/messages?limit={canary}")),
        anna.get(&format!("{path}/messages?upperRef={canary}")),
        anna.get(&format!("{path}/messages?sort={canary}")),
        anna.get(&format!("/chat/users/{canary}")),
        anna.message(&thread, json!({ "body": { "x": canary } })),
        anna.message(&thread, json!({ "body": "x", "type": canary })),
        anna.message(&thread, json!({ "body": "x", "authorId": canary })),
        anna.message(&thread, json!({ "body": canary.repeat(5000) })),
        anna.message(&thread, json!({ "body": "x" })).header("idempotency-key", format!("{canary} x")),
        anna.call(Method::POST, &format!("{path}/messages")).bytes("application/json", canary),
        anna.call(Method::POST, &format!("{path}/messages")).bytes(canary, "{}"),
        anna.with_token(canary).get("/chat/threads"),
        anna.post(&format!("{path}/read"), json!({ "upTo": canary })),
        app.service("ota").put("/chat/reservations/r", json!({ "guestPhone": canary })),
        app.service("ota").put("/chat/reservations/r", json!({ "guestEmail": canary })),
        app.nobody().get(&format!(
            "/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token={canary}&hub.challenge={canary}"
        )),
        app.nobody().call(Method::POST, "/webhooks/whatsapp").bytes("application/json", canary),
    ];
    for call in calls {
        let reply = call.send().await;
        assert!((400..500).contains(&reply.status), "{}: {}", reply.status, reply.text);
        assert!(!reply.text.contains(canary), "{}", reply.text);
        assert!(!format!("{:?}", reply.headers).contains(canary), "{:?}", reply.headers);
    }
}

#[tokio::test]
async fn an_answer_has_its_time_when_mongodb_hangs() {
    let app = TestApp::with("BELLHOP_COMMIT__DEADLINE", "300ms").with("BELLHOP_HTTP__REQUEST_TIMEOUT", "2s");
    let app = app.mongodb_through_a_proxy().ingest_only().await;
    let thread = app.thread(json!({})).await;
    app.agent("anna").say(&thread, "before").await;
    app.mongodb_proxy().black_hole();
    let refused =
        app.agent("anna").message(&thread, json!({ "body": "canary" })).refused(503, "unavailable").await;
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{:?}", refused.headers);
    let newcomer = app.named("newcomer", Role::Agent, "New");
    newcomer.message(&thread, json!({ "body": 5 })).refused(400, "invalid_request").await;
    app.mongodb_proxy().heal();
    app.eventually("a post after MongoDB is back", async || {
        let reply =
            app.agent("anna").message(&thread, json!({ "body": "after", "messageId": "m2" })).send().await;
        matches!(reply.status, 200 | 201).then_some(())
    })
    .await;
}

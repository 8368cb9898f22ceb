//! Support tokens: made, listed, rotated with and without grace, deleted; and where their widgets may stand.

use mongodb::bson::{DateTime, Document, doc};
use reqwest::Method;
use serde_json::json;
use shared::domain::actor::Role;
use shared::store::{AuditFilter, Outcome};
use tests::app::{DESK, TestApp};

const PATH: &str = "/chat/support-tokens";

#[tokio::test]
async fn a_tokens_secrets_are_shown_once() {
    let app = TestApp::ingest_only().await;
    let issued = app
        .support_token(
            json!({ "name": "Shop", "allowedOrigins": ["https://Shop.example/", "https://shop.example"] }),
        )
        .await;
    assert_eq!(issued["allowedOrigins"], json!(["https://shop.example"]));
    assert_eq!(issued["name"], "Shop");
    let list = app.admin("adam").get(PATH).expect(200).await;
    assert_eq!(list.each("supportTokens", "tokenId"), [issued["tokenId"].clone()]);
    for secret in ["supportToken", "identitySecret"] {
        assert!(!list.text.contains(issued[secret].as_str().unwrap()), "{secret}");
    }
    let foreign = app.caller("globex", "adam", Role::Admin).get(PATH).expect(200).await;
    assert!(foreign.each("supportTokens", "tokenId").is_empty());
}

#[tokio::test]
async fn only_admins_deal_with_tokens() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let one = format!("{PATH}/{}", issued["tokenId"].as_str().unwrap());
    for caller in [app.agent("anna"), app.service("ota"), app.guest("gina")] {
        caller.post(PATH, json!({})).refused(403, "forbidden").await;
        caller.get(PATH).refused(403, "forbidden").await;
        caller.call(Method::POST, &format!("{one}/rotate")).refused(403, "forbidden").await;
        caller.call(Method::DELETE, &one).refused(403, "forbidden").await;
    }
    app.nobody().get(PATH).refused(401, "unauthenticated").await;
    let foreign = app.caller("globex", "adam", Role::Admin);
    foreign.call(Method::POST, &format!("{one}/rotate")).refused(404, "not_found").await;
    foreign.call(Method::DELETE, &one).refused(404, "not_found").await;
}

#[tokio::test]
async fn a_request_for_a_token_is_checked() {
    let app = TestApp::ingest_only().await;
    let adam = app.admin("adam");
    for origin in ["*", "shop.example", "https://shop.example/path", "javascript:alert(1)", ""] {
        let reply =
            adam.post(PATH, json!({ "allowedOrigins": [origin] })).refused(422, "unprocessable").await;
        assert_eq!(reply["pointer"], "/allowedOrigins/0", "{origin}");
    }
    let many: Vec<String> = (0..51).map(|n| format!("https://{n}.example")).collect();
    adam.post(PATH, json!({ "allowedOrigins": many })).refused(422, "unprocessable").await;
    adam.post(PATH, json!({ "allowedOrigins": "https://a.example" })).refused(400, "invalid_request").await;
    let issued = app.support_token(json!({})).await;
    let rotate = format!("{PATH}/{}/rotate", issued["tokenId"].as_str().unwrap());
    adam.post(&rotate, json!({ "graceSeconds": 2_592_001 })).refused(422, "unprocessable").await;
    adam.post(&rotate, json!({ "graceSeconds": -1 })).refused(400, "invalid_request").await;
}

#[tokio::test]
async fn a_widget_stands_where_its_token_says() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({ "allowedOrigins": ["https://shop.example"] })).await;
    let widget = app.widget_with(&issued, "device-1", json!({})).await;
    let open = || {
        let body = json!({ "support_token": issued["supportToken"], "device_id": "d" });
        app.open_session(body)
    };
    let good = open().header("origin", "https://shop.example").expect(201).await;
    assert_eq!(good.header("access-control-allow-origin"), "*");
    for origin in ["https://evil.example", "http://shop.example", "null"] {
        open().header("origin", origin).desk_refused(403, "forbidden").await;
        widget.page("").header("origin", origin).desk_refused(403, "forbidden").await;
        let text = json!({ "type": "text", "content": "x" });
        widget.message(text).header("origin", origin).desk_refused(403, "forbidden").await;
    }
    widget.page("").header("origin", "https://shop.example").expect(200).await;
    widget.page("").expect(200).await;
    let anywhere = app.widget("device-2").await;
    anywhere.page("").header("origin", "https://evil.example").expect(200).await;
}

#[tokio::test]
async fn browsers_are_told_the_headers_of_the_widget() {
    let app = TestApp::ingest_only().await;
    let preflight = app.nobody().call(Method::OPTIONS, &format!("{DESK}/user/message"));
    let preflight = preflight.header("origin", "https://shop.example");
    let reply = preflight.header("access-control-request-method", "POST").expect(204).await;
    let allowed = reply.header("access-control-allow-headers");
    for header in ["support-token", "support_session", "support-session", "device-id", "idempotency-key"] {
        assert!(allowed.split(", ").any(|known| known == header), "{allowed}");
    }
    assert_eq!(reply.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn rotating_with_grace_lets_both_tokens_in_until_it_ends() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let widget = app.widget_with(&issued, "device-1", json!({})).await;
    let rotate = format!("{PATH}/{}/rotate", issued["tokenId"].as_str().unwrap());
    let next = app.admin("adam").post(&rotate, json!({ "graceSeconds": 600 })).expect(200).await.body;
    app.must_not_be_logged(next["supportToken"].as_str().unwrap());
    assert_eq!(next["tokenId"], issued["tokenId"]);
    assert_ne!(next["supportToken"], issued["supportToken"]);
    let moved = widget.changed(|w| w.token = next["supportToken"].as_str().unwrap().to_owned());
    for widget in [&widget, &moved] {
        widget.page("").expect(200).await;
    }
    for secret in [&issued, &next] {
        let identity = TestApp::identity(secret, "user-1", json!({}));
        app.widget_with(&next, "device-2", json!({ "identity": identity })).await;
    }
    let tokens = app.store().raw().collection::<Document>("supportTokens");
    let over = doc! { "$set": { "previous.until": DateTime::now() } };
    tokens.update_many(doc! {}, over).await.unwrap();
    widget.page("").desk_refused(401, "unauthenticated").await;
    moved.page("").expect(200).await;
    let body = json!({
        "support_token": next["supportToken"],
        "device_id": "d",
        "identity": TestApp::identity(&issued, "user-1", json!({}))
    });
    app.open_session(body).desk_refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn rotating_without_grace_and_deleting_end_the_sessions() {
    let app = TestApp::ingest_only().await;
    let sessions = app.store().raw().collection::<Document>("supportSessions");
    let issued = app.support_token(json!({})).await;
    let widget = app.widget_with(&issued, "device-1", json!({})).await;
    let untouched = app.widget("device-2").await;
    let one = format!("{PATH}/{}", issued["tokenId"].as_str().unwrap());
    let next = app.admin("adam").call(Method::POST, &format!("{one}/rotate")).expect(200).await.body;
    widget.page("").desk_refused(401, "unauthenticated").await;
    let moved = widget.changed(|w| w.token = next["supportToken"].as_str().unwrap().to_owned());
    moved.page("").desk_refused(401, "unauthenticated").await;
    app.eventually("the end of the sessions", async || {
        let left = sessions.count_documents(doc! { "tokenId": issued["tokenId"].as_str() }).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
    let again = app.widget_with(&next, "device-1", json!({})).await;
    again.page("").expect(200).await;
    assert_eq!(app.admin("adam").call(Method::DELETE, &one).expect(204).await.text, "");
    again.page("").desk_refused(401, "unauthenticated").await;
    let body = json!({ "support_token": next["supportToken"], "device_id": "d" });
    app.open_session(body).desk_refused(401, "unauthenticated").await;
    app.admin("adam").call(Method::DELETE, &one).refused(404, "not_found").await;
    untouched.page("").expect(200).await;
}

#[tokio::test]
async fn an_account_has_at_most_100_tokens() {
    let app = TestApp::ingest_only().await;
    let adam = app.admin("adam");
    let issued = futures::future::join_all((0..99).map(|_| adam.post(PATH, json!({})).expect(201))).await;
    assert_eq!(issued.len(), 99);
    adam.post(PATH, json!({})).expect(201).await;
    adam.post(PATH, json!({})).refused(422, "unprocessable").await;
    assert_eq!(adam.get(PATH).expect(200).await.each("supportTokens", "tokenId").len(), 100);
}

#[tokio::test]
async fn what_is_done_to_tokens_is_in_the_audit_trail() {
    let app = TestApp::ingest_only().await;
    let adam = app.admin("adam");
    let issued = app.support_token(json!({})).await;
    let id = issued["tokenId"].as_str().unwrap();
    adam.call(Method::POST, &format!("{PATH}/{id}/rotate")).expect(200).await;
    adam.call(Method::DELETE, &format!("{PATH}/{id}")).expect(204).await;
    adam.call(Method::DELETE, &format!("{PATH}/{id}")).refused(404, "not_found").await;
    let filter = AuditFilter { target_id: Some(id.to_owned()), limit: 10, ..AuditFilter::default() };
    let rows = app.store().audit().find(&filter).await.unwrap();
    let mut told: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.outcome)).collect();
    told.sort_by_key(|(action, outcome)| (*action, *outcome == Outcome::Failure));
    let (done, refused) = (Outcome::Success, Outcome::Failure);
    let [create, delete, rotate] = ["supportToken.create", "supportToken.delete", "supportToken.rotate"];
    assert_eq!(told, [(create, done), (delete, done), (delete, refused), (rotate, done)]);
    for secret in ["supportToken", "identitySecret"] {
        assert!(!format!("{rows:?}").contains(issued[secret].as_str().unwrap()), "{secret}");
    }
}

//! Users and reservations: stored by services and admins, shown by role.

use serde_json::{Value, json};
use tests::app::TestApp;

#[tokio::test]
async fn a_user_is_stored_by_services_and_admins_only() {
    let app = TestApp::ingest_only().await;
    let anna = json!({ "name": "Anna", "avatarUrl": "https://x.example/a", "email": "anna@example.com", "role": "agent" });
    let new = app.service("ota").put("/chat/users/anna", anna.clone()).expect(201).await;
    for (field, value) in anna.as_object().unwrap() {
        assert_eq!(&new[field], value, "{field}");
    }
    let again = app.admin("adam").put("/chat/users/anna", json!({ "name": "Anna M." })).expect(200).await;
    assert_eq!((&again["name"], again.body.get("email")), (&json!("Anna M."), None), "a PUT replaces");
    assert_eq!(again["role"], "agent", "as it was when left out");
    for caller in [app.agent("ben"), app.guest("gina")] {
        caller.put("/chat/users/anna", json!({ "name": "X" })).refused(403, "forbidden").await;
    }
}

#[tokio::test]
async fn a_malformed_user_is_refused() {
    let app = TestApp::ingest_only().await;
    let service = app.service("ota");
    for malformed in [
        json!({}),
        json!({ "name": null }),
        json!({ "name": 7 }),
        json!({ "name": "x", "role": "operator" }),
        json!({ "name": "x", "uid": "y" }),
    ] {
        service.put("/chat/users/u1", malformed).refused(400, "invalid_request").await;
    }
    for past in [
        json!({ "name": "" }),
        json!({ "name": "x".repeat(257) }),
        json!({ "name": "x", "email": "nobody" }),
        json!({ "name": "x", "email": "a\r\nb@example.com" }),
    ] {
        service.put("/chat/users/u1", past).refused(422, "unprocessable").await;
    }
    service.put("/chat/users/a%20b", json!({ "name": "x" })).refused(400, "invalid_request").await;
    service.put("/chat/users/auth0%7C65f", json!({ "name": "x" })).expect(201).await;
}

#[tokio::test]
async fn guests_read_names_and_avatars_of_their_threads_people_only() {
    let app = TestApp::ingest_only().await;
    for uid in ["anna", "ben", "gina", "noter"] {
        let user = json!({ "name": uid, "email": format!("{uid}@example.com"), "role": "agent" });
        app.service("ota").put(&format!("/chat/users/{uid}"), user).expect(201).await;
    }
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    app.agent("anna").say(&thread, "hello").await;
    app.agent("noter").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let gina = app.guest("gina");
    let seen = gina.get("/chat/users/anna").expect(200).await;
    assert_eq!((&seen["name"], seen.body.get("email"), seen.body.get("role")), (&json!("anna"), None, None));
    gina.get("/chat/users/gina").expect(200).await;
    for hidden in ["ben", "noter", "random"] {
        let reply = gina.get(&format!("/chat/users/{hidden}")).refused(404, "not_found").await;
        assert_eq!(reply["detail"], "no such user");
    }
    assert_eq!(app.agent("ben").get("/chat/users/gina").expect(200).await["email"], "gina@example.com");
}

#[tokio::test]
async fn a_token_makes_its_user_known_and_a_put_name_wins() {
    let app = TestApp::ingest_only().await;
    let named = app.named("anna", shared::domain::actor::Role::Agent, "From Token $name");
    named.get("/chat/threads").expect(200).await;
    let seen = app.agent("ben").get("/chat/users/anna").expect(200).await;
    assert_eq!((&seen["name"], &seen["role"]), (&json!("From Token $name"), &json!("agent")));
    app.service("ota").put("/chat/users/anna", json!({ "name": "By Put" })).expect(200).await;
    app.named("anna", shared::domain::actor::Role::Agent, "Another").get("/chat/threads").expect(200).await;
    assert_eq!(app.agent("ben").get("/chat/users/anna").expect(200).await["name"], "By Put");
}

#[tokio::test]
async fn a_reservation_is_stored_by_services_and_admins_and_shown_to_staff() {
    let app = TestApp::ingest_only().await;
    let stay = json!({
        "guestName": "Gina", "guestPhone": "+41790000001", "guestEmail": "g@example.com", "guestUid": "gina",
        "status": "confirmed", "checkIn": "2026-12-01", "checkOut": "2026-12-05",
    });
    let new = app.service("ota").put("/chat/reservations/r1", stay.clone()).expect(201).await;
    let shown = app.agent("anna").get("/chat/reservations/r1").expect(200).await;
    for (field, value) in stay.as_object().unwrap() {
        assert_eq!((&new[field], &shown[field]), (value, value), "{field}");
    }
    let again =
        app.admin("adam").put("/chat/reservations/r1", json!({ "guestName": "Gina" })).expect(200).await;
    assert_eq!(again.body.get("guestPhone"), None, "what is left out is removed");
    assert_eq!(again["createdAt"], new["createdAt"]);
    app.agent("anna").put("/chat/reservations/r1", json!({})).refused(403, "forbidden").await;
    app.agent("anna").get("/chat/reservations/absent").refused(404, "not_found").await;
}

#[tokio::test]
async fn a_phone_is_e164_or_refused() {
    let app = TestApp::ingest_only().await;
    let service = app.service("ota");
    for phone in [
        "0788887766",
        "+0788887766",
        "41791234599",
        "+41 78 888 77 66",
        "+4179",
        "+1234567890123456",
        "",
        "+417888x7766",
    ] {
        let reply = service
            .put("/chat/reservations/r1", json!({ "guestPhone": phone }))
            .refused(422, "unprocessable");
        let reply = reply.await;
        assert!(phone.len() < 8 || !reply.text.contains(phone), "{}", reply.text);
    }
    for impossible in ["+4179123", "+417912345678", "+120245611112", "+9991234567"] {
        let put = service.put("/chat/reservations/r1", json!({ "guestPhone": impossible }));
        let reply = put.refused(422, "unprocessable").await;
        assert!(reply.text.contains("cannot exist") && !reply.text.contains(impossible), "{}", reply.text);
    }
    service.put("/chat/reservations/r1", json!({ "guestPhone": Value::Null })).expect(201).await;
    service.put("/chat/reservations/r1", json!({ "guestPhone": "+41791234567" })).expect(200).await;
    for malformed in
        [json!({ "guestPhone": 7 }), json!({ "phone": "+41791234567" }), json!({ "guestUid": "a b" })]
    {
        service.put("/chat/reservations/r1", malformed).refused(400, "invalid_request").await;
    }
}

//! Verified identities: signed by the account's own servers, they bring a visitor back to its conversation.

use serde_json::json;
use tests::app::TestApp;

#[tokio::test]
async fn a_verified_identity_joins_its_conversation_from_any_device() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    let phone = app.widget_with(&issued, "phone", json!({ "identity": identity })).await;
    phone.say("from my phone").await;
    let laptop = app.widget_with(&issued, "laptop", json!({ "identity": identity })).await;
    assert_eq!((&laptop.conversation, &laptop.room), (&phone.conversation, &phone.room));
    assert_ne!(laptop.session, phone.session);
    let page = laptop.page("").expect(200).await;
    assert_eq!(page.each("messages", "is_mine"), [json!(true)]);
    phone.page("").expect(200).await;
    let other = TestApp::identity(&issued, "user-2", json!({}));
    let other = app.widget_with(&issued, "phone", json!({ "identity": other })).await;
    assert_ne!(other.conversation, phone.conversation);
}

#[tokio::test]
async fn a_bad_signature_is_401() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let another = app.support_token(json!({})).await;
    let good = TestApp::identity(&issued, "user-1", json!({}));
    let mut bad = vec![TestApp::identity(&another, "user-1", json!({}))];
    for (field, value) in [("id", "user-2"), ("signature", ""), ("signature", "zz"), ("signature", "00")] {
        let mut changed = good.clone();
        changed[field] = json!(value);
        bad.push(changed);
    }
    for identity in bad {
        let body = json!({ "support_token": issued["supportToken"], "device_id": "d", "identity": identity });
        app.open_session(body).desk_refused(401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn an_unknown_visitor_who_signs_in_keeps_its_conversation() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let visitor = app.widget_with(&issued, "device-1", json!({})).await;
    visitor.say("before I signed in").await;
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    let more = json!({ "identity": identity, "support_session": visitor.session });
    let known = app.widget_with(&issued, "device-1", more).await;
    assert_eq!((&known.conversation, &known.session), (&visitor.conversation, &visitor.session));
    let elsewhere = app.widget_with(&issued, "device-2", json!({ "identity": identity })).await;
    assert_eq!(elsewhere.conversation, visitor.conversation);
}

#[tokio::test]
async fn who_signs_in_as_somebody_with_a_conversation_gets_that_one() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    let first = app.widget_with(&issued, "device-1", json!({ "identity": identity })).await;
    let visitor = app.widget_with(&issued, "device-2", json!({})).await;
    let more = json!({ "identity": identity, "support_session": visitor.session });
    let joined = app.widget_with(&issued, "device-2", more).await;
    assert_eq!(joined.conversation, first.conversation);
    // Another person on the same browser does not inherit the conversation.
    let other = TestApp::identity(&issued, "user-2", json!({}));
    let more = json!({ "identity": other, "support_session": joined.session });
    let other = app.widget_with(&issued, "device-2", more).await;
    assert_ne!(other.conversation, first.conversation);
    other.changed(|w| w.room.clone_from(&first.room)).page("").desk_refused(404, "not_found").await;
}

#[tokio::test]
async fn an_identity_on_many_devices_at_once_has_one_conversation() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    let devices: Vec<String> = (0..8).map(|n| format!("device-{n}")).collect();
    let opened =
        devices.iter().map(|device| app.widget_with(&issued, device, json!({ "identity": identity })));
    let widgets = futures::future::join_all(opened).await;
    assert!(widgets.iter().all(|widget| widget.conversation == widgets[0].conversation));
}

#[tokio::test]
async fn what_an_identity_says_is_kept_and_shown_to_nobody_it_does_not_concern() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    app.must_not_be_logged("carla@example.com");
    let said = json!({ "name": "Carla\u{7} Kunde ", "email": "carla@example.com" });
    let identity = TestApp::identity(&issued, "user-1", said);
    let widget = app.widget_with(&issued, "device-1", json!({ "identity": identity })).await;
    widget.say("hi").await;
    let page = app.agent("anna").messages(&widget.room, "").await;
    assert_eq!(page["messages"][0]["author"]["name"], "Carla Kunde");
    let uid = shared::domain::Uid::parse(&widget.conversation).unwrap();
    let scope = app.store().account(&shared::domain::AccountId::parse("acme").unwrap());
    let customer = scope.customer(&uid).await.unwrap().unwrap();
    assert_eq!(
        (customer.name.as_deref(), customer.email.as_deref()),
        (Some("Carla Kunde"), Some("carla@example.com"))
    );
    assert_eq!(customer.room_id.as_str(), widget.room);
    assert!(!format!("{customer:?}").contains("arla"), "{customer:?}");
    let renamed = TestApp::identity(&issued, "user-1", json!({ "name": "Carla Neu" }));
    app.widget_with(&issued, "device-2", json!({ "identity": renamed })).await;
    let customer = scope.customer(&uid).await.unwrap().unwrap();
    assert_eq!(
        (customer.name.as_deref(), customer.email.as_deref()),
        (Some("Carla Neu"), Some("carla@example.com"))
    );
    let body = json!({
        "support_token": issued["supportToken"],
        "device_id": "d",
        "identity": TestApp::identity(&issued, "user-3", json!({ "email": "nobody" }))
    });
    app.open_session(body).desk_refused(422, "unprocessable").await;
}

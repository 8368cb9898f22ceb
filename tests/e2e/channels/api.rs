//! Setting channels: made, shown, replaced, listed and deleted by admins, in their own account.

use reqwest::Method;
use serde_json::json;
use shared::domain::actor::Role;
use shared::store::{AuditFilter, Outcome};
use tests::app::TestApp;

use super::rig::{
    ACCOUNT_SID, FROM, NUMBER, PATH, SECRETS, TOKEN, email, guest, setup, sms, watch, whatsapp,
    whatsapp_as_it_is,
};

#[tokio::test]
async fn a_channel_is_made_shown_replaced_and_deleted() {
    let app = setup().ingest_only().await;
    watch(&app);
    let adam = app.admin("adam");
    let one = format!("{PATH}/main");
    let made = adam.put(&one, whatsapp()).expect(201).await;
    assert_eq!((&made["channelId"], &made["kind"]), (&json!("main"), &json!("whatsapp")));
    assert_eq!(made["enabled"], true);
    let shown = json!({
        "phoneNumberId": NUMBER, "accessTokenSet": true, "appSecretSet": true, "verifyTokenSet": true,
        "fallbackToSms": false,
    });
    assert_eq!(made["whatsapp"], shown);
    assert_eq!(adam.get(&one).expect(200).await.body, made.body);
    let mut changed = whatsapp_as_it_is();
    changed["enabled"] = json!(false);
    changed["unknownPolicy"] = json!("resend_once");
    changed["whatsapp"]["fallbackToSms"] = json!(true);
    let replaced = adam.put(&one, changed).expect(200).await;
    assert_eq!((&replaced["enabled"], &replaced["unknownPolicy"]), (&json!(false), &json!("resend_once")));
    assert_eq!(replaced["whatsapp"]["fallbackToSms"], true);
    assert_eq!(replaced["createdAt"], made["createdAt"]);
    let again = adam.put(&one, whatsapp_as_it_is()).expect(200).await;
    assert_eq!(again.body.get("unknownPolicy"), None, "what is left out is removed");
    assert_eq!(adam.call(Method::DELETE, &one).expect(204).await.text, "");
    adam.get(&one).refused(404, "not_found").await;
    adam.call(Method::DELETE, &one).refused(404, "not_found").await;
    adam.put(&one, whatsapp_as_it_is()).refused(422, "unprocessable").await;
}

#[tokio::test]
async fn a_channel_of_each_kind_is_listed_in_the_order_of_the_ids() {
    let app = setup().ingest_only().await;
    let adam = app.admin("adam");
    let of_each = [
        ("d", whatsapp()),
        ("c", sms()),
        ("b", guest("https://guests.example/hook")),
        ("a", email("Acme <desk@acme.example>")),
    ];
    for (id, body) in of_each {
        adam.put(&format!("{PATH}/{id}"), body).expect(201).await;
    }
    let list = adam.get(PATH).expect(200).await;
    assert_eq!(list.each("channels", "channelId"), ["a", "b", "c", "d"].map(|id| json!(id)));
    let [of_mail, of_guests, of_sms] = [0, 1, 2].map(|n| list["channels"][n].clone());
    assert_eq!(of_mail["email"], json!({ "from": "Acme <desk@acme.example>" }));
    assert_eq!(of_guests["guest"], json!({ "url": "https://guests.example/hook", "secretSet": true }));
    assert_eq!(of_sms["sms"], json!({ "accountSid": ACCOUNT_SID, "from": FROM, "authTokenSet": true }));
    for secret in SECRETS {
        assert!(!list.text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn only_admins_deal_with_channels() {
    let app = setup().ingest_only().await;
    let one = format!("{PATH}/main");
    app.admin("adam").put(&one, whatsapp()).expect(201).await;
    for caller in [app.agent("anna"), app.service("ota"), app.guest("gina")] {
        caller.put(&one, whatsapp()).refused(403, "forbidden").await;
        caller.get(&one).refused(403, "forbidden").await;
        caller.get(PATH).refused(403, "forbidden").await;
        caller.call(Method::DELETE, &one).refused(403, "forbidden").await;
    }
    app.nobody().put(&one, whatsapp()).refused(401, "unauthenticated").await;
    app.nobody().get(PATH).refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn the_channels_of_another_account_are_not_there() {
    let app = setup().ingest_only().await;
    let (adam, foreign) = (app.admin("adam"), app.caller("globex", "adam", Role::Admin));
    let one = format!("{PATH}/main");
    adam.put(&one, whatsapp()).expect(201).await;
    foreign.get(&one).refused(404, "not_found").await;
    foreign.call(Method::DELETE, &one).refused(404, "not_found").await;
    assert!(foreign.get(PATH).expect(200).await.each("channels", "channelId").is_empty());
    // The same id is free, and what the other has set is not kept for it.
    foreign.put(&one, whatsapp_as_it_is()).refused(422, "unprocessable").await;
    foreign.put(&one, sms()).expect(201).await;
    assert_eq!(adam.get(&one).expect(200).await["kind"], "whatsapp");
}

#[tokio::test]
async fn an_account_has_at_most_50_channels() {
    let app = TestApp::ingest_only().await;
    let adam = app.admin("adam");
    let put = |n: usize| adam.put(&format!("{PATH}/c{n}"), email("desk@acme.example"));
    futures::future::join_all((0..49).map(|n| put(n).expect(201))).await;
    put(49).expect(201).await;
    put(50).refused(422, "unprocessable").await;
    put(7).expect(200).await;
    assert_eq!(adam.get(PATH).expect(200).await.each("channels", "channelId").len(), 50);
}

#[tokio::test]
async fn what_is_done_to_channels_is_in_the_audit_trail_without_secrets() {
    let app = setup().ingest_only().await;
    let (adam, one) = (app.admin("adam"), format!("{PATH}/main"));
    adam.put(&one, whatsapp()).expect(201).await;
    adam.put(&one, json!({ "kind": "email", "email": { "from": "nobody" } }))
        .refused(422, "unprocessable")
        .await;
    adam.call(Method::DELETE, &one).expect(204).await;
    adam.call(Method::DELETE, &one).refused(404, "not_found").await;
    let filter = AuditFilter { target_id: Some("main".to_owned()), limit: 10, ..AuditFilter::default() };
    let rows = app.store().audit().find(&filter).await.unwrap();
    let mut told: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.outcome)).collect();
    told.sort_by_key(|(action, outcome)| (*action, *outcome == Outcome::Failure));
    let (done, refused) = (Outcome::Success, Outcome::Failure);
    let [put, delete] = ["channel.put", "channel.delete"];
    assert_eq!(told, [(delete, done), (delete, refused), (put, done), (put, refused)]);
    assert!(!format!("{rows:?}").contains(TOKEN));
    let forbidden = app.agent("anna").put(&one, whatsapp()).refused(403, "forbidden").await;
    let row = app.audit_of_request(forbidden.header("x-request-id")).await.remove(0);
    assert_eq!((row.action.as_str(), row.outcome), ("channel.put", Outcome::Failure));
}

#[tokio::test]
async fn two_admins_at_once_leave_one_whole_channel() {
    let app = setup().ingest_only().await;
    let one = format!("{PATH}/main");
    let admins = ["adam", "bea", "cleo"].map(|uid| app.admin(uid));
    let puts = admins.iter().map(|admin| admin.put(&one, whatsapp()).send());
    let statuses: Vec<u16> = futures::future::join_all(puts).await.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}");
    assert_eq!(app.admin("adam").get(PATH).expect(200).await.each("channels", "channelId").len(), 1);
}

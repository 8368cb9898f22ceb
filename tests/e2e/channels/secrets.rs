//! Secrets at rest: nowhere in the database in clear, in no answer, kept where a change says nothing of them.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use serde_json::json;
use tests::app::TestApp;

use super::rig::{
    NUMBER, PATH, SECRETS, guest, post, sender_of, setup, sms, watch, whatsapp, whatsapp_as_it_is,
};

/// Everything that is stored, as text.
async fn everything(app: &TestApp) -> String {
    let db = app.store().raw();
    let mut all = String::new();
    for name in db.list_collection_names().await.unwrap() {
        let found = db.collection::<Document>(&name).find(doc! {}).await.unwrap();
        let documents: Vec<Document> = found.try_collect().await.unwrap();
        all += &documents.iter().map(ToString::to_string).collect::<String>();
    }
    all
}

#[tokio::test]
async fn no_secret_stands_anywhere_in_the_database_or_in_an_answer() {
    let app = setup().without_search().await;
    watch(&app);
    let adam = app.admin("adam");
    let mut answers = String::new();
    for (id, body) in [("w", whatsapp()), ("s", sms()), ("g", guest(&app.simulator.guest_url()))] {
        let path = format!("{PATH}/{id}");
        answers += &adam.put(&path, body.clone()).expect(201).await.text;
        answers += &adam.put(&path, body).expect(200).await.text;
        answers += &adam.get(&path).expect(200).await.text;
    }
    answers += &adam.get(PATH).expect(200).await.text;
    let thread = app.whatsapp_thread("+41790000001").await;
    post(&app, &thread, "whatsapp-message", "hello").await;
    assert_eq!(sender_of(&app, "hello").await, NUMBER);
    let stored = everything(&app).await;
    assert!(stored.contains(NUMBER), "it is the right database");
    for secret in SECRETS {
        assert!(!stored.contains(secret) && !answers.contains(secret), "{secret}");
        let body = secret.strip_prefix("whsec_").unwrap_or(secret);
        assert!(!stored.contains(body), "{body}");
    }
}

#[tokio::test]
async fn what_is_copied_to_another_account_does_not_open_there() {
    let app = setup().without_search().await;
    app.admin("adam").put(&format!("{PATH}/main"), whatsapp()).expect(201).await;
    let channels = app.store().raw().collection::<Document>("channels");
    let mut copy = channels.find_one(doc! { "_id": "acme/main" }).await.unwrap().unwrap();
    copy.extend(doc! { "_id": "globex/main", "accountId": "globex" });
    channels.insert_one(copy).await.unwrap();
    let book = shared::channels::ChannelBook::open(app.config(), app.store());
    let lines = book.whatsapp_by_number(NUMBER).await.unwrap();
    assert_eq!(lines.len(), 1, "the owner's only");
    let globex = shared::domain::ids::AccountId::parse("globex").unwrap();
    assert!(book.whatsapp(&globex).await.unwrap().is_none(), "nor by the default number instead");
    assert!(!lines[0].owner.serves(&globex));
}

#[tokio::test]
async fn a_put_without_a_secret_keeps_the_one_that_is_stored() {
    let app = setup().without_search().await;
    watch(&app);
    let (adam, one) = (app.admin("adam"), format!("{PATH}/main"));
    adam.put(&one, whatsapp()).expect(201).await;
    let mut changed = whatsapp_as_it_is();
    changed["whatsapp"]["fallbackToSms"] = json!(true);
    changed["whatsapp"]["businessAccountId"] = json!("102290129340398");
    let reply = adam.put(&one, changed).expect(200).await;
    assert_eq!(reply["whatsapp"]["accessTokenSet"], true);
    let thread = app.whatsapp_thread("+41790000001").await;
    post(&app, &thread, "whatsapp-message", "still by the own token").await;
    assert_eq!(sender_of(&app, "still by the own token").await, NUMBER);
    let book = shared::channels::ChannelBook::open(app.config(), app.store());
    let acme = shared::domain::ids::AccountId::parse("acme").unwrap();
    let line = book.whatsapp(&acme).await.unwrap().unwrap();
    assert!(line.fallback_to_sms);
    assert_eq!(line.business_account_id.as_deref(), Some("102290129340398"));
}

#[tokio::test]
async fn an_identity_secret_is_sealed_and_still_verifies() {
    let app = setup().ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let secret = issued["identitySecret"].as_str().unwrap();
    app.must_not_be_logged(secret);
    assert!(!everything(&app).await.contains(secret));
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    app.widget_with(&issued, "device-1", json!({ "identity": identity })).await;
    let rotate = format!("/chat/support-tokens/{}/rotate", issued["tokenId"].as_str().unwrap());
    let next = app.admin("adam").post(&rotate, json!({ "graceSeconds": 600 })).expect(200).await.body;
    assert!(!everything(&app).await.contains(next["identitySecret"].as_str().unwrap()));
    for signer in [&issued, &next] {
        let identity = TestApp::identity(signer, "user-1", json!({}));
        app.widget_with(&next, "device-2", json!({ "identity": identity })).await;
    }
    let forged = TestApp::identity(&json!({ "identitySecret": "si_forged" }), "user-1", json!({}));
    let body = json!({ "support_token": next["supportToken"], "device_id": "d", "identity": forged });
    app.open_session(body).desk_refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn an_identity_secret_from_before_there_was_a_key_still_verifies() {
    let app = setup().ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let tokens = app.store().raw().collection::<Document>("supportTokens");
    let readable = doc! { "$set": { "identitySecret": issued["identitySecret"].as_str().unwrap() } };
    tokens.update_one(doc! {}, readable).await.unwrap();
    let identity = TestApp::identity(&issued, "user-1", json!({}));
    app.widget_with(&issued, "device-1", json!({ "identity": identity })).await;
}

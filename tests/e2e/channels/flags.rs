//! A channel whose credentials are refused is flagged, once, until they are changed.

use serde_json::json;
use shared::channels::{ChannelBook, Flagging, WhatsappLine};
use shared::domain::ids::AccountId;
use shared::store::Outcome;
use std::sync::Arc;
use tests::app::TestApp;

use super::rig::{PATH, setup, watch, whatsapp, whatsapp_as_it_is};

fn book(app: &TestApp) -> ChannelBook {
    ChannelBook::open(app.config(), app.store())
}

async fn line(book: &ChannelBook) -> Arc<WhatsappLine> {
    let acme = AccountId::parse("acme").unwrap();
    book.whatsapp(&acme).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_refused_token_flags_its_channel_once_and_says_so_in_the_trail() {
    let app = setup().ingest_only().await;
    watch(&app);
    let (adam, one) = (app.admin("adam"), format!("{PATH}/main"));
    adam.put(&one, whatsapp()).expect(201).await;
    let book = book(&app);
    let line_before = line(&book).await;
    assert!(!line_before.owner.is_flagged());
    let flag = || book.flag(&line_before.owner, "needs_operator", Some("190"));
    assert_eq!(flag().await.unwrap(), Flagging::New);
    assert_eq!(flag().await.unwrap(), Flagging::Known);
    let shown = adam.get(&one).expect(200).await;
    assert_eq!(
        (&shown["flag"]["reason"], &shown["flag"]["providerErrorCode"]),
        (&json!("needs_operator"), &json!("190"))
    );
    assert!(shown["flag"]["since"].as_str().unwrap().ends_with('Z'));
    assert!(line(&book).await.owner.is_flagged());
    let rows = app.audit_rows("channel.flag", "main").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].subject.actor_id.as_str(), rows[0].outcome), ("system", Outcome::Success));
    assert!(app.metrics().await.contains("channel_flagged_total{owner=\"account\"}"));
    let list = adam.get(PATH).expect(200).await;
    assert_eq!(list["channels"][0]["flag"]["providerErrorCode"], "190");
}

#[tokio::test]
async fn many_refusals_at_once_make_one_flag() {
    let app = setup().ingest_only().await;
    app.admin("adam").put(&format!("{PATH}/main"), whatsapp()).expect(201).await;
    let book = book(&app);
    let owner = line(&book).await.owner.clone();
    let flags = (0..8).map(|_| book.flag(&owner, "needs_operator", Some("190")));
    let told: Vec<Flagging> =
        futures::future::join_all(flags).await.into_iter().map(|told| told.unwrap()).collect();
    assert_eq!(told.iter().filter(|told| **told == Flagging::New).count(), 1, "{told:?}");
    assert!(told.iter().all(|told| [Flagging::New, Flagging::Known].contains(told)), "{told:?}");
    assert_eq!(app.audit_rows("channel.flag", "main").await.len(), 1);
}

#[tokio::test]
async fn new_credentials_clear_the_flag_and_other_changes_do_not() {
    let app = setup().ingest_only().await;
    let (adam, one) = (app.admin("adam"), format!("{PATH}/main"));
    adam.put(&one, whatsapp()).expect(201).await;
    let book = book(&app);
    let refused = line(&book).await.owner.clone();
    book.flag(&refused, "needs_operator", Some("190")).await.unwrap();
    let mut wish = whatsapp_as_it_is();
    wish["whatsapp"]["fallbackToSms"] = json!(true);
    let kept = adam.put(&one, wish).expect(200).await;
    assert_eq!(kept["flag"]["providerErrorCode"], "190");
    assert!(line(&book).await.owner.is_flagged());
    let repaired = adam.put(&one, whatsapp()).expect(200).await;
    assert_eq!(repaired.body.get("flag"), None);
    // A refusal of what was used before says nothing of the new ones.
    let late = book.flag(&refused, "needs_operator", Some("190")).await.unwrap();
    assert_eq!(late, Flagging::Outdated);
    assert_eq!(adam.get(&one).expect(200).await.body.get("flag"), None);
    assert!(!line(&book).await.owner.is_flagged(), "a flag is never answered from what was kept");
    adam.call(reqwest::Method::DELETE, &one).expect(204).await;
    let gone = book.flag(&refused, "needs_operator", None).await.unwrap();
    assert_eq!(gone, Flagging::Outdated);
}

#[tokio::test]
async fn a_default_channel_has_nothing_to_flag() {
    let app = setup().ingest_only().await;
    let book = book(&app);
    let default = line(&book).await.owner.clone();
    assert_eq!(default.account, None);
    assert_eq!(book.flag(&default, "needs_operator", Some("190")).await.unwrap(), Flagging::Default);
    assert!(app.metrics().await.contains("channel_flagged_total{owner=\"default\"}"));
}

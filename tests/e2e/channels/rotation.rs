//! Changing `secrets_key`: everything is sealed anew by the command, while others write, and the old key may go.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use shared::config::{Keys, Secret};
use shared::secrets::Vault;
use shared::secrets::rotation::rotate;
use shared::store::AccountChannel;
use tests::app::{Programs, TestApp};
use tests::simulator::{DEV_ACCESS_TOKEN, DEV_PHONE_NUMBER_ID};
use tokio_util::sync::CancellationToken;

use super::rig::{KEY, NEXT_KEY, PATH, TOKEN, setup, whatsapp};

fn vault(current: &str, old: &[&str]) -> Vault {
    let key = |text: &str| text.parse().unwrap();
    Vault::new(&Keys { current: Some(key(current)), old: old.iter().map(|text| key(text)).collect() })
}

/// The names of the keys under which anything is sealed.
async fn kids(store: &shared::store::Store) -> Vec<String> {
    let mut kids = Vec::new();
    for name in ["channels", "supportTokens"] {
        let found = store.raw().collection::<Document>(name).find(doc! {}).await.unwrap();
        let documents: Vec<Document> = found.try_collect().await.unwrap();
        let text: String = documents.iter().map(ToString::to_string).collect();
        kids.extend(text.split("\"kid\": \"").skip(1).map(|rest| rest[..16].to_owned()));
    }
    kids.sort();
    kids.dedup();
    kids
}

async fn rotated(programs: &Programs) -> (bool, Value) {
    let output = programs.command(&["rotate-secrets", "--json"], None).await;
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(!out.contains(DEV_ACCESS_TOKEN));
    (output.status.success(), serde_json::from_str(&out).unwrap_or(Value::Null))
}

#[tokio::test]
async fn after_the_command_the_old_key_can_be_removed() {
    let mut programs = Programs::new(&[("BELLHOP_SECRETS_KEY", KEY)]).await;
    // The only number is the account's own.
    for name in ["PHONE_NUMBER_ID", "ACCESS_TOKEN", "APP_SECRET", "VERIFY_TOKEN"] {
        programs.set(&format!("BELLHOP_WHATSAPP__{name}"), "");
    }
    programs.start_ingest(None).await;
    let mut body = whatsapp();
    body["whatsapp"]["phoneNumberId"] = json!(DEV_PHONE_NUMBER_ID);
    body["whatsapp"]["accessToken"] = json!(DEV_ACCESS_TOKEN);
    programs.call("PUT", &format!("{PATH}/main"), &body).await;
    programs.call("POST", "/chat/support-tokens", &json!({})).await;
    let thread = programs.whatsapp_thread("+41790000001").await;
    assert_eq!(kids(programs.store()).await.len(), 1);
    let before = kids(programs.store()).await;

    let refused = programs.command(&["rotate-secrets"], None).await;
    assert!(refused.status.success(), "nothing to do is done");
    programs.set("BELLHOP_SECRETS_KEY", NEXT_KEY);
    let (clean, done) = rotated(&programs).await;
    assert!(!clean, "the old key is not configured");
    assert_eq!((&done["channels"]["unreadable"], &done["channels"]["sealed"]), (&json!(1), &json!(0)));
    assert_eq!(kids(programs.store()).await, before, "what does not open is left as it is");

    programs.set("BELLHOP_SECRETS_KEYS_OLD", KEY);
    let (clean, done) = rotated(&programs).await;
    assert!(clean, "{done}");
    assert_eq!((&done["channels"]["sealed"], &done["supportTokens"]["sealed"]), (&json!(3), &json!(1)));
    let after = kids(programs.store()).await;
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    let (clean, done) = rotated(&programs).await;
    assert!(clean);
    assert_eq!(done["channels"], json!({ "seen": 1, "sealed": 0, "unreadable": 0, "overtaken": 0 }));

    programs.set("BELLHOP_SECRETS_KEYS_OLD", "");
    programs.start_workers(None).await;
    programs.post_stubbornly(&thread, "m1").await;
    programs.until("the message", async |p| p.simulator.accepted_count() == 1).await;
    assert_eq!(programs.simulator.accepted()[0].from, DEV_PHONE_NUMBER_ID);
}

#[tokio::test]
async fn without_a_key_there_is_nothing_to_rotate_to() {
    let programs = Programs::new(&[]).await;
    let output = programs.command(&["rotate-secrets"], None).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no secrets_key is configured"));
}

#[tokio::test]
async fn what_others_write_meanwhile_is_neither_lost_nor_left_under_the_old_key() {
    let app = setup().ingest_only().await;
    let adam = app.admin("adam");
    for n in 0..10 {
        adam.put(&format!("{PATH}/c{n}"), whatsapp()).expect(201).await;
    }
    // This ingest seals with the old key, as one that was not restarted yet.
    let vault = vault(NEXT_KEY, &[KEY]);
    let (stop, store) = (CancellationToken::new(), app.store());
    let writes = async {
        for n in 0..30 {
            let mut body = whatsapp();
            body["whatsapp"]["accessToken"] = json!(format!("{TOKEN}-{n}"));
            body["whatsapp"]["fallbackToSms"] = json!(true);
            adam.put(&format!("{PATH}/c{}", n % 10), body).expect(200).await;
        }
    };
    let rotations = async {
        for _ in 0..6 {
            rotate(store, &vault, &stop, |_| {}).await.unwrap();
        }
    };
    tokio::join!(writes, rotations);
    let done = rotate(store, &vault, &stop, |_| {}).await.unwrap();
    assert!(done.is_clean() && done.channels.seen == 10, "{done:?}");
    assert_eq!(kids(store).await.len(), 1);
    let channels = store.raw().collection::<AccountChannel>("channels");
    let stored: Vec<AccountChannel> =
        channels.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap().try_collect().await.unwrap();
    for (n, channel) in stored.into_iter().enumerate() {
        let mut settings = channel.settings;
        let (field, sealed) = settings.secrets_mut().remove(0);
        let place = AccountChannel::place(&channel.account_id, &channel.channel_id, field);
        let token: Secret = vault.open(place, sealed).unwrap();
        assert_eq!(token.expose(), format!("{TOKEN}-{}", 20 + n), "the last write stays");
    }
}

#[tokio::test]
async fn a_rotation_that_is_stopped_goes_on_when_it_is_run_again() {
    let app = setup().ingest_only().await;
    app.admin("adam").put(&format!("{PATH}/main"), whatsapp()).expect(201).await;
    let issued = app.support_token(json!({})).await;
    let vault = vault(NEXT_KEY, &[KEY]);
    let stop = CancellationToken::new();
    let half = rotate(app.store(), &vault, &stop, |_| stop.cancel()).await.unwrap();
    assert!(!half.complete && half.channels.sealed == 3 && half.support_tokens.seen == 0, "{half:?}");
    let rest = rotate(app.store(), &vault, &CancellationToken::new(), |_| {}).await.unwrap();
    assert!(rest.is_clean() && rest.channels.sealed == 0 && rest.support_tokens.sealed == 1, "{rest:?}");
    assert!(issued["identitySecret"].is_string());
}

#[tokio::test]
async fn a_readable_identity_secret_is_sealed_by_the_rotation() {
    let app = TestApp::ingest_only().await;
    let issued = app.support_token(json!({})).await;
    let rotate_token = format!("/chat/support-tokens/{}/rotate", issued["tokenId"].as_str().unwrap());
    app.admin("adam").post(&rotate_token, json!({ "graceSeconds": 600 })).expect(200).await;
    assert!(kids(app.store()).await.is_empty(), "without a key it is readable");
    let done = rotate(app.store(), &vault(KEY, &[]), &CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!(done.support_tokens.sealed, 2, "that before the rotation too");
    assert_eq!(kids(app.store()).await.len(), 1);
}

//! News about many messages at once: they share a command, and each message tells its own story.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use shared::domain::delivery::{Delivery, DeliveryState, News};
use shared::domain::ids::AccountId;
use shared::domain::time::Time;
use shared::store::Scope;
use tests::app::TestApp;

/// Keys of `count` WhatsApp messages that nobody sends, and the account's part of the store.
async fn waiting(app: &TestApp, count: usize) -> (Vec<String>, Scope) {
    let thread = app.whatsapp_thread("+41796660001").await;
    let anna = app.agent("anna");
    let mut keys = Vec::new();
    for _ in 0..count {
        let body = json!({ "body": "hello", "type": "whatsapp-message" });
        let posted = anna.post_message(&thread, body).await;
        keys.push(format!("{}/{}", anna.account(), posted["messageId"].as_str().expect("an id")));
    }
    (keys, app.store().account(&AccountId::parse(anna.account()).expect("an account")))
}

fn news(state: DeliveryState) -> News {
    News::new(1, state, Time::now())
}

async fn shown(scope: &Scope, key: &str) -> (Delivery, Option<String>) {
    let message = scope.message_by_key(key).await.expect("read").expect("stored");
    (message.delivery.expect("a delivery"), message.external_message_id)
}

#[tokio::test]
async fn news_of_many_messages_at_once_reach_each_with_its_own_id() {
    let app = TestApp::ingest_only().await;
    let (keys, scope) = waiting(&app, 12).await;
    let sent = news(DeliveryState::Sent);
    let ids: Vec<String> = (0..keys.len()).map(|n| format!("wamid.{n}")).collect();
    let told = keys.iter().zip(&ids).map(|(key, id)| scope.deliver(key, &sent, Some(id)));
    for told in join_all(told).await {
        assert_eq!(told.expect("written").expect("news").state, DeliveryState::Sent);
    }
    for (key, id) in keys.iter().zip(&ids) {
        let (delivery, external) = shown(&scope, key).await;
        assert_eq!((delivery.state, delivery.sent_at.is_some()), (DeliveryState::Sent, true));
        assert_eq!(external.as_ref(), Some(id));
    }
}

#[tokio::test]
async fn late_and_repeated_news_in_a_crowd_change_nothing_and_say_so() {
    let app = TestApp::ingest_only().await;
    let (keys, scope) = waiting(&app, 6).await;
    for key in keys.iter().step_by(2) {
        scope.deliver(key, &news(DeliveryState::Delivered), None).await.expect("written").expect("news");
    }
    let sent = news(DeliveryState::Sent);
    let told = join_all(keys.iter().map(|key| scope.deliver(key, &sent, None))).await;
    let applied: Vec<bool> = told.into_iter().map(|told| told.expect("asked").is_some()).collect();
    assert_eq!(applied, [false, true, false, true, false, true]);
    assert_eq!(shown(&scope, &keys[0]).await.0.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn of_rivals_for_one_message_each_state_is_told_once_and_the_highest_stays() {
    let app = TestApp::ingest_only().await;
    let (keys, scope) = waiting(&app, 3).await;
    let states = [DeliveryState::Sent, DeliveryState::Read, DeliveryState::Delivered, DeliveryState::Sent];
    let all: Vec<(&String, News)> =
        keys.iter().flat_map(|key| states.map(|state| (key, news(state)))).collect();
    let told = join_all(all.iter().map(|(key, news)| scope.deliver(key, news, None))).await;
    for key in &keys {
        let applied: Vec<DeliveryState> = all
            .iter()
            .zip(&told)
            .filter(|((of, _), _)| *of == key)
            .filter_map(|(_, told)| told.as_ref().expect("asked").as_ref().map(|d| d.state))
            .collect();
        let once: BTreeSet<&str> = applied.iter().map(|state| state.as_str()).collect();
        assert_eq!(once.len(), applied.len(), "{applied:?}");
        assert!(applied.contains(&DeliveryState::Read));
        assert_eq!(shown(&scope, key).await.0.state, DeliveryState::Read);
    }
}

#[tokio::test]
async fn an_id_that_the_provider_gave_twice_stays_with_one_message_and_both_are_sent() {
    let app = TestApp::ingest_only().await;
    let (keys, scope) = waiting(&app, 4).await;
    let sent = news(DeliveryState::Sent);
    let ids = ["wamid.a", "wamid.twin", "wamid.twin", "wamid.d"];
    let told = keys.iter().zip(ids).map(|(key, id)| scope.deliver(key, &sent, Some(id)));
    for told in join_all(told).await {
        assert_eq!(told.expect("written").expect("news").state, DeliveryState::Sent);
    }
    let mut kept = Vec::new();
    for key in &keys {
        let (delivery, external) = shown(&scope, key).await;
        assert_eq!(delivery.state, DeliveryState::Sent);
        kept.extend(external);
    }
    kept.sort();
    assert_eq!(kept, ["wamid.a", "wamid.d", "wamid.twin"]);
}

//! Making indices: twice, at once, and again when they vanish.

use shared::search::{HealthStatus, IndexKind, Indexed, SearchDown};
use tests::servers::elasticsearch::shared_url;

use super::fixture::{found, fresh_index, message, store, thread, with_index};

async fn asked(method: reqwest::Method, path: &str, body: Option<&str>) -> serde_json::Value {
    let mut request = reqwest::Client::new().request(method, format!("{}/{path}", shared_url()));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let answer = request.send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn making_the_indices_again_changes_nothing() {
    with_index(async |index| {
        store(index, vec![message("m1", "kept").into()]).await;
        assert_eq!(index.ensure().await, Ok(vec![]));
        assert_eq!(found(index, "kept").await, ["t1"]);
        let health = index.health().await.expect("health");
        assert!(health.indices_ready && health.status != HealthStatus::Red, "{health:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_make_them_once() {
    let first = fresh_index();
    assert!(!first.health().await.expect("health").indices_ready);
    // A handle of its own for each, as processes have: no lock is shared.
    let handles = (0..10).map(|_| {
        let prefix = first.alias(IndexKind::Threads).trim_end_matches("threads").to_owned();
        shared::search::SearchIndex::new(&shared_url(), &prefix)
            .expect("a handle")
            .with_settings(super::fixture::settings())
    });
    let made = futures::future::join_all(handles.map(|index| async move { index.ensure().await })).await;
    let made: Vec<IndexKind> = made.into_iter().flat_map(|made| made.expect("made")).collect();
    first.drop_all().await.expect("dropped");
    assert_eq!(made.iter().filter(|kind| **kind == IndexKind::Threads).count(), 1, "{made:?}");
    assert_eq!(made.iter().filter(|kind| **kind == IndexKind::Messages).count(), 1, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_deleted_under_us_is_made_again_by_the_next_write() {
    with_index(async |index| {
        index.drop_all().await.expect("deleted");
        let outcomes = index.bulk(&[message("m1", "after the loss").into()]).await;
        assert_eq!(outcomes, Ok(vec![Ok(Indexed::Stored)]));
        index.refresh().await.expect("refreshed");
        assert_eq!(found(index, "loss").await, ["t1"]);
        let aliases =
            asked(reqwest::Method::GET, &format!("_alias/{}", index.alias(IndexKind::Messages)), None).await;
        assert_eq!(aliases.as_object().map(serde_json::Map::len), Some(1), "{aliases}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_after_a_loss_finds_nothing_and_does_not_fail() {
    with_index(async |index| {
        index.drop_all().await.expect("deleted");
        assert_eq!(found(index, "anything").await, [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_alias_is_put_back_on_the_index_that_is_there() {
    with_index(async |index| {
        store(index, vec![message("m1", "still here").into()]).await;
        let alias = index.alias(IndexKind::Messages);
        asked(reqwest::Method::DELETE, &format!("{alias}-000001/_alias/{alias}"), None).await;
        assert!(!index.health().await.expect("health").indices_ready);
        store(index, vec![message("m2", "and this").into()]).await;
        assert_eq!(index.count("a", IndexKind::Messages).await, Ok(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_an_older_program_did_not_map_is_added() {
    let index = fresh_index();
    let alias = index.alias(IndexKind::Threads);
    let old = format!(
        r#"{{"aliases":{{"{alias}":{{}}}},"settings":{{"number_of_replicas":0}},"mappings":{{"dynamic":"strict",
            "_routing":{{"required":true}},"_source":{{"excludes":["text","ids","lastMessage","lastPublicMessage"]}},
            "properties":{{"accountId":{{"type":"keyword"}}}}}}}}"#
    );
    asked(reqwest::Method::PUT, &format!("{alias}-000001"), Some(&old)).await;
    let outcomes = index.bulk(&[thread("t1", "new fields").into()]).await;
    index.drop_all().await.expect("dropped");
    assert_eq!(outcomes, Ok(vec![Ok(Indexed::Stored)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_in_the_place_of_the_alias_is_left_alone_and_reported() {
    let index = fresh_index();
    let name = index.alias(IndexKind::Threads);
    asked(reqwest::Method::PUT, &name, Some(r#"{"settings":{"number_of_replicas":0}}"#)).await;
    let ensured = index.ensure().await;
    let written = index.bulk(&[thread("t1", "x").into()]).await;
    asked(reqwest::Method::DELETE, &name, None).await;
    index.drop_all().await.expect("dropped");
    assert!(matches!(ensured, Err(SearchDown::Misplaced { .. })), "{ensured:?}");
    assert!(matches!(written, Err(SearchDown::Misplaced { .. })), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_leaves_a_longer_prefix_alone() {
    with_index(async |index| {
        let longer = format!("{}-x-", index.alias(IndexKind::Threads));
        let other = shared::search::SearchIndex::new(&shared_url(), &longer).expect("a handle");
        let other = other.with_settings(super::fixture::settings());
        other.ensure().await.expect("made");
        index.drop_all().await.expect("dropped");
        let ready = other.health().await.expect("health").indices_ready;
        other.drop_all().await.expect("dropped");
        assert!(ready);
    })
    .await;
}

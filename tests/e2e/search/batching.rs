//! The micro-batcher: few bulks for many callers, a result for each.

use std::time::Duration;

use futures::future::join_all;
use shared::search::{
    BatchLimits, Batcher, IndexError, IndexKind, IndexSettings, Indexed, SearchDown, SearchIndex,
};

use super::fixture::{found, message, settings, with_index};
use super::outage::CountingProxy;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_share_a_few_bulks() {
    with_index(async |index| {
        let proxy = CountingProxy::start().await;
        let behind = proxy.index_like(index);
        let batcher = Batcher::start(behind, BatchLimits::default());
        let outcomes = join_all((0..1_000).map(|n| {
            let batcher = batcher.clone();
            async move { batcher.submit(message(&format!("m{n}"), "batched")).await }
        }))
        .await;
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(Indexed::Stored)));
        let bulks = proxy.requests("/_bulk");
        assert!((1..=20).contains(&bulks), "{bulks} bulks");
        index.refresh().await.expect("refreshed");
        assert_eq!(index.count("a", IndexKind::Messages).await, Ok(1_000));
        batcher.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_versions_the_newest_is_stored_and_all_callers_are_answered() {
    with_index(async |index| {
        let batcher = Batcher::start(index.clone(), BatchLimits::default());
        let versions = [3_u64, 7, 1, 7, 5].map(|rev| {
            let mut doc = message("m1", &format!("version{rev}"));
            doc.rev = rev;
            batcher.submit(doc)
        });
        let outcomes = join_all(versions).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!((&outcomes[1], &outcomes[3]), (&Ok(Indexed::Stored), &Ok(Indexed::Stored)));
        index.refresh().await.expect("refreshed");
        assert_eq!(found(index, "version7").await, ["t1"]);
        batcher.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_is_told_to_its_caller_alone() {
    with_index(async |index| {
        let batcher = Batcher::start(index.clone(), BatchLimits::default());
        let submitted = (0..50).map(|n| {
            let mut doc = message(&format!("m{n}"), "some words");
            if n == 17 {
                doc.author_id = "x".repeat(40_000);
            }
            batcher.submit(doc)
        });
        let outcomes = join_all(submitted).await;
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.as_ref().is_err_and(IndexError::is_permanent), n == 17, "{n}: {outcome:?}");
            assert_eq!(outcome.is_ok(), n != 17, "{n}: {outcome:?}");
        }
        batcher.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_writes_what_waits_and_refuses_what_comes_later() {
    with_index(async |index| {
        let batcher = Batcher::start(
            index.clone(),
            BatchLimits { docs_max: 10, waiting_max: 10, ..BatchLimits::default() },
        );
        let callers: Vec<_> = (0..200)
            .map(|n| {
                let batcher = batcher.clone();
                shared::task::spawn(
                    "submit",
                    async move { batcher.submit(message(&format!("m{n}"), "x")).await },
                )
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(30)).await;
        batcher.close().await;
        assert_eq!(batcher.submit(message("late", "x")).await, Err(IndexError::Closed));
        let outcomes: Vec<_> =
            join_all(callers).await.into_iter().map(|joined| joined.expect("no panic")).collect();
        let stored = outcomes.iter().filter(|outcome| **outcome == Ok(Indexed::Stored)).count();
        let closed = outcomes.iter().filter(|outcome| **outcome == Err(IndexError::Closed)).count();
        assert_eq!(stored + closed, 200, "{outcomes:?}");
        index.refresh().await.expect("refreshed");
        assert_eq!(index.count("a", IndexKind::Messages).await, Ok(stored as u64));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_elasticsearch_away_every_caller_is_told_at_once() {
    let away = SearchIndex::new("http://127.0.0.1:9", "t-").expect("a handle");
    let batcher = Batcher::start(away.with_settings(IndexSettings { ..settings() }), BatchLimits::default());
    let told = join_all((0..100).map(|n| batcher.submit(message(&format!("m{n}"), "x"))));
    let outcomes = tokio::time::timeout(Duration::from_secs(5), told).await.expect("at once");
    assert!(
        outcomes.iter().all(|outcome| *outcome == Err(IndexError::Down(SearchDown::Unreachable))),
        "{outcomes:?}"
    );
    batcher.close().await;
}

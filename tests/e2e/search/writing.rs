//! Bulks: one result for each document, versions, bad documents, bounds.

use chrono::{TimeZone, Utc};
use shared::search::{IndexError, IndexKind, IndexOp, Indexed};

use super::fixture::{found, message, store, thread, with_index};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_or_repeated_document_never_replaces_a_newer_one() {
    with_index(async |index| {
        let revised = |rev: u64, body: &str| {
            let mut doc = message("m1", body);
            doc.rev = rev;
            IndexOp::from(doc)
        };
        assert_eq!(index.bulk(&[revised(3, "third")]).await, Ok(vec![Ok(Indexed::Stored)]));
        assert_eq!(index.bulk(&[revised(2, "second")]).await, Ok(vec![Ok(Indexed::Stale)]));
        assert_eq!(index.bulk(&[revised(3, "third")]).await, Ok(vec![Ok(Indexed::Stored)]));
        // Several of one document in one bulk are settled in their order.
        let outcomes = index.bulk(&[revised(5, "fifth"), revised(4, "fourth")]).await;
        assert_eq!(outcomes, Ok(vec![Ok(Indexed::Stored), Ok(Indexed::Stale)]));
        index.refresh().await.expect("refreshed");
        assert_eq!(found(index, "fifth").await, ["t1"]);
        assert_eq!(found(index, "third").await, [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_documents_fail_alone_and_their_errors_do_not_quote_them() {
    with_index(async |index| {
        let mut immense = message("immense", "x");
        immense.author_id = "hunter2".repeat(6_000);
        let mut timeless = message("timeless", "hunter2");
        timeless.created_at = Utc.with_ymd_and_hms(12_345, 1, 1, 0, 0, 0).single().expect("a time");
        let mut long_id = message(&"hunter2".repeat(100), "x");
        long_id.rev = 1;
        let mut no_account = thread("t9", "x");
        no_account.account_id.clear();
        let mut huge_version = message("huge", "x");
        huge_version.rev = u64::MAX;
        let ops: Vec<IndexOp> = vec![
            message("m1", "good one").into(),
            immense.into(),
            timeless.into(),
            long_id.into(),
            no_account.into(),
            huge_version.into(),
            thread("t1", "good two").into(),
        ];
        let outcomes = index.bulk(&ops).await.expect("elasticsearch");
        index.refresh().await.expect("refreshed");
        assert_eq!((&outcomes[0], &outcomes[6]), (&Ok(Indexed::Stored), &Ok(Indexed::Stored)));
        for bad in &outcomes[1..6] {
            let error = bad.as_ref().expect_err("a bad document");
            assert!(error.is_permanent(), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(matches!(&outcomes[2], Err(IndexError::Permanent { field: Some(field), .. }) if field == "createdAt"));
        assert_eq!(index.count("a", IndexKind::Messages).await, Ok(1));
        assert_eq!(index.count("a", IndexKind::Threads).await, Ok(1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_documents_goes_in_bounded_requests() {
    with_index(async |index| {
        let long = "word ".repeat(6_000);
        let ops: Vec<IndexOp> = (0..1_200)
            .map(|n| message(&format!("m{n}"), if n % 4 == 0 { &long } else { "short" }).into())
            .collect();
        store(index, ops).await;
        assert_eq!(index.count("a", IndexKind::Messages).await, Ok(1_200));
        assert_eq!(index.bulk(&[]).await, Ok(vec![]));
    })
    .await;
}

#[test]
fn debug_output_of_a_document_holds_no_text() {
    let shown = format!("{:?}", IndexOp::from(message("m1", "hunter2")));
    assert_eq!(shown, "messages a/m1 v1");
}

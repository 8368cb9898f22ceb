//! A new index beside the old: writes move first, both are read, then the new one alone.

use shared::search::{IndexKind, IndexOp, Indexed, SearchDown};

use super::fixture::{found, message, store, thread, with_index};

#[tokio::test(flavor = "multi_thread")]
async fn writes_move_to_the_new_index_and_searches_read_both_until_the_end() {
    with_index(async |index| {
        store(index, vec![message("m1", "old word").into()]).await;
        let plan = index.plan_rebuild(IndexKind::Messages).await.expect("a plan");
        let alias = index.alias(IndexKind::Messages);
        assert_eq!(
            (plan.target.clone(), plan.old.clone()),
            (format!("{alias}-000002"), vec![format!("{alias}-000001")])
        );
        for _ in 0..2 {
            index.begin_rebuild(IndexKind::Messages, &plan.target).await.expect("begun");
        }
        assert_eq!(index.ensure().await, Ok(vec![]), "two indices behind the alias are in order");
        let mut second = message("m2", "new word");
        second.thread_id = "t2".to_owned();
        store(index, vec![second.into()]).await;
        let mut both = found(index, "word").await;
        both.sort();
        assert_eq!(both, ["t1", "t2"]);
        for _ in 0..2 {
            index.finish_rebuild(IndexKind::Messages, &plan.target).await.expect("finished");
        }
        assert_eq!(found(index, "word").await, ["t2"], "the new index alone, which nobody filled here");
        index.drop_index(IndexKind::Messages, &plan.target).await.expect("left alone");
        assert_eq!(found(index, "word").await, ["t2"], "what serves is not deleted");
        index.drop_index(IndexKind::Messages, &plan.old[0]).await.expect("deleted");
        index.drop_index(IndexKind::Messages, &plan.old[0]).await.expect("gone already");
        assert_eq!(index.plan_rebuild(IndexKind::Messages).await.expect("a plan").old, [plan.target]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_in_both_indices_is_found_once() {
    with_index(async |index| {
        store(index, vec![thread("t1", "Late arrival").into(), message("m1", "arrival").into()]).await;
        for kind in IndexKind::ALL {
            let plan = index.plan_rebuild(kind).await.expect("a plan");
            index.begin_rebuild(kind, &plan.target).await.expect("begun");
        }
        store(index, vec![thread("t1", "Late arrival").into(), message("m1", "arrival").into()]).await;
        assert_eq!(found(index, "arrival").await, ["t1"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_never_replaces_what_was_written_meanwhile() {
    with_index(async |index| {
        let named = |guest: &str, version: u64| {
            let mut doc = thread("t1", "Room 12");
            (doc.guest_name, doc.version) = (Some(guest.to_owned()), version);
            IndexOp::from(doc)
        };
        store(index, vec![named("Berta", 3)]).await;
        let copied = index.bulk_behind(&[named("Alma", 3)]).await.expect("elasticsearch");
        assert_eq!(copied, [Ok(Indexed::Stale)], "of equal versions the one that is there stays");
        index.refresh().await.expect("refreshed");
        assert_eq!(
            (found(index, "berta").await, found(index, "alma").await),
            (vec!["t1".to_owned()], vec![])
        );
        let newer = index.bulk_behind(&[named("Cora", 4)]).await.expect("elasticsearch");
        assert_eq!(newer, [Ok(Indexed::Stored)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_vanished_while_it_was_filled_is_not_swapped_in() {
    with_index(async |index| {
        let plan = index.plan_rebuild(IndexKind::Threads).await.expect("a plan");
        index.begin_rebuild(IndexKind::Threads, &plan.target).await.expect("begun");
        index.drop_all().await.expect("dropped");
        index.ensure().await.expect("made anew");
        let finished = index.finish_rebuild(IndexKind::Threads, &plan.target).await;
        assert!(matches!(finished, Err(SearchDown::Misplaced { .. })), "{finished:?}");
    })
    .await;
}

//! One rebuild at a time: who gets it, who is refused, and that a finished one is followed by another.

use shared::search::IndexKind;
use shared::store::{Claimed, ReindexRow, ReindexState, Reindexes};
use tests::servers::mongodb::TestDatabase;

async fn claimed(rows: &Reindexes, owner: &str) -> Option<ReindexRow> {
    match rows.claim(&IndexKind::ALL, owner).await.unwrap() {
        Claimed::Yours(row) => Some(row),
        Claimed::Busy => None,
    }
}

#[tokio::test]
async fn a_finished_rebuild_is_followed_by_another() {
    let database = TestDatabase::new().await.unwrap();
    let rows = database.store().reindexes();
    let mut ids = Vec::new();
    for (state, owner) in
        [(ReindexState::Done, "one"), (ReindexState::Failed, "two"), (ReindexState::Done, "three")]
    {
        let mut row = claimed(&rows, owner).await.unwrap();
        assert!(claimed(&rows, "other").await.is_none(), "one at a time");
        row.parts[0].copied = 7;
        assert!(rows.save(&row).await.unwrap());
        assert!(rows.finish(&row, state, Some("why $now")).await.unwrap());
        assert!(!rows.save(&row).await.unwrap(), "it is finished");
        let stored = rows.find(&row.id).await.unwrap().unwrap();
        assert_eq!(
            (stored.state, stored.parts[0].copied, stored.error.as_deref()),
            (state, 7, Some("why $now"))
        );
        assert!(stored.finished_at.is_some());
        ids.push(row.id);
    }
    ids.reverse();
    let latest: Vec<String> = rows.latest().await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(latest, ids);
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_gets_it() {
    let database = TestDatabase::new().await.unwrap();
    let rows = database.store().reindexes();
    let owners: Vec<String> = (0..8).map(|n| format!("process-{n}")).collect();
    let asked = owners.iter().map(|owner| claimed(&rows, owner));
    let got: Vec<ReindexRow> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    assert_eq!((got.len(), rows.latest().await.unwrap().len()), (1, 1));
    rows.release(&got[0]).await.unwrap();
    let next = claimed(&rows, "next").await.unwrap();
    assert!(next.id == got[0].id && next.is_resumed());
    assert!(!rows.save(&got[0]).await.unwrap(), "the first one has lost it");
}

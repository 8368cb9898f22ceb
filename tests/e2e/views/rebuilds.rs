//! Rebuilding the indices in this process: from nothing, while others write, stopped, refused, lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::json;
use shared::reindex::{ReindexError, ReindexRequest, is_wanted, reindex};
use shared::search::IndexKind;
use shared::store::{Claimed, Phase, ReindexRow, ReindexState};
use tests::app::{ACCOUNT, TestApp};
use tokio_util::sync::CancellationToken;

use super::{found, indexed, search};

/// Rebuilds in small batches; `observe` may stop it.
async fn rebuild(
    app: &TestApp,
    kinds: &[IndexKind],
    observe: impl FnMut(&ReindexRow, &CancellationToken) + Send,
) -> Result<ReindexRow, ReindexError> {
    let stop = CancellationToken::new();
    let mut observe = observe;
    let request = ReindexRequest {
        kinds: kinds.to_vec(),
        batch: 4,
        linger: Duration::ZERO,
        ..ReindexRequest::new(format!("test-{}", ulid::Ulid::new()))
    };
    reindex(app.store(), &app.index(), &request, &stop, |row| observe(row, &stop)).await
}

async fn rebuild_all(app: &TestApp) -> Result<ReindexRow, ReindexError> {
    rebuild(app, &IndexKind::ALL, |_, _| {}).await
}

/// The same number of documents behind each alias as in MongoDB, in one index each.
async fn is_whole(app: &TestApp) {
    let index = app.index();
    index.refresh().await.unwrap();
    for kind in IndexKind::ALL {
        let stored = app.store().raw().collection::<Document>(kind.name());
        let stored = stored.count_documents(doc! { "accountId": ACCOUNT }).await.unwrap();
        assert_eq!(index.count(ACCOUNT, kind).await.unwrap(), stored, "{}", kind.name());
        assert_eq!(index.plan_rebuild(kind).await.unwrap().old.len(), 1, "one index, the old one is deleted");
    }
}

async fn threads_with_towels(app: &TestApp, count: usize) {
    for n in 0..count {
        app.thread(json!({ "threadId": format!("t{n:02}"), "title": format!("Room {n}") })).await;
        app.agent("anna").say(&format!("t{n:02}"), &format!("towels no{n}")).await;
    }
}

#[tokio::test]
async fn lost_indices_are_filled_again_from_nothing() {
    let app = TestApp::full().await;
    let guest = json!({ "guestName": "Zoë Müller" });
    app.service("setup").put("/chat/reservations/RES-1", guest).expect(201).await;
    app.thread(json!({ "threadId": "guest", "reservationId": "RES-1" })).await;
    threads_with_towels(&app, 9).await;
    indexed(&app).await;
    app.index().drop_all().await.unwrap();
    let made = app.index().ensure().await.unwrap();
    assert!(is_wanted(app.store(), &made).await.unwrap(), "the workers warn");
    assert!(!is_wanted(app.store(), &[]).await.unwrap());
    let anna = app.agent("anna");
    assert_eq!(found(&anna, "towels").await, [""; 0]);
    let row = rebuild_all(&app).await.unwrap();
    assert_eq!((row.state, row.is_resumed()), (ReindexState::Done, false));
    assert_eq!(
        row.parts.iter().map(|part| (part.copied, part.rejected)).collect::<Vec<_>>(),
        [(10, 0), (9, 0)]
    );
    is_whole(&app).await;
    assert_eq!(found(&anna, "towels").await.len(), 9);
    assert_eq!(found(&anna, "müller").await, ["guest"]);
    assert_eq!(app.store().reindexes().find(&row.id).await.unwrap().unwrap().state, ReindexState::Done);
    let again = rebuild_all(&app).await.unwrap();
    assert_ne!(again.id, row.id);
    is_whole(&app).await;
}

#[tokio::test]
async fn an_empty_store_wants_no_rebuild_and_takes_one() {
    let app = TestApp::full().await;
    assert!(!is_wanted(app.store(), &IndexKind::ALL).await.unwrap());
    assert_eq!(rebuild_all(&app).await.unwrap().state, ReindexState::Done);
    is_whole(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_others_write_nothing_is_missing_and_nothing_is_stale() {
    let app = TestApp::full().await;
    threads_with_towels(&app, 12).await;
    app.service("setup").put("/chat/reservations/RES-1", json!({ "guestName": "first" })).expect(201).await;
    app.thread(json!({ "threadId": "guest", "reservationId": "RES-1" })).await;
    let ended = AtomicBool::new(false);
    let write = async {
        let (mut n, anna) = (0, app.agent("anna"));
        while !ended.load(Ordering::Acquire) {
            let thread = format!("t{:02}", n % 12);
            anna.say(&thread, &format!("late{n} end")).await;
            let title = json!({ "title": format!("title{n} end") });
            anna.patch(&format!("/chat/threads/{thread}"), title).expect(200).await;
            let guest = json!({ "guestName": format!("guest{n} end") });
            app.service("setup").put("/chat/reservations/RES-1", guest).expect(200).await;
            app.thread(json!({ "threadId": format!("new{n}") })).await;
            n += 1;
        }
        n
    };
    let rebuilds = async {
        for _ in 0..2 {
            rebuild_all(&app).await.unwrap();
        }
        ended.store(true, Ordering::Release);
    };
    let (written, ()) = tokio::join!(write, rebuilds);
    assert!(written > 0);
    indexed(&app).await;
    is_whole(&app).await;
    let anna = app.agent("anna");
    for n in 0..written {
        let thread = format!("t{:02}", n % 12);
        assert_eq!(
            found(&anna, &format!("late{n} end")).await,
            [thread.as_str()],
            "message {n} of {written}"
        );
        let titled: &[&str] = if n + 12 >= written { &[thread.as_str()] } else { &[] };
        assert_eq!(found(&anna, &format!("title{n} end")).await, titled, "title {n} of {written}");
    }
    assert_eq!(found(&anna, &format!("guest{} end", written - 1)).await, ["guest"]);
    assert_eq!(found(&anna, "first").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn searchers_see_everything_all_the_time() {
    let app = TestApp::full().await;
    threads_with_towels(&app, 20).await;
    indexed(&app).await;
    let ended = AtomicBool::new(false);
    let look = async {
        let (mut looks, anna) = (0, app.agent("anna"));
        while !ended.load(Ordering::Acquire) {
            let page = search(&anna, "towels", "&limit=100").await;
            assert_eq!(page.each("threads", "threadId").len(), 20, "{}", page.text);
            looks += 1;
        }
        looks
    };
    let rebuilds = async {
        let rebuilt = async {
            let request =
                ReindexRequest { batch: 3, linger: Duration::from_secs(1), ..ReindexRequest::new("test") };
            reindex(app.store(), &app.index(), &request, &CancellationToken::new(), |_| {}).await
        };
        let row = rebuilt.await;
        ended.store(true, Ordering::Release);
        row.unwrap()
    };
    let (looks, row) = tokio::join!(look, rebuilds);
    assert!(looks > 3 && row.state == ReindexState::Done, "{looks} looks");
    is_whole(&app).await;
}

#[tokio::test]
async fn two_at_once_are_refused() {
    let app = TestApp::full().await;
    let rows = app.store().reindexes();
    let Claimed::Yours(theirs) = rows.claim(&[IndexKind::Threads], "theirs").await.unwrap() else {
        panic!("nobody else rebuilds")
    };
    let refused = rebuild_all(&app).await;
    assert!(matches!(refused, Err(ReindexError::Busy)), "{refused:?}");
    rows.release(&theirs).await.unwrap();
    let other = rebuild(&app, &[IndexKind::Messages], |_, _| {}).await;
    assert!(matches!(&other, Err(ReindexError::Unfinished { index, .. }) if index == "threads"), "{other:?}");
    let resumed = rebuild(&app, &[IndexKind::Threads], |_, _| {}).await.unwrap();
    assert!(resumed.id == theirs.id && resumed.is_resumed());
    assert!(!rows.save(&theirs).await.unwrap(), "the first one is told that it lost its place");
    assert_eq!(rows.latest().await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_that_was_stopped_goes_on_from_there() {
    let app = TestApp::full().await;
    threads_with_towels(&app, 10).await;
    indexed(&app).await;
    let stop_in_messages = |row: &ReindexRow, stop: &CancellationToken| {
        if row.parts[1].copied > 0 {
            stop.cancel();
        }
    };
    let stopped = rebuild(&app, &IndexKind::ALL, stop_in_messages).await;
    assert!(matches!(stopped, Err(ReindexError::Stopped)), "{stopped:?}");
    let anna = app.agent("anna");
    assert_eq!(found(&anna, "towels").await.len(), 10, "half-way nothing is missing");
    anna.say("t00", "meanwhile").await;
    indexed(&app).await;
    let left = app.store().reindexes().latest().await.unwrap().remove(0);
    assert_eq!(left.parts[1].phase, Phase::Copying);
    let mut first = None;
    let note_first = |row: &ReindexRow, _: &CancellationToken| {
        first.get_or_insert(row.parts[1].copied);
    };
    let row = rebuild(&app, &IndexKind::ALL, note_first).await.unwrap();
    assert!(row.is_resumed() && row.id == left.id);
    assert!(first.unwrap() > left.parts[1].copied, "it does not begin again");
    is_whole(&app).await;
    assert_eq!(found(&anna, "meanwhile").await, ["t00"]);
}

#[tokio::test]
async fn one_whose_index_was_deleted_fails_and_the_next_begins_anew() {
    let app = TestApp::full().await;
    threads_with_towels(&app, 6).await;
    indexed(&app).await;
    let stopped = rebuild(&app, &IndexKind::ALL, |row, stop| {
        if row.parts[0].copied > 0 {
            stop.cancel();
        }
    });
    assert!(matches!(stopped.await, Err(ReindexError::Stopped)));
    app.index().drop_all().await.unwrap();
    let lost = rebuild_all(&app).await;
    assert!(matches!(lost, Err(ReindexError::Vanished)), "{lost:?}");
    let row = app.store().reindexes().latest().await.unwrap().remove(0);
    assert!(row.state == ReindexState::Failed && row.error.is_some(), "{row:?}");
    let anew = rebuild_all(&app).await.unwrap();
    assert_ne!(anew.id, row.id);
    is_whole(&app).await;
}

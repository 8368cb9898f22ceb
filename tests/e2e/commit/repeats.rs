//! The same post again, by message id, external id or idempotency key; and what only looks like it.

use futures::future::join_all;
use shared::committer::{Post, PostError, Posted};
use shared::domain::ids::AccountId;
use shared::domain::message::{Draft, Source};
use shared::domain::rejection::Rejection;

use super::desk::{Desk, message_id, named, new_and_replayed, text, uid};

fn external(id: &str, source: &str) -> Draft {
    let source = Some(Source::parse(source).expect("a source"));
    Draft { source, external_message_id: Some(id.to_owned()), ..text("from outside") }
}

/// Posts `count` times at once, to two replicas in turn.
async fn at_once(desk: &Desk, count: usize, post: impl Fn() -> Post) -> Vec<Result<Posted, PostError>> {
    let replicas = [desk.replica(), desk.replica()];
    join_all((0..count).map(|n| replicas[n % 2].post(post()))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_id_posted_fifty_times_at_once_is_stored_once() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let answers = at_once(&desk, 50, || desk.post("t1", "host", named("m1", "hi"))).await;
    assert_eq!(new_and_replayed(&answers), (1, 49));
    let stored = desk.assert_whole(&thread).await;
    assert_eq!(stored.len(), 1);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|posted| *posted.message() == stored[0])));
}

#[tokio::test]
async fn a_message_id_with_other_content_author_or_thread_conflicts() {
    let desk = Desk::open().await;
    let (thread, other) = (desk.thread("t1").await, desk.thread("t2").await);
    let committer = desk.replica();
    let first = committer.post(desk.post("t1", "host", named("m1", "hi"))).await.expect("posted");
    let conflicting = [
        desk.post("t1", "host", named("m1", "ho")),
        desk.post("t1", "cohost", named("m1", "hi")),
        desk.post("t2", "host", named("m1", "hi")),
    ];
    for post in conflicting {
        let answer = committer.post(post.clone()).await;
        assert!(matches!(answer, Err(PostError::Conflict)), "{post:?}: {answer:?}");
    }
    let again = committer.post(desk.post("t1", "host", named("m1", "hi"))).await.expect("posted");
    assert_eq!(again, Posted::Replayed { message: first.message().clone(), status: 200 });
    assert_eq!(desk.assert_whole(&thread).await.len(), 1);
    assert!(desk.assert_whole(&other).await.is_empty());
}

#[tokio::test]
async fn a_message_id_of_another_account_is_free() {
    let mut desk = Desk::open().await;
    desk.thread("t1").await;
    let committer = desk.replica();
    committer.post(desk.post("t1", "host", named("m1", "hi"))).await.expect("posted");
    desk.account = AccountId::parse("globex").expect("an account");
    let thread = desk.thread("t1").await;
    let there = committer.post(desk.post("t1", "cohost", named("m1", "other"))).await.expect("posted");
    assert!(!there.is_replay());
    assert_eq!(there.message().key, "globex/m1");
    assert_eq!(desk.messages(&thread).await.len(), 1);
}

#[tokio::test]
async fn who_may_not_write_is_told_so_and_not_that_the_id_is_taken() {
    let desk = Desk::open().await;
    desk.thread("t1").await;
    let committer = desk.replica();
    committer.post(desk.post("t1", "host", named("m1", "hi"))).await.expect("posted");
    let answer = committer.post(desk.post("t1", "stranger", named("m1", "guessed"))).await;
    assert!(matches!(answer, Err(PostError::Rejected(Rejection::NotParticipant))), "{answer:?}");
    let answer = committer.post(desk.post("no-such-thread", "host", named("m1", "hi"))).await;
    assert!(matches!(answer, Err(PostError::ThreadNotFound)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_id_is_stored_once_per_source_and_belongs_to_its_thread() {
    let desk = Desk::open().await;
    let (thread, other) = (desk.thread("t1").await, desk.thread("t2").await);
    let answers = at_once(&desk, 20, || desk.post("t1", "ota", external("e1", "airbnb"))).await;
    assert_eq!(new_and_replayed(&answers), (1, 19));
    let committer = desk.replica();
    let elsewhere = committer.post(desk.post("t2", "ota", external("e1", "airbnb"))).await;
    assert!(matches!(elsewhere, Err(PostError::Conflict)), "{elsewhere:?}");
    let other_source = committer.post(desk.post("t2", "ota", external("e1", "booking"))).await;
    assert!(!other_source.expect("posted").is_replay());
    assert_eq!(desk.assert_whole(&thread).await.len(), 1);
    assert_eq!(desk.assert_whole(&other).await.len(), 1);
}

#[tokio::test]
async fn a_guessed_external_id_shows_nobody_a_message() {
    let desk = Desk::open().await;
    desk.thread("t1").await;
    let committer = desk.replica();
    committer.post(desk.post("t1", "ota", external("e1", "airbnb"))).await.expect("posted");
    for who in ["stranger", "guest", "host"] {
        let answer = committer.post(desk.post("t1", who, external("e1", "airbnb"))).await;
        assert!(matches!(answer, Err(PostError::Rejected(_))), "{who}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_used_fifty_times_at_once_makes_one_message() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let answers = at_once(&desk, 50, || desk.keyed("k1", desk.post("t1", "host", text("hi")))).await;
    assert_eq!(new_and_replayed(&answers), (1, 49));
    let stored = desk.assert_whole(&thread).await;
    for answer in answers {
        match answer.expect("posted") {
            Posted::New(message) => assert_eq!(message, stored[0]),
            Posted::Replayed { message, status } => assert_eq!((&message, status), (&stored[0], 201)),
        }
    }
}

#[tokio::test]
async fn an_idempotency_key_with_other_content_conflicts_and_its_replay_ignores_the_message_id() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let committer = desk.replica();
    let first = desk.keyed("k1", desk.post("t1", "host", text("hi")));
    committer.post(first.clone()).await.expect("posted");
    let other = desk.keyed("k1", desk.post("t1", "host", text("ho")));
    assert!(matches!(committer.post(other).await, Err(PostError::IdempotencyConflict)));
    let mut renamed = first;
    renamed.draft.message_id = Some(message_id("m2"));
    assert!(committer.post(renamed).await.expect("posted").is_replay(), "the key decides");
    let mut new_key = desk.keyed("k2", desk.post("t1", "host", named("m3", "hi")));
    assert!(!committer.post(new_key.clone()).await.expect("posted").is_replay());
    new_key.idempotency.as_mut().expect("a key").scope.push_str("-other");
    assert!(committer.post(new_key).await.expect("posted").is_replay(), "a new key with a known id");
    assert_eq!(desk.assert_whole(&thread).await.len(), 2);
}

#[tokio::test]
async fn a_service_may_repeat_what_it_posted_for_another() {
    let desk = Desk::open().await;
    desk.thread("t1").await;
    let committer = desk.replica();
    let draft = Draft { author_id: Some(uid("guest")), ..named("m1", "hi") };
    let first = committer.post(desk.post("t1", "ota", draft.clone())).await.expect("posted");
    assert_eq!(first.message().author_id, uid("guest"));
    assert!(committer.post(desk.post("t1", "ota", draft)).await.expect("posted").is_replay());
    let own = committer.post(desk.post("t1", "ota", named("m1", "hi"))).await;
    assert!(matches!(own, Err(PostError::Conflict)), "another author: {own:?}");
}

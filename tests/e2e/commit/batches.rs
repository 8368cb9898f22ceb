//! What shares a transaction, what is cached, and what happens to a post whose caller went away.

use futures::future::join_all;
use mongodb::bson::doc;
use shared::committer::PostError;
use shared::config;
use shared::domain::message::{ContentType, Draft, MessageType};
use shared::domain::rejection::Rejection;
use shared::domain::thread::{ThreadDraft, ThreadKind, ThreadPatch};

use super::desk::{Desk, commit_config, named, replica_with, text, uid};

/// One slot, so that posts which arrive together share a batch.
fn one_slot() -> config::Commit {
    config::Commit { slots: 1, ..commit_config() }
}

#[tokio::test]
async fn a_bad_member_of_a_batch_leaves_the_others_committed() {
    let desk = Desk::open().await;
    let (thread, other) = (desk.thread("t1").await, desk.thread("t2").await);
    let committer = replica_with(desk.store(), &one_slot());
    committer.post(desk.post("t1", "host", named("known", "hi"))).await.expect("posted");
    let answers = join_all([
        committer.post(desk.post("t1", "host", text("one"))),
        committer.post(desk.post("t1", "host", text(""))),
        committer.post(desk.post("t2", "host", named("known", "taken"))),
        committer.post(desk.post("t1", "stranger", text("let me in"))),
        committer.post(desk.post("nowhere", "host", text("lost"))),
        committer.post(desk.post("t1", "host", named("known", "hi"))),
        committer.post(desk.post("t2", "guest", named("twin", "two"))),
        committer.post(desk.post("t2", "guest", named("twin", "two"))),
        committer.post(desk.post("t2", "host", named("twin", "three"))),
    ])
    .await;
    let told: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            Ok(posted) if posted.is_replay() => "replayed".to_owned(),
            Ok(posted) => format!("{}", posted.message().seq),
            Err(PostError::Rejected(Rejection::Unprocessable(_))) => "unprocessable".to_owned(),
            Err(PostError::Rejected(Rejection::NotParticipant)) => "not participant".to_owned(),
            Err(PostError::ThreadNotFound) => "not found".to_owned(),
            Err(PostError::Conflict) => "conflict".to_owned(),
            Err(error) => format!("{error:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "2",
            "unprocessable",
            "conflict",
            "not participant",
            "not found",
            "replayed",
            "1",
            "replayed",
            "conflict"
        ]
    );
    assert_eq!(desk.assert_whole(&thread).await.len(), 2);
    assert_eq!(desk.assert_whole(&other).await.len(), 1);
}

#[tokio::test]
async fn a_member_that_mongodb_refuses_fails_alone() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let committer = replica_with(desk.store(), &one_slot());
    // Larger than any document may be: the driver or the server refuses the whole command.
    let huge = Draft {
        content_type: Some(ContentType::Payment),
        payment_content: Some(doc! { "note": "x".repeat(17 * 1024 * 1024) }),
        ..text("")
    };
    let answers = join_all([
        committer.post(desk.post("t1", "host", text("one"))),
        committer.post(desk.post("t1", "host", huge)),
        committer.post(desk.post("t1", "host", text("two"))),
    ])
    .await;
    assert!(matches!(answers[1], Err(PostError::Internal)), "refused");
    assert_eq!(answers[0].as_ref().expect("posted").message().seq, 1);
    assert_eq!(answers[2].as_ref().expect("posted").message().seq, 2);
    assert_eq!(desk.assert_whole(&thread).await.len(), 2);
}

#[tokio::test]
async fn payment_content_is_stored_as_it_came_whatever_its_keys() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let content = doc! { "$set": { "$ne": 1 }, "a.b": [{ "": "$body" }], "amount": 5.5, "none": null };
    let draft = Draft {
        content_type: Some(ContentType::Payment),
        payment_content: Some(content.clone()),
        ..text("$body")
    };
    let posted = desk.replica().post(desk.post("t1", "host", draft)).await.expect("posted");
    assert_eq!(posted.message().payment_content, Some(content));
    desk.assert_whole(&thread).await;
}

#[tokio::test]
async fn a_note_behind_the_first_message_of_a_colleague_in_the_same_batch_calls_for_the_colleague() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let committer = replica_with(desk.store(), &one_slot());
    let note = Draft { kind: Some(MessageType::Note), ..text("between us") };
    let answers = join_all([
        committer.post(desk.post("t1", "cohost", text("hello"))),
        committer.post(desk.post("t1", "host", note)),
    ])
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    desk.assert_whole(&thread).await;
    assert!(desk.stored(&thread).await.needs_attention.contains(&uid("cohost")));
}

#[tokio::test]
async fn a_decision_on_a_cached_thread_is_taken_again_when_the_thread_was_reassigned_elsewhere() {
    let desk = Desk::open().await;
    let assigned_to = |who: &str| vec![uid(who)];
    let draft = ThreadDraft {
        kind: Some(ThreadKind::Support),
        assigned_agent_ids: assigned_to("host"),
        ..ThreadDraft::default()
    };
    let thread = desk.thread_of("room", draft).await;
    let committer = desk.replica();
    committer.post(desk.post("room", "host", text("mine"))).await.expect("posted");
    let before = desk.stored(&thread).await;
    let patch = ThreadPatch { assigned_agent_ids: Some(assigned_to("cohost")), ..ThreadPatch::default() };
    let reassigned = before.patched(patch, &desk.actor("boss")).expect("may").expect("changes");
    desk.replace(&before, &reassigned).await;

    let refused_before = committer.post(desk.post("room", "cohost", text("now mine"))).await;
    assert_eq!(refused_before.expect("a stale refusal is not answered").message().seq, 2);
    desk.replace(&desk.stored(&thread).await, &{
        let stored = desk.stored(&thread).await;
        let patch = ThreadPatch { assigned_agent_ids: Some(assigned_to("host")), ..ThreadPatch::default() };
        stored.patched(patch, &desk.actor("boss")).expect("may").expect("changes")
    })
    .await;
    let admitted_before = committer.post(desk.post("room", "cohost", text("still mine?"))).await;
    let refused = matches!(admitted_before, Err(PostError::Rejected(Rejection::NotAssigned)));
    assert!(refused, "a stale admission is not committed: {admitted_before:?}");
}

#[tokio::test]
async fn a_thread_moved_by_another_replica_costs_a_retry() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let (here, there) = (desk.replica(), desk.replica());
    for round in 0..5 {
        for committer in [&here, &there] {
            let posted = committer.post(desk.post("t1", "host", text(&format!("round {round}")))).await;
            assert!(!posted.expect("posted").is_replay());
        }
    }
    assert_eq!(desk.assert_whole(&thread).await.len(), 10);
}

#[tokio::test]
async fn more_than_may_wait_is_refused_at_once_and_the_rest_is_committed() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let committer = replica_with(desk.store(), &config::Commit { queue_max: 4, ..one_slot() });
    let posts = (0..10).map(|n| committer.post(desk.post("t1", "host", text(&format!("{n}")))));
    let answers = join_all(posts).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(PostError::Busy))).count();
    assert_eq!((busy, answers.iter().filter(|answer| answer.is_ok()).count()), (6, 4));
    assert_eq!(desk.assert_whole(&thread).await.len(), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_cancel_the_commit() {
    let desk = Desk::open().await;
    let thread = desk.thread("t1").await;
    let committer = desk.replica();
    for n in 0..5 {
        let post = committer.post(desk.post("t1", "host", text(&format!("{n}"))));
        let mut post = Box::pin(post);
        assert!(futures::poll!(&mut post).is_pending());
    }
    // Those of a slot come in turn: when the last is answered, the others are done.
    committer.post(desk.post("t1", "host", text("last"))).await.expect("posted");
    assert_eq!(desk.assert_whole(&thread).await.len(), 6);
}

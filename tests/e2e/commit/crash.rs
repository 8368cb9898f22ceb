//! MongoDB itself dies (SIGKILL) and comes back with what it has.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use shared::committer::{Committer, PostError};
use shared::domain::message::{Draft, Message, MessageType};
use shared::domain::thread::Thread;
use tests::chaos::{Fault, FaultProxy, Moment};
use tests::servers::mongodb::{OwnMongodb, TestDatabase};
use tokio::sync::watch;

use super::desk::{Desk, commit_config, named, replica_with, text};

const POSTERS: usize = 12;
const POSTS: usize = 25;
const THREADS: usize = 4;

/// Posts until all is acknowledged, coming again with the same id when it is not. Answers the ids.
async fn post_all(
    desk: &Desk,
    committer: &Committer,
    poster: usize,
    acknowledged: &watch::Sender<usize>,
    refusals: &AtomicUsize,
) -> Vec<String> {
    let mut ids = Vec::with_capacity(POSTS);
    for n in 0..POSTS {
        let id = format!("p{poster}-{n}");
        let kind = [MessageType::Message, MessageType::WhatsappMessage, MessageType::Note][n % 3];
        let thread = format!("t{}", (poster + n) % THREADS);
        loop {
            let draft = Draft { kind: Some(kind), ..named(&id, "hi") };
            match committer.post(desk.post(&thread, "host", draft)).await {
                Ok(_) => break,
                Err(PostError::Away) => drop(refusals.fetch_add(1, Ordering::Relaxed)),
                Err(error) => panic!("{error:?}"),
            }
        }
        ids.push(id);
        acknowledged.send_modify(|count| *count += 1);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_killed_mongodb_and_nothing_is_half_there() {
    let mut server = OwnMongodb::start().await.expect("mongodb");
    let desk = Desk::at(TestDatabase::on(&server.uri()).await.expect("mongodb")).await;
    let mut threads: Vec<Thread> = Vec::new();
    for n in 0..THREADS {
        threads.push(desk.thread(&format!("t{n}")).await);
    }
    let replicas =
        [desk.replica(), replica_with(&desk.db.another().await.expect("a store"), &commit_config())];
    let (acknowledged, refusals) = (watch::Sender::new(0), AtomicUsize::new(0));
    let posters =
        join_all((0..POSTERS).map(|n| post_all(&desk, &replicas[n % 2], n, &acknowledged, &refusals)));
    let killer = async {
        let mut count = acknowledged.subscribe();
        for kill_at in [60, 180] {
            let _ = count.wait_for(|count| *count >= kill_at).await;
            server.kill().expect("killed");
            server.up().await.expect("up again");
        }
    };
    let (ids, ()) = tokio::join!(posters, killer);
    let mut stored = Vec::new();
    for thread in &threads {
        stored.extend(desk.assert_whole(thread).await);
    }
    assert_eq!(stored.len(), POSTERS * POSTS, "each once");
    for id in ids.into_iter().flatten() {
        assert!(stored.iter().any(|m| m.message_id.as_str() == id), "{id} was acknowledged");
    }
}

/// A committer whose transaction is lost as it asks for the commit posts `batch`; the client of its first message
/// comes again through another process before the committer reaches MongoDB again. Answers what is stored.
async fn lost_and_posted_again(batch: Vec<Draft>) -> Vec<Message> {
    let mut server = OwnMongodb::start().await.expect("mongodb");
    let desk = Desk::at(TestDatabase::on(&server.uri()).await.expect("mongodb")).await;
    let thread = desk.thread("t1").await;
    let proxy = FaultProxy::start(server.address()).await.expect("a proxy");
    let far = desk.db.through(proxy.address()).await.expect("a store");
    let config = shared::config::Commit { slots: 1, ..commit_config() };
    let committer = replica_with(&far, &config);
    proxy.arm(Moment::Request("commitTransaction\0"), Fault::Refuse);
    let first = desk.post("t1", "host", batch[0].clone());
    let posts = join_all(batch.into_iter().map(|draft| committer.post(desk.post("t1", "host", draft))));
    let meanwhile = async {
        proxy.faults(1).await;
        // The transaction is open on the server: only its end lets others write the thread.
        server.kill().expect("killed");
        server.up().await.expect("up again");
        let elsewhere = replica_with(desk.store(), &config).post(first).await;
        proxy.heal();
        elsewhere
    };
    let (answers, elsewhere) = tokio::join!(posts, meanwhile);
    assert_eq!(elsewhere.expect("posted").message().seq, 1);
    let stored = desk.assert_whole(&thread).await;
    for answer in answers {
        assert!(stored.contains(answer.expect("posted").message()), "acknowledged as it is stored");
    }
    stored
}

// These run on one thread, so that what is posted together is one batch.

#[tokio::test]
async fn a_lost_batch_is_not_taken_for_committed_because_one_of_it_was_posted_again_elsewhere() {
    assert_eq!(lost_and_posted_again(vec![named("again", "a"), text("b")]).await.len(), 2);
}

#[tokio::test]
async fn a_lost_message_that_was_posted_again_elsewhere_is_answered_as_it_is_stored() {
    assert_eq!(lost_and_posted_again(vec![named("again", "a")]).await.len(), 1);
}

//! The network between the committer and MongoDB fails at the worst moments.

use std::time::{Duration, Instant};

use futures::future::join_all;
use shared::committer::{Committer, PostError};
use shared::config;
use shared::domain::thread::Thread;
use tests::chaos::{Direction, Fault, FaultProxy, Moment};

use super::desk::{Desk, commit_config, named, replica_with, text};

/// A request of the transaction's write, of its end, and of the reads before it.
const WRITE: &str = "insert\0";
const COMMIT: &str = "commitTransaction\0";
const READ: &str = "find\0";

/// A desk whose committer reaches MongoDB through a proxy, after a first message.
struct Line {
    desk: Desk,
    thread: Thread,
    proxy: FaultProxy,
    committer: Committer,
}

impl Line {
    async fn open(deadline: Duration) -> Self {
        let desk = Desk::open().await;
        let thread = desk.thread("t1").await;
        let proxy = FaultProxy::start(desk.db.address().expect("an address")).await.expect("a proxy");
        let store = desk.db.through(proxy.address()).await.expect("a store");
        let config = config::Commit { slots: 1, deadline, ..commit_config() };
        let committer = replica_with(&store, &config);
        let line = Self { desk, thread, proxy, committer };
        line.committer.post(line.desk.post("t1", "host", named("first", "hi"))).await.expect("posted");
        line
    }

    /// Posts three messages at once, with the id chosen by the client, with a key, and with neither; all must be
    /// acknowledged as new, and be there once.
    async fn posts_arrive_once(&self) {
        let posts = [
            self.desk.post("t1", "host", named("second", "a")),
            self.desk.keyed("k", self.desk.post("t1", "guest", text("b"))),
            self.desk.post("t1", "cohost", text("c")),
        ];
        for answer in join_all(posts.map(|post| self.committer.post(post))).await {
            assert!(!answer.expect("posted").is_replay(), "it was posted once");
        }
        self.proxy.faults(1).await;
        assert_eq!(self.desk.assert_whole(&self.thread).await.len(), 4);
    }
}

const PATIENT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_commit_whose_reply_is_cut_off_is_there_once_and_acknowledged() {
    let line = Line::open(PATIENT).await;
    line.proxy.arm(Moment::Reply(COMMIT), Fault::Reset);
    line.posts_arrive_once().await;
}

#[tokio::test]
async fn a_commit_that_is_cut_off_on_its_way_is_there_once_and_acknowledged() {
    let line = Line::open(PATIENT).await;
    line.proxy.arm(Moment::Request(COMMIT), Fault::Reset);
    line.posts_arrive_once().await;
}

#[tokio::test]
async fn a_write_whose_reply_is_cut_off_is_there_once_and_acknowledged() {
    let line = Line::open(PATIENT).await;
    line.proxy.arm(Moment::Reply(WRITE), Fault::Reset);
    line.posts_arrive_once().await;
}

#[tokio::test]
async fn a_reply_that_is_cut_in_its_middle_is_asked_for_again() {
    let line = Line::open(PATIENT).await;
    line.proxy.arm(Moment::Bytes(Direction::ToClient, 2_000), Fault::Reset);
    line.posts_arrive_once().await;
}

#[tokio::test]
async fn connections_that_the_server_closes_are_replaced() {
    let line = Line::open(PATIENT).await;
    line.proxy.half_close(Direction::ToClient);
    let posted = line.committer.post(line.desk.post("t1", "host", text("hi"))).await.expect("posted");
    assert!(!posted.is_replay());
    assert_eq!(line.desk.assert_whole(&line.thread).await.len(), 2);
}

#[tokio::test]
async fn a_network_that_answers_again_within_the_deadline_costs_only_time() {
    let line = Line::open(PATIENT).await;
    line.proxy.arm(Moment::Request(WRITE), Fault::Refuse);
    let post = line.committer.post(line.desk.post("t1", "host", text("hi")));
    let healed = async {
        line.proxy.faults(1).await;
        line.proxy.heal();
    };
    let (answer, ()) = tokio::join!(post, healed);
    assert!(!answer.expect("posted").is_replay());
    assert_eq!(line.desk.assert_whole(&line.thread).await.len(), 2);
}

/// While nothing comes back from MongoDB callers are told so in time; when it answers again, what was acknowledged
/// is there, nothing is there twice, and the thread takes messages at once.
async fn falls_silent_at(moment: Moment) {
    let deadline = Duration::from_millis(1_200);
    let line = Line::open(deadline).await;
    line.proxy.arm(moment, Fault::BlackHole);
    let begun = Instant::now();
    let posts = [named("lost", "a"), text("b")].map(|draft| line.desk.post("t1", "host", draft));
    for answer in join_all(posts.map(|post| line.committer.post(post))).await {
        assert!(matches!(answer, Err(PostError::Away)), "{moment:?}: {answer:?}");
    }
    assert!(begun.elapsed() < deadline + Duration::from_secs(1), "{moment:?}: {:?}", begun.elapsed());
    line.proxy.faults(1).await;
    line.proxy.heal();
    let direct = replica_with(line.desk.store(), &commit_config());
    let again = direct.post(line.desk.post("t1", "host", named("lost", "a"))).await.expect("posted");
    let after = line.committer.post(line.desk.post("t1", "host", text("after"))).await;
    assert_eq!(again.message().message_id.as_str(), "lost");
    let stored = line.desk.assert_whole(&line.thread).await;
    let named = |id: &str| stored.iter().filter(|m| m.message_id.as_str() == id).count();
    assert_eq!((named("first"), named("lost")), (1, 1), "{moment:?}");
    assert!(after.is_ok_and(|after| stored.contains(after.message())), "{moment:?}: it goes on");
    assert!((3..=4).contains(&stored.len()), "{moment:?}: {} messages", stored.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_mongodb_is_reported_in_time_and_leaves_nothing_locked_or_twice() {
    let moments = [
        Moment::Request(READ),
        Moment::Request(WRITE),
        Moment::Reply(WRITE),
        Moment::Request(COMMIT),
        Moment::Reply(COMMIT),
    ];
    join_all(moments.map(falls_silent_at)).await;
}

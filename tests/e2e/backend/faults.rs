//! What Redis may do to a worker: go, come back empty, lose the group. The worker never ends and misses nothing.

use tests::servers::RedisServer;

use super::rig::{Rig, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_empty() {
    let mut rig = Rig::start().await;
    let mut worker = rig.worker("restart", 1);
    rig.push(&["before", "lost"]).await;
    let running = worker.next().await;
    eventually("both are in hand", async || rig.pending().await == 2).await;
    rig.server.restart_empty().await.unwrap();
    running.succeed();
    // In hand when Redis lost it, and no reason to let it go.
    assert_eq!(worker.run_through(1).await, ["lost"]);
    rig.push(&["after"]).await;
    assert_eq!(worker.run_through(1).await, ["after"]);
    rig.drained().await;
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_with_its_data() {
    let mut rig = Rig::on(RedisServer::start_with(&["--appendonly", "yes"]).await.unwrap());
    let mut worker = rig.worker("restart", 1);
    let pushed = rig.push_numbered(20).await;
    let running = worker.next().await;
    rig.server.stop().await.unwrap();
    running.succeed();
    rig.server.up().await.unwrap();
    // What was on its way to a connection that ended comes last, after `min_idle`.
    let mut done = worker.run_through(19).await;
    done.sort();
    assert_eq!(done, pushed[1..]);
    rig.drained().await;
    assert_eq!(worker.surprise(), None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_not_there_yet() {
    let mut rig = Rig::on(RedisServer::new(&[]).unwrap());
    let mut worker = rig.worker("early", 1);
    assert!(rig.wakeups.ping().await.is_err());
    rig.server.up().await.unwrap();
    rig.push(&["first"]).await;
    assert_eq!(worker.run_through(1).await, ["first"]);
    rig.drained().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_emptied() {
    let rig = Rig::start().await;
    let mut worker = rig.worker("flush", 1);
    rig.push(&["running"]).await;
    let running = worker.next().await;
    for round in 0..3 {
        rig.server.flushall().await.unwrap();
        assert!(worker.is_running(), "round {round}");
    }
    running.succeed();
    rig.push(&["after"]).await;
    assert_eq!(worker.run_through(1).await, ["after"]);
    rig.drained().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_is_destroyed() {
    let rig = Rig::start().await;
    let mut worker = rig.worker("group", 3);
    rig.push(&["one", "two"]).await;
    let (one, two) = (worker.next().await, worker.next().await);
    assert_eq!(rig.ask::<usize>(&["XGROUP", "DESTROY", &rig.config.stream(), "workers"]).await, 1);
    // The new group begins at the first entry; what is in hand is recognised.
    rig.push(&["after"]).await;
    let after = worker.next().await;
    assert_eq!(after.job(), "after");
    for job in [one, two, after] {
        job.succeed();
    }
    rig.drained().await;
    assert_eq!(worker.surprise(), None, "nothing came twice");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_cut_and_every_script_forgotten() {
    let rig = Rig::start().await;
    let mut worker = rig.worker("cut", 1);
    for round in 0..5 {
        rig.ask::<redis::Value>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        rig.ask::<redis::Value>(&["SCRIPT", "FLUSH"]).await;
        let id = format!("round-{round}");
        rig.push(&[&id]).await;
        // The entry may have been given to the dead connection: then it comes again after `min_idle`.
        assert_eq!(worker.run_through(1).await, [id]);
    }
    rig.drained().await;
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_gone_when_the_worker_stops() {
    let mut rig = Rig::start().await;
    let mut worker = rig.worker("farewell", 1);
    rig.push(&["running"]).await;
    let running = worker.next().await;
    rig.server.kill().unwrap();
    running.succeed();
    worker.stop().await;
}

//! A worker that stops finishes what it runs and hands the rest to others at once.

use std::time::Duration;

use tokio::time::Instant;

use super::rig::{Rig, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_started_is_handed_back_while_the_last_job_still_runs() {
    let mut rig = Rig::start().await;
    // Nothing is taken over for being idle in this test: what comes was handed back.
    rig.config.min_idle = Duration::from_secs(3_600);
    let pushed = rig.push_numbered(10).await;
    let mut leaving = rig.worker("leaving", 1);
    let last = leaving.next().await;
    eventually("six wait beside the one that runs", async || rig.pending().await == 7).await;

    let mut staying = rig.worker("staying", 1);
    leaving.ask_to_stop();
    let since = Instant::now();
    let mut taken = Vec::new();
    for _ in 1..10 {
        let job = staying.next().await;
        assert!(!job.wakeup.redelivered, "it was never started");
        taken.push(job.job().to_owned());
        job.succeed();
    }
    println!("nine entries taken by another worker {:?} after the request to stop", since.elapsed());
    taken.sort();
    assert_eq!(taken, pushed[1..]);
    assert!(leaving.is_running(), "it waits for its last job");

    last.succeed();
    leaving.ended().await;
    rig.drained().await;
    assert_eq!(staying.surprise(), None);
    staying.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_handed_back_wait_for_the_next_worker() {
    let mut rig = Rig::start().await;
    rig.config.min_idle = Duration::from_secs(3_600);
    let pushed = rig.push_numbered(10).await;
    let mut first = rig.worker("first", 1);
    let job = first.next().await;
    eventually("six wait beside the one that runs", async || rig.pending().await == 7).await;
    job.succeed();
    // One more may start before the worker notices, and is done then.
    first.ask_to_stop();
    first.ended().await;
    assert!(rig.consumers().await.iter().all(|name| !name.starts_with("first:")), "it left the group");

    let mut second = rig.worker("second", 1);
    let rest = rig.len().await;
    assert!(rest >= pushed.len() - 2);
    let mut taken = second.run_through(rest).await;
    taken.sort();
    assert_eq!(taken, pushed[pushed.len() - rest..]);
    rig.drained().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_stops_at_once() {
    let rig = Rig::start().await;
    let mut worker = rig.worker("idle", 1);
    rig.push(&["one"]).await;
    assert_eq!(worker.run_through(1).await, ["one"]);
    rig.drained().await;
    let since = Instant::now();
    worker.stop().await;
    assert!(since.elapsed() < rig.config.block, "it does not wait for its blocking read");
}

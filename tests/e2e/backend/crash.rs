//! What a killed worker leaves behind is done by another.

use std::process::Stdio;
use std::time::Duration;

use apalis::prelude::*;
use shared::queue::Queue;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use workers::backend::{RedisStreams, StreamConfig, Wakeup};

use super::rig::{PATIENCE, Rig, eventually};

/// Holds the Redis URL in the process that is to be killed.
const VICTIM: &str = "BELLHOP_E2E_CRASH_WORKER";

/// Not a test: the process that [`a_worker_killed_mid_job`] starts and kills. Passes at once anywhere else.
#[tokio::test]
async fn victim() {
    let Some(url) = std::env::var_os(VICTIM) else { return };
    let mut config = StreamConfig::new(url.into_string().unwrap(), "conformance", Queue::Search);
    config.prefetch = 8;
    config.min_idle = Duration::from_millis(300);
    let backend = RedisStreams::new(config).unwrap();
    let worker =
        WorkerBuilder::new("victim").backend(backend).concurrency(2).build(async |wakeup: Wakeup| {
            println!("started {}", wakeup.job_id);
            std::future::pending::<Result<(), BoxDynError>>().await
        });
    worker.run().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_mid_job() {
    let rig = Rig::start().await;
    let pushed = rig.push_numbered(20).await;
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["backend::crash::victim", "--exact", "--nocapture"])
        .env(VICTIM, rig.server.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut started = Vec::new();
    while started.len() < 2 {
        let line =
            timeout(PATIENCE, lines.next_line()).await.expect("the victim starts nothing").unwrap().unwrap();
        // The test runner may have begun the line.
        started.extend(line.split_once("started ").map(|(_, id)| id.to_owned()));
    }
    assert_eq!(started, pushed[..2]);
    eventually("the victim holds two jobs and six entries", async || rig.pending().await == 8).await;
    victim.kill().await.unwrap();
    let since = Instant::now();

    let mut survivor = rig.worker("survivor", 1);
    let (mut recovered, mut fresh) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let job = survivor.next().await;
        if job.wakeup.redelivered && recovered.is_empty() {
            println!("first job recovered {:?} after the kill", since.elapsed());
        }
        let line = if job.wakeup.redelivered { &mut recovered } else { &mut fresh };
        line.push(job.job().to_owned());
        job.succeed();
    }
    assert_eq!(recovered, pushed[..8], "all that the victim held, oldest first");
    assert_eq!(fresh, pushed[8..]);
    rig.drained().await;
    assert_eq!(survivor.surprise(), None);
    survivor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dropped_without_goodbye() {
    let rig = Rig::start().await;
    rig.push(&["orphan"]).await;
    let mut dropped = rig.worker("dropped", 1);
    let orphan = dropped.next().await;
    dropped.abort();
    let mut survivor = rig.worker("survivor", 1);
    let again = survivor.next().await;
    assert_eq!((again.job(), again.wakeup.redelivered), ("orphan", true));
    again.succeed();
    drop(orphan);
    rig.drained().await;
    survivor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_of_a_dead_process_is_forgotten() {
    let mut rig = Rig::start().await;
    rig.config.block = Duration::from_millis(20);
    rig.config.forget_after = Duration::from_millis(300);
    rig.push(&["orphan"]).await;
    let mut dropped = rig.worker("dropped", 1);
    let _orphan = dropped.next().await;
    dropped.abort();
    let mut survivor = rig.worker("survivor", 1);
    assert_eq!(survivor.run_through(1).await, ["orphan"]);
    eventually(
        "only the living one is a consumer",
        async || matches!(rig.consumers().await.as_slice(), [one] if one.starts_with("survivor:")),
    )
    .await;
    survivor.stop().await;
}

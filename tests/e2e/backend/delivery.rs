//! What is delivered: all of it, in order, no more at a time than asked for, and gone when done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use shared::queue::{Due, Queue};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};
use workers::backend::{Nack, PushError, RedisStreams, Wakeup};

use super::rig::{PATIENCE, Rig, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_in_the_order_they_were_pushed_and_leave_nothing() {
    let rig = Rig::start().await;
    let pushed = rig.push_numbered(50).await;
    let mut worker = rig.worker("order", 1);
    assert_eq!(worker.run_through(50).await, pushed);
    rig.drained().await;
    worker.stop().await;
    rig.drained().await;
    assert!(rig.consumers().await.is_empty(), "a worker that stops takes its consumer along");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_held_than_prefetch_and_concurrency_allow() {
    let rig = Rig::start().await;
    rig.push_numbered(100).await;
    let mut worker = rig.worker("prefetch", 2);
    let mut running = vec![worker.next().await, worker.next().await];
    // One slot in four waits for entries taken over.
    eventually("six wait beside the two that run", async || rig.pending().await == 8).await;
    for finished in 1..=98 {
        running.swap_remove(0).succeed();
        running.push(worker.next().await);
        // What is finished and not yet acknowledged is pending too; reading the length first errs on its side.
        let unacknowledged = finished + rig.len().await - 100;
        assert!(rig.pending().await <= 2 + 6 + unacknowledged);
    }
    drop(running);
    rig.drained().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_acknowledged_and_a_nack_comes_again() {
    let rig = Rig::start().await;
    let mut worker = rig.worker("results", 1);
    rig.push(&["fails", "nacks"]).await;
    worker.next().await.fail("the handler has written this to the ledger");
    let nacked = worker.next().await;
    assert!(!nacked.wakeup.redelivered);
    nacked.fail(Nack::new("the ledger is away"));
    let again = worker.next().await;
    assert_eq!((again.job(), again.wakeup.redelivered), ("nacks", true));
    again.succeed();
    rig.drained().await;
    assert_eq!(worker.surprise(), None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_a_stream_without_doing_anything_twice() {
    let rig = Rig::start().await;
    let pushed = rig.push_numbered(400).await;
    let (mut one, mut other) = (rig.worker("one", 4), rig.worker("other", 4));
    let mut done = Vec::new();
    while done.len() < pushed.len() {
        let job = tokio::select! { job = one.next() => job, job = other.next() => job };
        done.push(job.job().to_owned());
        job.succeed();
    }
    rig.drained().await;
    assert_eq!((one.surprise(), other.surprise()), (None, None));
    done.sort();
    assert_eq!(done, pushed);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_keeps_its_claim_while_another_worker_waits_for_it() {
    let rig = Rig::start().await;
    let mut busy = rig.worker("busy", 2);
    rig.push(&["long"]).await;
    let long = busy.next().await;
    let mut idle = rig.worker("idle", 2);
    // A refused entry comes again after `min_idle`: five times is a clock that the claim must outlive.
    rig.push(&["clock"]).await;
    for round in 0..6 {
        let job = tokio::select! { job = busy.next() => job, job = idle.next() => job };
        assert_eq!(job.job(), "clock", "round {round}");
        if round < 5 { job.fail(Nack::new("tick")) } else { job.succeed() }
    }
    long.succeed();
    rig.drained().await;
    assert_eq!((busy.surprise(), idle.surprise()), (None, None));
    busy.stop().await;
    idle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_hold_no_job_are_put_aside() {
    let rig = Rig::start().await;
    let (stream, dead) = (rig.config.stream(), rig.config.dead());
    rig.ask::<String>(&["XADD", &stream, "*", "k", "v"]).await;
    rig.push(&["good"]).await;
    let mut binary = redis::cmd("XADD");
    binary.arg(&stream).arg("*").arg("j").arg(&[0xff_u8, 0x00]);
    binary.query_async::<String>(&mut rig.redis().await).await.unwrap();
    rig.push(&["better"]).await;
    let mut worker = rig.worker("undecodable", 1);
    assert_eq!(worker.run_through(2).await, ["good", "better"]);
    eventually("the stream is empty", async || rig.len().await == 0 && rig.pending().await == 0).await;
    assert_eq!(rig.ask::<usize>(&["XLEN", &dead]).await, 2);

    for _ in 0..600 {
        rig.ask::<String>(&["XADD", &stream, "*", "k", "v"]).await;
    }
    eventually("all of them are put aside", async || rig.len().await == 0).await;
    assert_eq!(rig.ask::<usize>(&["XLEN", &dead]).await, 500, "the oldest are dropped");
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_waiting_entries_drain() {
    const COUNT: usize = 100_000;
    let mut rig = Rig::start().await;
    rig.config.prefetch = 100;
    rig.push_numbered(COUNT).await;
    let (counter, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let context = WorkerContext::from("drain");
    let handler = {
        let (counter, all) = (counter.clone(), all.clone());
        move |_: Wakeup| {
            if counter.fetch_add(1, Ordering::SeqCst) + 1 == COUNT {
                all.notify_one();
            }
            async { Ok::<_, BoxDynError>(()) }
        }
    };
    let backend = RedisStreams::new(rig.config.clone()).unwrap();
    let worker = WorkerBuilder::new(&context).backend(backend).concurrency(64).build(handler);
    let since = Instant::now();
    let run = shared::task::spawn("worker", worker.run());
    timeout(PATIENCE, all.notified()).await.expect("not drained in time");
    rig.drained().await;
    println!("{COUNT} entries drained in {:?}", since.elapsed());
    assert_eq!(counter.load(Ordering::SeqCst), COUNT, "none came twice");
    context.stop().unwrap();
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_full_apalis_backend_with_layers_monitor_and_sink() {
    let rig = Rig::start().await;
    let mut backend = RedisStreams::new(rig.config.clone()).unwrap();
    backend.push(Wakeup::new("single")).await.unwrap();
    backend.push_bulk(vec![Wakeup::new("panics"), Wakeup::new("slow"), Wakeup::new("last")]).await.unwrap();
    assert_eq!(rig.len().await, 4);

    let (stop, stopped) = oneshot::channel::<()>();
    let monitor = Monitor::new().shutdown_timeout(Duration::from_secs(8)).register(move |restart| {
        WorkerBuilder::new(format!("search-{restart}"))
            .backend(backend.clone())
            .enable_tracing()
            .parallelize(|job| shared::task::spawn("job", job))
            .concurrency(2)
            .timeout(Duration::from_millis(200))
            .catch_panic()
            .build(async |wakeup: Wakeup| match wakeup.job_id.as_str() {
                "panics" => panic!("on purpose"),
                "slow" => std::future::pending().await,
                _ => Ok::<_, BoxDynError>(()),
            })
    });
    let signal = async move { stopped.await.map_err(std::io::Error::other) };
    let run = shared::task::spawn("monitor", async { monitor.run_with_signal(signal).await.map(drop) });
    // A panic and a timeout are results like any other: seen by the layers, then acknowledged.
    rig.drained().await;
    stop.send(()).unwrap();
    timeout(PATIENCE, run).await.expect("the monitor does not stop").unwrap().unwrap();
    assert!(rig.consumers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_the_cap_is_refused_in_so_many_words() {
    let mut rig = Rig::start().await;
    rig.config.cap = 3;
    let mut backend = RedisStreams::new(rig.config.clone()).unwrap();
    backend.push_bulk(vec![Wakeup::new("1"), Wakeup::new("2")]).await.unwrap();
    let refused = backend.push_bulk(vec![Wakeup::new("3"), Wakeup::new("4")]).await.unwrap_err();
    let TaskSinkError::PushError(PushError::Full { refused, offered }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((refused, offered), (1, 2));
    assert_eq!(rig.wakeups.len(Queue::Search).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_holds_is_counted_down_when_its_entries_leave() {
    let rig = Rig::start().await;
    let of = |account: &'static str, ids: &'static [&'static str]| {
        ids.iter().map(move |id| Due { id, account }).collect::<Vec<_>>()
    };
    let push =
        async |jobs: Vec<Due<'static>>| rig.wakeups.push_fairly(Queue::Search, &jobs, 2).await.unwrap();
    assert_eq!(push(of("busy", &["1", "2", "3"])).await, ["3"]);
    let mut worker = rig.worker("shares", 1);
    worker.next().await.succeed();
    eventually("the share of the entry that left", async || push(of("busy", &["3"])).await.is_empty()).await;
    worker.run_through(2).await;
    rig.drained().await;
    let counts = format!("{}:accounts", rig.config.stream());
    assert_eq!(rig.ask::<usize>(&["EXISTS", &counts]).await, 0, "nothing is left behind");
    worker.stop().await;
}

//! Three workers on the same lanes, woken by any id at any time: each lane is worked through in its order.

use std::collections::HashMap;
use std::sync::Arc;

use mongodb::bson::doc;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use shared::domain::jobs::JobState;
use shared::domain::time::Time;
use shared::ledger::{Claim, JobRow, Trouble, Verdict};

use super::bench::{Bench, LEASE, dead, done, later, lost, parked, retry_in};

const LANES: usize = 3;
const JOBS: i64 = 10;
const WORKERS: u64 = 3;

/// What workers did, in the order in which they did it.
#[derive(Default)]
struct Log {
    /// First sends, by lane.
    sent: HashMap<String, Vec<i64>>,
    /// The job that is being sent, by lane.
    sending: HashMap<String, i64>,
}

impl Log {
    fn begin(&mut self, job: &JobRow) {
        let (lane, seq) = place(job);
        assert_eq!(self.sending.insert(lane.clone(), seq), None, "one at a time in {lane}");
        let sent = self.sent.entry(lane).or_default();
        if !sent.contains(&seq) {
            sent.push(seq);
        }
    }

    fn end(&mut self, job: &JobRow) {
        let (lane, seq) = place(job);
        assert_eq!(self.sending.remove(&lane), Some(seq));
    }
}

fn place(job: &JobRow) -> (String, i64) {
    (job.lane.clone().expect("a lane"), job.lane_seq.expect("a place"))
}

fn any_verdict(rng: &mut StdRng) -> Verdict {
    match rng.random_range(0..12) {
        0..3 => retry_in(0),
        3 => dead(),
        4 => lost(0),
        5 => parked(),
        _ => done(),
    }
}

/// Works until every job has ended; now and then dies under a job before sending, releases lanes, or sweeps.
async fn work(bench: &Bench, jobs: &[JobRow], log: Arc<Mutex<Log>>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let worker = format!("w{seed}");
    while unfinished(bench).await > 0 {
        let woken_by = jobs.choose(&mut rng).expect("a job");
        match bench.ledger.claim(&woken_by.id, &worker).await.expect("claimed") {
            Claim::Taken(job) if rng.random_bool(0.1) => die(bench, &job).await,
            Claim::Taken(job) => send(bench, &job, &log, any_verdict(&mut rng)).await,
            Claim::BehindParked { job, head } => {
                bench.ledger.park_behind(&job, head.reason.as_deref()).await.expect("asked");
            }
            Claim::Gone | Claim::Behind => sweep(bench, &mut rng).await,
        }
    }
}

async fn unfinished(bench: &Bench) -> u64 {
    let filter = doc! { "state": { "$in": ["queued", "running", "parked", "unknown"] } };
    bench.rows().count_documents(filter).await.expect("read")
}

/// The worker dies under `job` before it sends: its lease runs out.
async fn die(bench: &Bench, job: &JobRow) {
    let ended = doc! { "$set": { "leaseUntil": Time::from_millis(0) } };
    bench.rows().update_one(doc! { "_id": &job.id }, ended).await.expect("written");
}

async fn send(bench: &Bench, job: &JobRow, log: &Mutex<Log>, verdict: Verdict) {
    if !bench.ledger.begin_send(job).await.expect("asked") {
        return; // taken away before anything was sent
    }
    log.lock().begin(job);
    tokio::task::yield_now().await;
    log.lock().end(job);
    let settled = bench.ledger.settle(job, &verdict, &Trouble::default(), Time::now()).await;
    settled.expect("written").expect("its lease holds");
}

/// Events from outside: customers write, proofs arrive, leases of the dead end.
async fn sweep(bench: &Bench, rng: &mut StdRng) {
    match rng.random_range(0..4) {
        0 => drop(bench.ledger.recover_one(|_| false, LEASE, Time::now()).await.expect("swept")),
        1 => {
            let lane = format!("sms:t{}", rng.random_range(0..LANES));
            bench.ledger.release_lane(&lane).await.expect("released");
        }
        2 => {
            if let Some(job) = bench.ledger.end_grace(true, later()).await.expect("swept")
                && job.state == JobState::Unknown
            {
                assert!(bench.ledger.prove(&job.id, None, Time::now()).await.expect("asked"));
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_keep_their_order_under_any_interleaving_of_three_workers() {
    let bench = Bench::open().await;
    let mut jobs = Vec::new();
    for n in 0..LANES {
        jobs.extend(bench.lane(&format!("sms:t{n}"), JOBS).await);
    }
    let log = Arc::new(Mutex::new(Log::default()));
    let workers = (0..WORKERS).map(|seed| work(&bench, &jobs, Arc::clone(&log), seed));
    futures::future::join_all(workers).await;
    for (lane, sent) in &log.lock().sent {
        assert!(sent.is_sorted(), "{lane}: {sent:?}");
    }
    for job in &jobs {
        let job = bench.job(job).await;
        assert!(job.state.is_finished() && job.open.is_none(), "{job:?}");
    }
}

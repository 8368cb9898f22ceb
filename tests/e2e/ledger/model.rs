//! Any sequence of events by three workers, compared with the pure state machine (`JobState::after`) step by step.

use std::collections::HashMap;

use futures::TryStreamExt;
use mongodb::bson::doc;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use shared::domain::delivery::{DeliveryState, News, Reason};
use shared::domain::jobs::{JobEvent, JobState};
use shared::domain::time::{Time, plus_millis};
use shared::ledger::{Claim, JobRow, LateRefusal, Recovered, STARTS_MAX, Trouble, Verdict};

use super::bench::{Bench, LATER, LEASE, later};

const CASES: u32 = 20;
const LANES: usize = 2;
const JOBS: usize = 6;
const WORKERS: usize = 3;

/// Something that happens. Workers act on what they last claimed or saw, however old.
#[derive(Debug, Clone)]
enum Event {
    Claim { worker: usize, job: usize },
    BeginSend { worker: usize },
    Settle { worker: usize, verdict: usize },
    ParkBehind { worker: usize },
    Recover,
    EndGrace { resend: bool },
    Prove { job: usize },
    Refuse { job: usize, for_now: bool },
    PutOff { job: usize, counts: bool },
    Release { lane: usize },
    Bury { job: usize },
}

fn any_event() -> impl Strategy<Value = Event> {
    let (worker, job) = (0..WORKERS, 0..JOBS);
    prop_oneof![
        8 => (worker.clone(), job.clone()).prop_map(|(worker, job)| Event::Claim { worker, job }),
        3 => worker.clone().prop_map(|worker| Event::BeginSend { worker }),
        8 => (worker.clone(), 0..6_usize).prop_map(|(worker, verdict)| Event::Settle { worker, verdict }),
        2 => worker.prop_map(|worker| Event::ParkBehind { worker }),
        2 => Just(Event::Recover),
        2 => any::<bool>().prop_map(|resend| Event::EndGrace { resend }),
        1 => job.clone().prop_map(|job| Event::Prove { job }),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, for_now)| Event::Refuse { job, for_now }),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, counts)| Event::PutOff { job, counts }),
        2 => (0..LANES).prop_map(|lane| Event::Release { lane }),
        1 => job.prop_map(|job| Event::Bury { job }),
    ]
}

/// What the ledger should hold of a job.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    state: JobState,
    epoch: i64,
    open: bool,
    starts: i32,
    attempt: u32,
    attempt_count: i32,
    resends: i32,
    due: bool,
    /// The current attempt began to send.
    sending: bool,
    /// Its outcome is unknown and its grace is not over.
    in_grace: bool,
}

impl Expected {
    /// Moves by the pure state machine; `false` where the event does not apply, and then nothing changes.
    fn moves(&mut self, event: JobEvent) -> bool {
        let Some(state) = self.state.after(event) else { return false };
        self.state = state;
        self.in_grace = state == JobState::Unknown;
        self.open &= !state.is_finished();
        true
    }

    /// Moves by somebody who does not hold the claim.
    fn is_moved(&mut self, event: JobEvent) -> bool {
        let moved = self.moves(event);
        self.epoch += i64::from(moved);
        self.due |= self.state == JobState::Queued && moved;
        moved
    }
}

/// The ledger under test, the model beside it, and what each worker holds.
struct Run<'a> {
    bench: &'a Bench,
    jobs: Vec<JobRow>,
    model: Vec<Expected>,
    claimed: [Option<JobRow>; WORKERS],
    seen_behind: [Option<JobRow>; WORKERS],
}

impl<'a> Run<'a> {
    async fn new(bench: &'a Bench) -> Self {
        bench.rows().delete_many(doc! {}).await.expect("emptied");
        let mut jobs = Vec::with_capacity(JOBS);
        for n in 0..JOBS {
            let row = Bench::row(&format!("sms:t{}", n % LANES), (n / LANES) as i64 + 1);
            bench.ledger.add(&row).await.expect("added");
            jobs.push(row);
        }
        let fresh = Expected {
            state: JobState::Queued,
            epoch: 0,
            open: true,
            starts: 0,
            attempt: 0,
            attempt_count: 0,
            resends: 0,
            due: true,
            sending: false,
            in_grace: false,
        };
        let model = vec![fresh; JOBS];
        Self { bench, jobs, model, claimed: [const { None }; 3], seen_behind: [const { None }; 3] }
    }

    fn place(&self, id: &str) -> usize {
        self.jobs.iter().position(|job| job.id == id).expect("one of the jobs")
    }

    /// The job that holds the lane of `job`. Jobs stand in the order of their lanes.
    fn head(&self, job: usize) -> Option<usize> {
        (job % LANES..JOBS).step_by(LANES).find(|place| self.model[*place].open)
    }

    async fn step(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Claim { worker, job } => self.claim(worker, job).await?,
            Event::BeginSend { worker } => self.begin_send(worker).await?,
            Event::Settle { worker, verdict } => self.settle(worker, verdict).await?,
            Event::ParkBehind { worker } => self.park_behind(worker).await?,
            Event::Recover => self.recover().await?,
            Event::EndGrace { resend } => self.end_grace(resend).await?,
            Event::Prove { job } => {
                let news =
                    self.bench.ledger.prove(&self.jobs[job].id, None, Time::now()).await.expect("asked");
                prop_assert_eq!(self.model[job].is_moved(JobEvent::Prove), news);
            }
            Event::Refuse { job, for_now } => self.refuse(job, for_now).await?,
            Event::PutOff { job, counts } => self.put_off(job, counts).await?,
            Event::Release { lane } => {
                let released = self.bench.ledger.release_lane(&format!("sms:t{lane}")).await.expect("asked");
                let mut expected = 0;
                for job in self.model.iter_mut().skip(lane).step_by(LANES) {
                    let parked = job.state == JobState::Parked && job.open;
                    expected += u64::from(parked && job.is_moved(JobEvent::Release));
                }
                prop_assert_eq!(released, expected);
            }
            Event::Bury { job } => {
                let bury = self.bench.ledger.bury(&self.jobs[job].id, "expired", "too old", Time::now());
                bury.await.expect("asked");
                let may = matches!(self.model[job].state, JobState::Queued | JobState::Parked);
                if may && self.model[job].is_moved(JobEvent::GiveUp) {
                    self.model[job].attempt_count += 1;
                }
            }
        }
        self.compare().await
    }

    async fn claim(&mut self, worker: usize, job: usize) -> Result<(), TestCaseError> {
        let claim = self.bench.ledger.claim(&self.jobs[job].id, &format!("w{worker}")).await.expect("asked");
        if self.model[job].state != JobState::Queued {
            prop_assert_eq!(claim, Claim::Gone);
            return Ok(());
        }
        let head = self.head(job).expect("a queued job holds its lane");
        let runs = (job % LANES..JOBS).step_by(LANES).any(|n| self.model[n].state == JobState::Running);
        match self.model[head].state {
            JobState::Queued if self.model[head].due && !runs => {
                let Claim::Taken(row) = claim else { return Err(TestCaseError::fail(format!("{claim:?}"))) };
                prop_assert_eq!(&row.id, &self.jobs[head].id);
                let expected = &mut self.model[head];
                prop_assert!(expected.moves(JobEvent::Claim));
                expected.epoch += 1;
                expected.starts += 1;
                expected.attempt += 1;
                expected.sending = false;
                self.claimed[worker] = Some(*row);
            }
            JobState::Parked => {
                let Claim::BehindParked { job: seen, head: parked } = claim else {
                    return Err(TestCaseError::fail(format!("{claim:?}")));
                };
                prop_assert_eq!((&seen.id, &parked.id), (&self.jobs[job].id, &self.jobs[head].id));
                self.seen_behind[worker] = Some(*seen);
            }
            _ => prop_assert_eq!(claim, Claim::Behind),
        }
        Ok(())
    }

    /// The job that `worker` claimed last, and whether it still is its own.
    fn held(&self, worker: usize) -> Option<(usize, JobRow, bool)> {
        let row = self.claimed[worker].clone()?;
        let place = self.place(&row.id);
        let job = &self.model[place];
        let own = job.state == JobState::Running && job.epoch == row.epoch;
        Some((place, row, own))
    }

    async fn begin_send(&mut self, worker: usize) -> Result<(), TestCaseError> {
        let Some((place, row, own)) = self.held(worker) else { return Ok(()) };
        prop_assert_eq!(self.bench.ledger.begin_send(&row).await.expect("asked"), own);
        self.model[place].sending |= own;
        Ok(())
    }

    async fn settle(&mut self, worker: usize, verdict: usize) -> Result<(), TestCaseError> {
        let Some((place, row, own)) = self.held(worker) else { return Ok(()) };
        let now = Time::now();
        let retry = |wait, counts| Verdict::Retry { due_at: plus_millis(now, wait), counts };
        let (verdict, event) = match verdict {
            0 => (Verdict::Done { provider_id: None }, JobEvent::Succeed),
            1 => (retry(0, true), JobEvent::Retry),
            2 => (retry(LATER, false), JobEvent::Retry),
            3 => (Verdict::Park { reason: Reason::NeedsTemplate }, JobEvent::Park),
            4 => (Verdict::Unknown { grace_until: now }, JobEvent::LoseTrack),
            _ => (Verdict::Dead { reason: Reason::ProviderRejected }, JobEvent::GiveUp),
        };
        let settled =
            self.bench.ledger.settle(&row, &verdict, &Trouble::default(), now).await.expect("asked");
        prop_assert_eq!(settled.is_ok(), own, "fenced off exactly when the job was moved");
        if !own {
            return Ok(());
        }
        let job = &mut self.model[place];
        prop_assert!(job.moves(event));
        match verdict {
            Verdict::Done { .. } => {}
            Verdict::Retry { counts, .. } => {
                (job.starts, job.due) = (0, counts);
                job.attempt_count += i32::from(counts);
            }
            Verdict::Park { .. } => job.starts = 0,
            Verdict::Unknown { .. } | Verdict::Dead { .. } => job.attempt_count += 1,
        }
        Ok(())
    }

    async fn park_behind(&mut self, worker: usize) -> Result<(), TestCaseError> {
        let Some(seen) = self.seen_behind[worker].clone() else { return Ok(()) };
        let place = self.place(&seen.id);
        let parked = self.bench.ledger.park_behind(&seen, None).await.expect("asked");
        if self.model[place].state != JobState::Queued || self.model[place].epoch != seen.epoch {
            prop_assert!(!parked);
            return Ok(());
        }
        let behind_parked =
            self.head(place).is_some_and(|head| head != place && self.model[head].state == JobState::Parked);
        prop_assert_eq!(parked, behind_parked);
        prop_assert!(self.model[place].moves(JobEvent::Park));
        if !parked {
            self.model[place].is_moved(JobEvent::Release);
        }
        Ok(())
    }

    async fn recover(&mut self) -> Result<(), TestCaseError> {
        let recovered = self.bench.ledger.recover_one(|_| false, LEASE, later()).await.expect("swept");
        let Some(recovered) = recovered else {
            prop_assert!(self.model.iter().all(|job| job.state != JobState::Running));
            return Ok(());
        };
        let (row, event) = match &recovered {
            Recovered::Requeued(row) => (row, JobEvent::LeaseExpired),
            Recovered::Unknown(row) => (row, JobEvent::LoseTrack),
            Recovered::Poison(row) => (row, JobEvent::GiveUp),
        };
        let place = self.place(&row.id);
        let job = &mut self.model[place];
        let expected = match (job.sending, job.starts >= STARTS_MAX) {
            (true, _) => JobEvent::LoseTrack,
            (false, true) => JobEvent::GiveUp,
            (false, false) => JobEvent::LeaseExpired,
        };
        prop_assert_eq!(event, expected);
        prop_assert_eq!(job.state, JobState::Running);
        prop_assert!(job.is_moved(event));
        Ok(())
    }

    async fn end_grace(&mut self, resend: bool) -> Result<(), TestCaseError> {
        let ended = self.bench.ledger.end_grace(resend, later()).await.expect("swept");
        let Some(row) = ended else {
            prop_assert!(self.model.iter().all(|job| !job.in_grace));
            return Ok(());
        };
        let place = self.place(&row.id);
        let job = &mut self.model[place];
        prop_assert!(job.in_grace);
        if resend && job.resends == 0 {
            prop_assert!(job.is_moved(JobEvent::Release));
            (job.resends, job.starts) = (1, 0);
        } else {
            job.epoch += 1;
            (job.in_grace, job.open) = (false, false);
        }
        Ok(())
    }

    async fn refuse(&mut self, job: usize, for_now: bool) -> Result<(), TestCaseError> {
        let row = self.bench.job(&self.jobs[job]).await;
        let news = News::new(row.attempt, DeliveryState::Failed, Time::now());
        let refuse = self.bench.ledger.refuse(&row, for_now, "permanent", &news, Time::now());
        let event = if for_now { JobEvent::RefuseForNow } else { JobEvent::Refuse };
        prop_assert_eq!(refuse.await.expect("asked"), self.model[job].is_moved(event));
        self.model[job].open |= self.model[job].state == JobState::Parked;
        Ok(())
    }

    async fn put_off(&mut self, job: usize, counts: bool) -> Result<(), TestCaseError> {
        let row = self.bench.job(&self.jobs[job]).await;
        let now = Time::now();
        let due_at = plus_millis(now, if counts { 0 } else { LATER });
        let refusal = LateRefusal { attempt: row.attempt, due_at, counts, trouble: Trouble::default() };
        let put_off = self.bench.ledger.refuse_for_later(&row, &refusal, now).await.expect("asked");
        let model = &mut self.model[job];
        prop_assert_eq!(put_off, model.is_moved(JobEvent::RefuseForLater));
        if put_off {
            (model.open, model.starts, model.due) = (true, 0, counts);
            model.attempt_count += i32::from(counts);
        }
        Ok(())
    }

    /// Every row is what the model says.
    async fn compare(&self) -> Result<(), TestCaseError> {
        let rows = self.bench.db.store().raw().collection::<JobRow>("jobs");
        let rows: Vec<JobRow> = rows.find(doc! {}).await.expect("read").try_collect().await.expect("read");
        let rows: HashMap<&str, &JobRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        for (job, expected) in self.jobs.iter().zip(&self.model) {
            let row = rows[job.id.as_str()];
            let found = Expected {
                state: row.state,
                epoch: row.epoch,
                open: row.open.unwrap_or_default(),
                starts: row.starts,
                attempt: row.attempt,
                attempt_count: row.attempt_count,
                resends: row.resends,
                in_grace: row.grace_until.is_some(),
                ..expected.clone()
            };
            prop_assert_eq!(&found, expected);
            prop_assert_eq!(row.lease_until.is_some(), row.state == JobState::Running);
            prop_assert_eq!(row.finished_at.is_some(), row.state.is_finished());
        }
        Ok(())
    }
}

#[test]
fn any_sequence_of_events_moves_the_ledger_as_the_state_machine_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bench = runtime.block_on(Bench::open());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    // The same cases each time, so that a failure comes again.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&prop::collection::vec(any_event(), 1..60), |events| {
        runtime.block_on(async {
            let mut run = Run::new(&bench).await;
            for event in &events {
                run.step(event).await?;
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

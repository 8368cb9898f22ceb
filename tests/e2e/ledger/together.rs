//! Claims and ends of several jobs in one command: each member as if it had been alone.

use shared::domain::jobs::JobState;
use shared::domain::time::Time;
use shared::ledger::{Done, Fenced, JobRow, Mark, Trouble, Verdict};

use super::bench::{Bench, LEASE, done, later, retry_in};

/// The head of a lane for each of `lanes`.
async fn heads(bench: &Bench, lanes: usize) -> Vec<JobRow> {
    let mut heads = Vec::new();
    for n in 0..lanes {
        heads.extend(bench.lane(&format!("sms:t{n}"), 1).await);
    }
    heads
}

async fn take_all(bench: &Bench, jobs: &[JobRow]) -> Vec<Option<JobRow>> {
    let jobs: Vec<&JobRow> = jobs.iter().collect();
    bench.ledger.take_all(&jobs, "w1").await.expect("asked")
}

fn sent(job: &JobRow) -> Done {
    Done { job: job.clone(), provider_id: Some(format!("wamid.{}", job.id)) }
}

#[tokio::test]
async fn jobs_claimed_together_are_as_if_each_were_claimed_alone() {
    let bench = Bench::open().await;
    let mut heads = heads(&bench, 4).await;
    let last = heads.pop().expect("four");
    let alone = bench.ledger.take(&last, "w1", Mark::Sending).await.expect("asked").expect("taken");
    for (seen, taken) in heads.iter().zip(take_all(&bench, &heads).await) {
        let taken = taken.expect("taken");
        assert_eq!((&taken.id, taken.state), (&seen.id, JobState::Running));
        assert_eq!((taken.epoch, taken.starts, taken.attempt), (alone.epoch, alone.starts, alone.attempt));
        assert_eq!((taken.attempts.len(), &taken.attempts[0].worker), (1, &alone.attempts[0].worker));
        assert!(taken.sending_at.is_some() && taken.lease_until.is_some());
        assert_eq!(bench.job(seen).await, taken);
    }
}

#[tokio::test]
async fn a_member_that_was_moved_or_is_not_due_is_left_alone_and_the_others_are_claimed() {
    let bench = Bench::open().await;
    let heads = heads(&bench, 4).await;
    let moved = bench.take(&heads[1]).await;
    let put_off = bench.take(&heads[2]).await;
    bench.settle(&put_off, retry_in(60_000)).await;
    let waiting = bench.job(&heads[2]).await;
    let seen = [heads[0].clone(), heads[1].clone(), waiting.clone(), heads[3].clone()];
    let taken: Vec<bool> = take_all(&bench, &seen).await.iter().map(Option::is_some).collect();
    assert_eq!(taken, [true, false, false, true]);
    assert_eq!(bench.job(&heads[1]).await, moved);
    assert_eq!(bench.job(&heads[2]).await, waiting);
}

#[tokio::test]
async fn a_member_whose_lane_runs_keeps_nobody_else_from_being_claimed() {
    let bench = Bench::open().await;
    let busy = bench.lane("sms:busy", 2).await;
    bench.take(&busy[0]).await;
    let free = heads(&bench, 3).await;
    let seen = [free[0].clone(), busy[1].clone(), free[1].clone(), free[2].clone()];
    let taken: Vec<bool> = take_all(&bench, &seen).await.iter().map(Option::is_some).collect();
    assert_eq!(taken, [true, false, true, true]);
    assert_eq!(bench.state(&busy[1]).await, JobState::Queued);
}

#[tokio::test]
async fn the_same_job_twice_in_a_group_is_claimed_once() {
    let bench = Bench::open().await;
    let heads = heads(&bench, 2).await;
    let seen = [heads[0].clone(), heads[0].clone(), heads[1].clone()];
    let taken: Vec<bool> = take_all(&bench, &seen).await.iter().map(Option::is_some).collect();
    assert_eq!(taken, [true, false, true]);
    assert_eq!(bench.job(&heads[0]).await.starts, 1);
}

#[tokio::test]
async fn jobs_ended_together_read_like_one_that_was_ended_alone() {
    let bench = Bench::open().await;
    let heads = heads(&bench, 3).await;
    let taken: Vec<JobRow> = take_all(&bench, &heads).await.into_iter().flatten().collect();
    let (single, group) = taken.split_first().expect("three");
    let verdict = Verdict::Done { provider_id: Some(format!("wamid.{}", single.id)) };
    let alone = bench.ledger.settle(single, &verdict, &Trouble::default(), Time::now()).await;
    alone.expect("asked").expect("ours");
    let done: Vec<Done> = group.iter().map(sent).collect();
    assert_eq!(bench.ledger.settle_all(&done, Time::now()).await.expect("asked"), [Ok(()), Ok(())]);
    let alone = bench.job(single).await;
    for job in group {
        let mut ended = bench.job(job).await;
        assert_eq!(ended.provider_id, Some(format!("wamid.{}", job.id)));
        assert!(ended.finished_at.is_some() && ended.attempts[0].finished_at.is_some());
        // But for what is its own, it is the same row.
        ended.id.clone_from(&alone.id);
        ended.lane.clone_from(&alone.lane);
        ended.provider_id.clone_from(&alone.provider_id);
        ended.attempts.clone_from(&alone.attempts);
        (ended.due_at, ended.push_after, ended.created_at) =
            (alone.due_at, alone.push_after, alone.created_at);
        ended.finished_at = alone.finished_at;
        assert_eq!(ended, alone);
    }
}

#[tokio::test]
async fn a_member_that_lost_its_claim_is_fenced_off_and_the_others_end() {
    let bench = Bench::open().await;
    let heads = heads(&bench, 3).await;
    let zombie = bench.take(&heads[1]).await;
    let recovered = bench.ledger.recover_one(|_| false, LEASE, later()).await.expect("swept");
    assert!(recovered.is_some());
    let again = bench.take(&heads[1]).await;
    let (first, third) = (bench.take(&heads[0]).await, bench.take(&heads[2]).await);
    let ends: Vec<Done> = [&first, &zombie, &third].map(sent).to_vec();
    let settled = bench.ledger.settle_all(&ends, Time::now()).await.expect("asked");
    assert_eq!(settled, [Ok(()), Err(Fenced), Ok(())]);
    assert_eq!(bench.job(&heads[1]).await, again, "nothing of it was changed");
    bench.settle(&again, done()).await;
}

//! Telling who is here to those who would write e-mails: a register in Redis, kept by a task of its own. Best effort:
//! with Redis away nobody is known to be here, and mails go out.
//!
//! Another process that still has a socket of somebody who left here enters it again at its next round.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use shared::presence::RedisPresence;
use tokio::time::MissedTickBehavior;

use super::Hall;
use super::seats::{Caller, Seats};

/// How long an entry lasts without being renewed. Far below the delay after which mails are sent.
const HOLD: Duration = Duration::from_secs(30);
/// How often entries are renewed: two rounds may fail.
const ROUND: Duration = Duration::from_secs(10);
/// Entries written in one round trip.
const BATCH_MAX: usize = 500;

/// Starts the task, which ends when the hall closes. Its last entries end by themselves: clients of a process that
/// stops are soon at another.
pub(super) fn start(hall: &Arc<Hall>, register: RedisPresence) {
    let (seats, closing) = (hall.seats.clone(), hall.closing.clone());
    shared::task::spawn("live.presence", async move {
        closing.run_until_cancelled(keep(seats, register)).await;
    });
}

async fn keep(seats: Seats, register: RedisPresence) {
    let mut known: HashSet<Caller> = HashSet::new();
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let all = tokio::select! {
            _ = round.tick() => true,
            () = seats.changed() => false,
        };
        let here = seats.callers();
        let entered: Vec<Caller> =
            here.iter().filter(|caller| all || !known.contains(*caller)).cloned().collect();
        let left: Vec<Caller> = known.difference(&here).cloned().collect();
        for batch in entered.chunks(BATCH_MAX) {
            note(register.keep_online(batch, HOLD).await);
        }
        for batch in left.chunks(BATCH_MAX) {
            note(register.forget(batch).await);
        }
        known = here;
    }
}

fn note(result: Result<(), shared::queue::QueueError>) {
    if let Err(error) = result {
        tracing::debug!(%error, "the register of who is here was not written");
    }
}

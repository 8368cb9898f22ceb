//! A store with many messages: made by the product's own rules, written straight through the driver.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::Rng as _;
use shared::domain::actor::{Actor, Role, Roles};
use shared::domain::ids::{AccountId, MessageId, ThreadId, Uid};
use shared::domain::message::{Draft, Message, MessageType};
use shared::domain::post::post;
use shared::domain::thread::{Thread, ThreadDraft};
use shared::domain::time::{Time, plus_millis};

use crate::latency::{first_word, now_ms};
use crate::load::text;
use crate::stack::{ACCOUNT, Stack};

/// Agents among whom the threads are spread.
pub(crate) const AGENTS: usize = 8;
/// Messages per thread, on average.
const MESSAGES_PER_THREAD: usize = 20;
/// One thread in so many is long: these hold half of all messages.
const LONG_EVERY: usize = 100;
/// One of an agent's in so many waits for the agent; one in so many is flagged, is a support room that nobody has
/// answered.
const WAITING_EVERY: usize = 10;
const FLAGGED_EVERY: usize = 50;
const ROOM_EVERY: usize = 100;
/// One message in so many is a note.
const NOTE_EVERY: usize = 15;
/// Over which time the messages are spread.
const SPAN_MS: i64 = 30 * 24 * 3600 * 1000;
/// Documents of one insert, and inserts at once.
const BATCH: usize = 500;
const WRITERS: usize = 4;

/// What was stored.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) threads: usize,
    pub(crate) messages: usize,
    /// The threads with many messages: number and how many.
    pub(crate) long: Vec<(usize, usize)>,
    /// A word that stands in one message only, of some threads.
    pub(crate) rare_words: Vec<String>,
}

impl Volume {
    /// Stores `messages` messages in a twentieth as many threads.
    pub(crate) async fn fill(stack: &Stack, messages: usize) -> anyhow::Result<Self> {
        let threads = messages / MESSAGES_PER_THREAD;
        let plan = Plan::new(threads, messages);
        let fill = |thread: usize| plan.store(stack, thread);
        let words: Vec<Option<String>> =
            stream::iter(0..threads).map(fill).buffered(WRITERS).try_collect().await?;
        let long = (0..threads).filter(|n| plan.is_long(*n)).map(|n| (n, plan.messages_of(n))).collect();
        let messages = (0..threads).map(|n| plan.messages_of(n)).sum();
        Ok(Self { threads, messages, long, rare_words: words.into_iter().flatten().collect() })
    }

    /// The key of thread number `n`.
    pub(crate) fn thread_key(n: usize) -> String {
        format!("{ACCOUNT}/{}", thread_id(n))
    }

    /// The id of message `seq` of thread number `n`.
    pub(crate) fn message_id(n: usize, seq: usize) -> String {
        format!("m{n}-{seq}")
    }
}

/// The id of thread number `n`.
pub(crate) fn thread_id(n: usize) -> String {
    format!("t{n}")
}

/// The agent of number `n`.
pub(crate) fn agent(n: usize) -> String {
    format!("agent-{n}")
}

/// How the messages are spread.
struct Plan {
    threads: usize,
    messages: usize,
    account: AccountId,
    roles: Roles,
    /// Milliseconds since 1970 of the first message.
    begun: i64,
}

impl Plan {
    fn new(threads: usize, messages: usize) -> Self {
        let roles = (0..AGENTS).map(|n| (uid(&agent(n)), Role::Agent)).collect();
        let account = AccountId::parse(ACCOUNT).expect("the account's id is well-formed");
        Self { threads, messages, account, roles, begun: now_ms() - SPAN_MS }
    }

    fn is_long(&self, thread: usize) -> bool {
        thread.is_multiple_of(LONG_EVERY)
    }

    fn messages_of(&self, thread: usize) -> usize {
        let long = self.threads.div_ceil(LONG_EVERY);
        let half = self.messages / 2;
        // Of `half` among `of`, what falls to number `n`: the whole is kept.
        let share = |n: usize, of: usize| (n + 1) * half / of - n * half / of;
        match self.is_long(thread) {
            true => share(thread / LONG_EVERY, long),
            false => share(thread - thread / LONG_EVERY - 1, self.threads - long),
        }
    }

    /// Stores thread number `n` with its messages; answers the rare word of its last one, for a tenth of the threads.
    async fn store(&self, stack: &Stack, n: usize) -> anyhow::Result<Option<String>> {
        let (thread, messages) = self.make(n)?;
        let collection = stack.store.raw().collection::<Message>("messages");
        for batch in messages.chunks(BATCH) {
            collection.insert_many(batch).await?;
        }
        stack.store.raw().collection::<Thread>("threads").insert_one(&thread).await?;
        let last = thread.last_public_message.filter(|_| n.is_multiple_of(10));
        Ok(last.map(|message| first_word(&message.body)))
    }

    /// Thread number `n` after its messages, as if they had been posted one after the other.
    fn make(&self, n: usize) -> anyhow::Result<(Thread, Vec<Message>)> {
        let (is_room, waits) = (n % ROOM_EVERY == ROOM_EVERY - 1, (n / AGENTS).is_multiple_of(WAITING_EVERY));
        let guest = self.actor(&format!("guest-{n}"), Role::Guest);
        let staff = self.actor(&agent(n % AGENTS), Role::Agent);
        let at = |message: usize, of: usize| {
            let part = SPAN_MS as f64 * (message as f64 + n as f64 / self.threads as f64) / of as f64;
            plus_millis(Time::from_millis(self.begun), part as i64)
        };
        let count = self.messages_of(n);
        let mut thread = match is_room {
            true => {
                Thread::room(&self.account, Some(ThreadId::parse(&thread_id(n))?), &guest.uid, at(0, count))
            }
            false => Thread::create(self.draft(n, &staff, &guest)?, &staff, at(0, count))?,
        };
        let mut messages = Vec::with_capacity(count);
        for i in 0..count {
            let is_last = i + 1 == count;
            let by_guest = is_room || (is_last && waits) || (!is_last && i % 2 == 0);
            let note = !by_guest && i % NOTE_EVERY == 1;
            let draft = Draft {
                message_id: Some(MessageId::parse(&Volume::message_id(n, i + 1))?),
                body: text(),
                kind: note.then_some(MessageType::Note),
                ..Draft::default()
            };
            let author = if by_guest { &guest } else { &staff };
            let commit = post(&thread, &self.roles, draft, author, at(i, count))?;
            thread = commit.thread;
            messages.push(commit.message);
        }
        Ok((thread, messages))
    }

    fn draft(&self, n: usize, staff: &Actor, guest: &Actor) -> anyhow::Result<ThreadDraft> {
        Ok(ThreadDraft {
            thread_id: Some(ThreadId::parse(&thread_id(n))?),
            title: Some(format!("Room {n}, {}", rand::rng().random_range(1..10_000))),
            participant_ids: vec![staff.uid.clone(), guest.uid.clone()],
            important: Some(n % FLAGGED_EVERY == 1),
            ..ThreadDraft::default()
        })
    }

    fn actor(&self, name: &str, role: Role) -> Actor {
        Actor { account: self.account.clone(), uid: uid(name), role, conversation_id: name.to_owned() }
    }
}

fn uid(name: &str) -> Uid {
    Uid::parse(name).expect("names of agents and guests are well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_are_spread_and_half_of_them_over_the_long_threads() {
        let plan = Plan::new(10_000, 200_000);
        let of = |long: bool| -> usize {
            (0..10_000).filter(|n| plan.is_long(*n) == long).map(|n| plan.messages_of(n)).sum()
        };
        assert_eq!([of(true), of(false)], [100_000, 100_000]);
    }

    #[test]
    fn a_thread_looks_as_if_it_had_been_written() {
        let plan = Plan::new(200, 4_000);
        let (thread, messages) = plan.make(2).unwrap();
        assert_eq!((thread.seq as usize, messages.len()), (plan.messages_of(2), plan.messages_of(2)));
        assert_eq!(thread.last_message.as_ref(), messages.last());
        assert!(thread.needs_attention.contains(&uid(&agent(2))), "it waits for its agent");
        assert!(thread.updated_at > thread.created_at);
    }
}

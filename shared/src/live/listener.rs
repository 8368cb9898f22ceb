//! Hearing events: those of this process directly, those of others from Redis, over a connection that is made again
//! for ever.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use parking_lot::Mutex;
use redis::Client;
use redis::aio::PubSub;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::LiveEvent;
use super::event::decode;
use crate::domain::message::Message;
use crate::domain::thread::Thread;
use crate::domain::time::{Time, plus_millis};
use crate::task;

/// Events that may wait for the listener; beyond it, it is told that it missed some.
const HEARD_MAX: usize = 2048;
/// How long connecting and subscribing, or a ping, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(250);
/// How often the connection is asked whether it lives: one whose other end has silently gone tells nothing.
const PING: Duration = Duration::from_secs(3);
/// How far back an outage may reach beyond the last sign of life: clocks differ, and an event takes its time.
const MARGIN_MS: i64 = 5_000;

/// What a listener is told.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Something happened.
    Event {
        /// What.
        event: LiveEvent,
        /// What it is about, when this process has it at hand.
        carried: Option<Carried>,
    },
    /// Events since then may have been lost.
    Missed { since: Time },
}

/// What an event of this process is about, as it was committed.
#[derive(Debug, Clone)]
pub struct Carried {
    /// The thread after the change.
    pub thread: Arc<Thread>,
    /// The message, where the event is about one.
    pub message: Option<Arc<Message>>,
}

/// The listening end: one for a process.
pub struct LiveSubscriber {
    heard: mpsc::Receiver<Heard>,
    missed: Arc<Missed>,
}

impl LiveSubscriber {
    /// The next event; `None` never comes while somebody may still publish. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Heard> {
        tokio::select! {
            since = self.missed.take() => Some(Heard::Missed { since }),
            heard = self.heard.recv() => heard,
        }
    }
}

/// Since when events may be missing: noted by many, taken by one.
#[derive(Default)]
pub struct Missed {
    since: Mutex<Option<Time>>,
    noted: Notify,
}

impl Missed {
    /// Notes that events since `since` may be missing; the earliest counts.
    pub fn note(&self, since: Time) {
        let mut noted = self.since.lock();
        *noted = Some(noted.map_or(since, |before| before.min(since)));
        self.noted.notify_one();
    }

    /// Notes that events of this moment are missing.
    pub fn note_now(&self) {
        self.note(plus_millis(Time::now(), -MARGIN_MS));
    }

    /// Waits until something is missing, and takes it. Dropping the future loses nothing.
    pub async fn take(&self) -> Time {
        loop {
            if let Some(since) = self.since.lock().take() {
                return since;
            }
            self.noted.notified().await;
        }
    }
}

/// Where events for the listener are put, without waiting.
#[derive(Clone)]
pub(super) struct Ears {
    heard: mpsc::Sender<Heard>,
    missed: Arc<Missed>,
}

impl Ears {
    pub(super) fn hear(&self, heard: Heard) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.heard.try_send(heard) {
            metrics::counter!("live_dropped_total", "where" => "listen").increment(1);
            self.missed.note_now();
        }
    }

    fn are_shut(&self) -> bool {
        self.heard.is_closed()
    }
}

/// A subscriber and where it hears from.
pub(super) fn subscriber() -> (LiveSubscriber, Ears) {
    let (sender, heard) = mpsc::channel(HEARD_MAX);
    let missed = Arc::new(Missed::default());
    (LiveSubscriber { heard, missed: Arc::clone(&missed) }, Ears { heard: sender, missed })
}

/// Starts the task that hears what other processes say; it ends when the subscriber is dropped.
pub(super) fn start(client: Client, channel: String, own: Arc<str>, ears: Ears) {
    let ear = Ear { client, channel, own, ears };
    task::spawn("live.listen", async move { ear.run().await });
}

struct Ear {
    client: Client,
    channel: String,
    own: Arc<str>,
    ears: Ears,
}

impl Ear {
    async fn run(&self) {
        let mut last_sign = Time::now();
        let mut told = false;
        while !self.ears.are_shut() {
            match timeout(PATIENCE, self.subscribe()).await {
                Ok(Ok(connection)) => {
                    tracing::info!("hears live events");
                    told = false;
                    // Not before the subscription stands: what is looked up then misses nothing that follows.
                    self.ears.missed.note(plus_millis(last_sign, -MARGIN_MS));
                    last_sign = self.hear(connection).await;
                }
                failed if !std::mem::replace(&mut told, true) => {
                    let error = failed.ok().and_then(Result::err).map(|error| error.to_string());
                    tracing::warn!(error, "redis is away: live events of other processes are not heard");
                }
                _ => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn subscribe(&self) -> redis::RedisResult<PubSub> {
        let mut connection = self.client.get_async_pubsub().await?;
        connection.subscribe(&self.channel).await?;
        Ok(connection)
    }

    /// Listens until the connection breaks; answers when it last gave a sign of life.
    async fn hear(&self, connection: PubSub) -> Time {
        let (mut sink, mut stream) = connection.split();
        let mut last_sign = Time::now();
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = stream.next() => {
                    let Some(message) = message else { return last_sign };
                    last_sign = Time::now();
                    if let Ok(text) = message.get_payload::<String>() {
                        self.take(&text);
                    }
                }
                _ = pings.tick() => {
                    match timeout(PATIENCE, sink.ping::<redis::Value>()).await {
                        Ok(Ok(_)) if !self.ears.are_shut() => last_sign = Time::now(),
                        _ => return last_sign,
                    }
                }
            }
        }
    }

    fn take(&self, text: &str) {
        match decode(text) {
            Some((origin, _)) if *origin == *self.own => {}
            Some((_, event)) => self.ears.hear(Heard::Event { event, carried: None }),
            None => metrics::counter!("live_dropped_total", "where" => "unknown").increment(1),
        }
    }
}

//! Events between processes: heard elsewhere, not twice at home, again after Redis was away.

use std::time::Duration;

use shared::domain::ids::{AccountId, MessageId, ThreadId};
use shared::live::{Heard, LiveEvent, LivePublisher, LiveSubscriber, connect};
use tests::servers::RedisServer;
use tokio::time::timeout;

fn event(id: &str) -> LiveEvent {
    LiveEvent::Message {
        account: AccountId::parse("acme").unwrap(),
        thread: ThreadId::parse("t1").unwrap(),
        message: MessageId::parse(id).unwrap(),
    }
}

async fn next(ears: &mut LiveSubscriber) -> Heard {
    timeout(Duration::from_secs(20), ears.next())
        .await
        .expect("something is heard")
        .expect("somebody may speak")
}

/// The next event, past what may have been missed.
async fn next_event(ears: &mut LiveSubscriber) -> LiveEvent {
    loop {
        if let Heard::Event { event, .. } = next(ears).await {
            return event;
        }
    }
}

/// Waits until the subscription stands, which is told as a time since when events may be missing.
async fn subscribed(ears: &mut LiveSubscriber) {
    while !matches!(next(ears).await, Heard::Missed { .. }) {}
}

/// Publishes until `ears` hear it: a connection is made a moment after Redis is there.
async fn heard_again(publisher: &LivePublisher, ears: &mut LiveSubscriber, id: &str) {
    for _ in 0..200 {
        publisher.publish(event(id));
        let heard = timeout(Duration::from_millis(100), next_event(ears)).await;
        if heard.is_ok_and(|heard| heard == event(id)) {
            return;
        }
    }
    panic!("nothing is heard any more");
}

#[tokio::test]
async fn an_event_is_heard_once_by_everybody() {
    let redis = RedisServer::start().await.expect("redis-server");
    let (one, mut at_one) = connect(&redis.url(), "p").unwrap();
    let (_two, mut at_two) = connect(&redis.url(), "p").unwrap();
    let (_other, mut at_other) = connect(&redis.url(), "q").unwrap();
    for ears in [&mut at_one, &mut at_two, &mut at_other] {
        subscribed(ears).await;
    }
    for id in ["m1", "m2", "m3"] {
        one.publish(event(id));
    }
    LivePublisher::start(&redis.url(), "p").unwrap().publish(event("m4"));
    for ears in [&mut at_one, &mut at_two] {
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.push(next_event(ears).await);
        }
        let own: Vec<_> = heard.iter().filter(|heard| **heard != event("m4")).cloned().collect();
        assert_eq!(own, [event("m1"), event("m2"), event("m3")], "in order, and one's own without an echo");
        assert!(heard.contains(&event("m4")));
    }
    let more = timeout(Duration::from_millis(200), next_event(&mut at_other));
    assert!(more.await.is_err(), "another prefix is another world");
}

#[tokio::test]
async fn redis_may_go_and_come_back() {
    let mut redis = RedisServer::start().await.expect("redis-server");
    let (one, mut at_one) = connect(&redis.url(), "p").unwrap();
    let (_two, mut at_two) = connect(&redis.url(), "p").unwrap();
    subscribed(&mut at_one).await;
    subscribed(&mut at_two).await;
    redis.stop().await.unwrap();
    one.publish(event("m1"));
    assert_eq!(next_event(&mut at_one).await, event("m1"), "at home it is heard without Redis");
    redis.restart_empty().await.unwrap();
    subscribed(&mut at_two).await;
    heard_again(&one, &mut at_two, "m2").await;
}

#[tokio::test]
async fn a_silent_publisher_needs_no_redis() {
    let silent = LivePublisher::silent();
    assert!(silent.is_silent());
    silent.publish(event("m1"));
}

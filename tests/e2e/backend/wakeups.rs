//! The producing side: caps, several queues at once, the marker, and no waiting for a Redis that is away.

use std::time::Duration;

use shared::queue::{Due, Queue, QueueError, Wakeups};
use tests::servers::RedisServer;
use tokio::net::TcpListener;
use tokio::time::Instant;

fn on(server: &RedisServer, cap: usize) -> Wakeups {
    Wakeups::new(&server.url(), "wakeups", cap).unwrap()
}

#[tokio::test]
async fn pushes_stop_at_the_cap() {
    let server = RedisServer::start().await.unwrap();
    let wakeups = on(&server, 5);
    assert_eq!(wakeups.push(Queue::Sms, &["1", "2", "3"]).await.unwrap(), 3);
    assert_eq!(wakeups.room(Queue::Sms).await.unwrap(), 2);
    assert_eq!(wakeups.push(Queue::Sms, &["4", "5", "6"]).await.unwrap(), 2);
    assert_eq!(wakeups.push(Queue::Sms, &["7"]).await.unwrap(), 0);
    assert_eq!(wakeups.push(Queue::Sms, &[]).await.unwrap(), 0);
    assert_eq!(wakeups.room(Queue::Sms).await.unwrap(), 0);
    assert_eq!(wakeups.len(Queue::Sms).await.unwrap(), 5);
    assert_eq!(wakeups.room(Queue::Audit).await.unwrap(), 5, "each queue has its own");
}

#[tokio::test]
async fn one_push_fills_several_queues() {
    let server = RedisServer::start().await.unwrap();
    let wakeups = on(&server, 1_500);
    let mut many: Vec<_> = (0..2_000).map(|number| (Queue::Search, format!("s-{number}"))).collect();
    many.push((Queue::Audit, "a-1".to_owned()));
    assert_eq!(wakeups.push_many(&many).await.unwrap(), 1_501);
    assert_eq!(wakeups.len(Queue::Search).await.unwrap(), 1_500);
    assert_eq!(wakeups.len(Queue::Audit).await.unwrap(), 1);
    assert_eq!(wakeups.push_many(&[]).await.unwrap(), 0);
    assert_eq!(wakeups.pending(Queue::Search).await.unwrap(), 0, "without a group nothing is pending");
}

#[tokio::test]
async fn the_marker_goes_with_the_data_and_pushes_go_on() {
    let mut server = RedisServer::start().await.unwrap();
    let wakeups = on(&server, 10);
    assert!(!wakeups.marker_present().await.unwrap());
    wakeups.set_marker().await.unwrap();
    assert!(wakeups.marker_present().await.unwrap());
    server.flushall().await.unwrap();
    assert!(!wakeups.marker_present().await.unwrap());
    wakeups.set_marker().await.unwrap();
    server.restart_empty().await.unwrap();
    assert!(!wakeups.marker_present().await.unwrap(), "the first call after a restart already succeeds");
    assert_eq!(wakeups.push(Queue::Guest, &["1"]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_redis_that_is_away_costs_no_more_than_the_timeout() {
    let nobody = RedisServer::new(&[]).unwrap();
    let wakeups = on(&nobody, 10);
    assert!(matches!(wakeups.push(Queue::Sms, &["1"]).await, Err(QueueError::Away(_))));

    // Accepts and says nothing, as behind a firewall that drops packets.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://:hush@{}", silent.local_addr().unwrap());
    let limit = Duration::from_millis(300);
    let wakeups = Wakeups::with_timeout(&url, "wakeups", 10, limit).unwrap();
    assert!(!format!("{wakeups:?}").contains("hush"));
    let since = Instant::now();
    let calls = (0..20).map(|_| wakeups.push(Queue::Sms, &["1"]));
    for result in futures::future::join_all(calls).await {
        let error = result.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hush"));
    }
    assert!(since.elapsed() < limit * 3, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_url_that_makes_no_sense_is_refused_without_being_repeated() {
    let error = Wakeups::new("http://user:hush@nowhere", "wakeups", 10).unwrap_err();
    assert!(matches!(error, QueueError::Url));
    assert!(!format!("{error:?} {error}").contains("hush"));
}

#[tokio::test]
async fn no_account_gets_more_than_its_share_and_others_always_find_room() {
    let server = RedisServer::start().await.unwrap();
    let wakeups = on(&server, 100);
    let of = |account: &'static str, ids: &'static [&'static str]| {
        ids.iter().map(move |id| Due { id, account }).collect::<Vec<_>>()
    };
    let busy = of("busy", &["1", "2", "3", "4", "5"]);
    let refused = wakeups.push_fairly(Queue::Sms, &busy, 3).await.unwrap();
    assert_eq!(refused, ["4", "5"], "in their order");
    assert!(wakeups.push_fairly(Queue::Sms, &of("quiet", &["6"]), 3).await.unwrap().is_empty());
    assert_eq!(wakeups.push_fairly(Queue::Sms, &of("busy", &["4"]), 3).await.unwrap(), ["4"]);
    assert!(wakeups.push_fairly(Queue::Whatsapp, &of("busy", &["7"]), 3).await.unwrap().is_empty());
    assert_eq!(wakeups.len(Queue::Sms).await.unwrap(), 4);
    let small = on(&server, 5);
    let refused = small.push_fairly(Queue::Sms, &of("third", &["8", "9"]), 3).await.unwrap();
    assert_eq!(refused, ["9"], "the cap holds for all");
    assert!(small.push_fairly(Queue::Sms, &[], 3).await.unwrap().is_empty());
}

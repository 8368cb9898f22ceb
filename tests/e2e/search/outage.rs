//! Elasticsearch away, silent, killed, and back with nothing.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shared::search::{IndexKind, IndexSettings, Indexed, SearchDown, SearchIndex, Visibility};
use tests::servers::elasticsearch::{OwnElasticsearch, shared_url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{candidates, found, message, settings, store};

/// Passes connections on to the shared Elasticsearch and keeps what is sent, so that requests can be counted.
pub(super) struct CountingProxy {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl CountingProxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sent: Arc<Mutex<Vec<u8>>> = Arc::default();
        let record = sent.clone();
        shared::task::spawn("counting_proxy", async move {
            while let Ok((client, _)) = listener.accept().await {
                shared::task::spawn("counting_proxy_connection", pass(client, record.clone()));
            }
        });
        Self { port, sent }
    }

    /// A handle for the same indices that goes through here.
    pub(super) fn index_like(&self, index: &SearchIndex) -> SearchIndex {
        let alias = index.alias(IndexKind::Threads);
        let prefix = alias.strip_suffix("threads").expect("an alias");
        let url = format!("http://127.0.0.1:{}", self.port);
        SearchIndex::new(&url, prefix).expect("a handle").with_settings(settings())
    }

    /// POST requests to a path so far.
    pub(super) fn requests(&self, path: &str) -> usize {
        let line = format!("POST {path}");
        self.sent.lock().windows(line.len()).filter(|window| *window == line.as_bytes()).count()
    }
}

async fn pass(mut client: TcpStream, record: Arc<Mutex<Vec<u8>>>) {
    let address = shared_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let Ok(server) = TcpStream::connect(address).await else { return };
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = client.split();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            record.lock().extend_from_slice(&buffer[..read]);
            if to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        copied = tokio::io::copy(&mut from_server, &mut to_client) => {
            assert!(copied.is_ok() || copied.is_err_and(|error| error.kind() != ErrorKind::InvalidInput));
        }
    }
}

async fn every_door(index: &SearchIndex) -> Vec<SearchDown> {
    vec![
        index.bulk(&[message("m1", "x").into()]).await.expect_err("away"),
        index.ensure().await.expect_err("away"),
        candidates(index, "x", Visibility::Staff).await.expect_err("away"),
        index.count("a", IndexKind::Messages).await.expect_err("away"),
        index.health().await.expect_err("away"),
    ]
}

#[tokio::test]
async fn away_is_told_at_once() {
    let index = SearchIndex::new("http://user:hunter2@127.0.0.1:9", "t-")
        .expect("a handle")
        .with_settings(settings());
    let start = Instant::now();
    for down in every_door(&index).await {
        assert_eq!(down, SearchDown::Unreachable);
        assert!(!format!("{down} {down:?}").contains("hunter2"));
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn silence_ends_with_the_time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let limit = Duration::from_millis(200);
    let limits = IndexSettings { write_timeout: limit, search_timeout: limit, ..settings() };
    let index = SearchIndex::new(&url, "t-").expect("a handle").with_settings(limits);
    let start = Instant::now();
    for down in every_door(&index).await {
        assert_eq!(down, SearchDown::Timeout);
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn answers_of_others_are_failures_with_a_class() {
    for (answer, expected) in [
        ("429 Too Many Requests", SearchDown::Overloaded),
        ("401 Unauthorized", SearchDown::Refused { status: 401 }),
        ("503 Service Unavailable", SearchDown::Failed { status: 503, kind: "unnamed".to_owned() }),
        ("200 OK", SearchDown::Unreadable),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = shared::task::spawn("other_server", async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = vec![0; 16 * 1024];
                let _ = client.read(&mut head).await;
                let page = "<html>hunter2</html>";
                let length = page.len();
                let text = format!(
                    "HTTP/1.1 {answer}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
                );
                let _ = client.write_all(text.as_bytes()).await;
            }
        });
        let index = SearchIndex::new(&url, "t-").expect("a handle").with_settings(settings());
        assert_eq!(index.bulk(&[message("m1", "x").into()]).await, Err(expected.clone()));
        assert_eq!(candidates(&index, "x", Visibility::Staff).await, Err(expected));
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_that_comes_back_empty_is_filled_again() {
    let mut server = OwnElasticsearch::start().await.expect("an own elasticsearch");
    let index = SearchIndex::new(&server.url(), "t-").expect("a handle").with_settings(settings());
    index.ensure().await.expect("made");
    store(&index, vec![message("m1", "before").into()]).await;

    server.kill().expect("killed");
    assert_eq!(every_door(&index).await, vec![SearchDown::Unreachable; 5]);

    server.wipe().expect("wiped");
    server.restart().await.expect("up again");
    assert_eq!(index.bulk(&[message("m2", "after").into()]).await, Ok(vec![Ok(Indexed::Stored)]));
    index.refresh().await.expect("refreshed");
    assert_eq!(found(&index, "after").await, ["t1"]);
    assert_eq!(index.count("a", IndexKind::Messages).await, Ok(1));
}

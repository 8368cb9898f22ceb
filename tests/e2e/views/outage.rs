//! Elasticsearch away: a search says so soon, and everything else works.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::app::TestApp;
use tests::chaos::FaultProxy;
use tests::servers::elasticsearch::shared_url;

use super::{found, path};

/// The limit of a search and what a loaded machine adds.
const PATIENCE: Duration = Duration::from_secs(8);

// The proxy must go on while the app, when it is dropped, deletes its indices through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_refused_soon_and_lists_go_on() {
    let url = shared_url();
    let target = url.trim_start_matches("http://").trim_end_matches('/').parse().expect("host and port");
    let proxy = FaultProxy::start(target).await.expect("a port");
    let through = format!("http://{}", proxy.address());
    let app = TestApp::with("BELLHOP_ELASTICSEARCH__URL", through).full().await;
    app.thread(json!({ "threadId": "t1", "participantIds": ["gina"] })).await;
    let anna = app.agent("anna");
    anna.say("t1", "towels").await;
    assert_eq!(found(&anna, "towels").await, ["t1"]);
    for silent in [false, true] {
        if silent {
            proxy.black_hole()
        } else {
            proxy.refuse()
        }
        for caller in [anna.clone(), app.guest("gina")] {
            let start = Instant::now();
            let refused = caller.get(&path("towels", "")).refused(503, "search_unavailable").await;
            assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
            assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
            assert!(!refused.text.contains("127.0.0.1"), "{}", refused.text);
            let listed = caller.get("/chat/threads").expect(200).await;
            assert_eq!(listed.each("threads", "threadId"), ["t1"]);
            assert_eq!(caller.messages("t1", "?search=towels").await.each("messages", "seq"), [1]);
        }
        anna.say("t1", "posting goes on").await;
        anna.get(&path("***", "")).expect(200).await;
        anna.get(&path("", "")).refused(400, "invalid_request").await;
        proxy.heal();
        app.eventually("search is back", async || {
            (anna.get(&path("towels", "")).send().await.status == 200).then_some(())
        })
        .await;
    }
    app.settled().await;
}

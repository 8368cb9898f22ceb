//! Search among the messages of one thread: from MongoDB, with the same folding.

use serde_json::json;
use tests::app::TestApp;

#[tokio::test]
async fn what_has_no_word_finds_nothing_and_accents_do_not_matter() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({ "participantIds": ["gina"] })).await;
    let anna = app.agent("anna");
    anna.say(&thread, "Straße nach Tromsø").await;
    anna.post_message(&thread, json!({ "body": "strasse, intern", "type": "note" })).await;
    for (search, staff, guest) in [
        ("STRASSE", 2, 1),
        ("strasse trom", 1, 1),
        ("tromsö", 1, 1),
        ("***", 0, 0),
        ("%20%20", 0, 0),
        ("stra.e", 0, 0),
        ("intern", 1, 0),
    ] {
        for (caller, count) in [(anna.clone(), staff), (app.guest("gina"), guest)] {
            let page = caller.messages(&thread, &format!("?search={search}")).await;
            assert_eq!(page.each("messages", "seq").len(), count, "{search} by {}", caller.uid());
            assert_eq!(page["hasMore"], false, "{search}");
        }
    }
    let longest = "x".repeat(256);
    assert_eq!(anna.messages(&thread, &format!("?search={longest}")).await["hasMore"], false);
}

#[tokio::test]
async fn has_more_counts_what_is_found() {
    let app = TestApp::ingest_only().await;
    let thread = app.thread(json!({})).await;
    let anna = app.agent("anna");
    for n in 0..250 {
        let text = if n % 100 == 0 { "towels" } else { "filler" };
        anna.say(&thread, text).await;
    }
    let first = anna.messages(&thread, "?search=towels&limit=2").await;
    assert_eq!(
        (first.each("messages", "seq"), &first["hasMore"]),
        (vec![json!(201), json!(101)], &json!(true))
    );
    let below = first["messages"][1]["messageId"].as_str().unwrap();
    let rest = anna.messages(&thread, &format!("?search=towels&limit=2&upperRef={below}")).await;
    assert_eq!((rest.each("messages", "seq"), &rest["hasMore"]), (vec![json!(1)], &json!(false)));
}

//! Words: accents, case, beginnings, all of them in one place, and nothing that a person types is syntax.

use serde_json::json;
use tests::app::TestApp;

use super::{found, indexed, path, search};

#[tokio::test]
async fn words_are_found_without_accents_or_case_and_the_last_may_be_unfinished() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    app.thread(json!({ "threadId": "t1" })).await;
    app.thread(json!({ "threadId": "t2" })).await;
    anna.say("t1", "Crème BRÛLÉE in der Straße von Tromsø, l'été").await;
    anna.say("t2", "nothing of the kind").await;
    for index_alone in [false, true] {
        for q in [
            "creme",
            "CRÈME",
            "brulee creme",
            "strasse",
            "STRAẞE",
            "tromso",
            "Tromsø",
            "ete",
            "creme tro",
            "l ét",
        ] {
            assert_eq!(found(&anna, q).await, ["t1"], "{q}, {index_alone}");
        }
        for q in ["reme", "cre brulee", "creme nothing", "tromsö x", "stras creme"] {
            assert_eq!(found(&anna, q).await, [""; 0], "{q}, {index_alone}");
        }
        indexed(&app).await;
    }
}

#[tokio::test]
async fn all_words_stand_in_one_message_or_in_the_threads_own_fields() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    let guest = json!({ "guestName": "Zoë Müller" });
    app.service("setup").put("/chat/reservations/RES-4711", guest).expect(201).await;
    app.thread(json!({ "threadId": "room-seven", "title": "Late arrival", "reservationId": "RES-4711" }))
        .await;
    app.thread(json!({ "threadId": "other" })).await;
    anna.say("room-seven", "breakfast please").await;
    let parking = anna.say("room-seven", "parking please").await;
    indexed(&app).await;
    let id = parking["messageId"].as_str().unwrap().to_owned();
    for (q, hit) in [
        ("breakfast please", true),
        ("breakfast parking", false),
        ("late breakfast", false),
        ("late müller", true),
        ("zoe", true),
        ("res-4711", true),
        ("room-seven", true),
        ("late 4711", true),
        (id.as_str(), true),
        ("oth", false),
    ] {
        let expected: &[&str] = if hit { &["room-seven"] } else { &[] };
        assert_eq!(found(&anna, q).await, expected, "{q}");
    }
    app.service("setup").put("/chat/reservations/RES-4711", json!({ "guestName": "Alma" })).expect(200).await;
    indexed(&app).await;
    assert_eq!((found(&anna, "zoe").await, found(&anna, "alma").await), (vec![], vec![json!("room-seven")]));
}

#[tokio::test]
async fn what_people_type_is_text_and_never_syntax() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    app.thread(json!({ "threadId": "t1", "title": "Suite" })).await;
    anna.say("t1", "room service at nine").await;
    let long = "room ".repeat(52);
    let (longest, unknown) = (&long[..256], "x".repeat(256));
    for index_alone in [false, true] {
        for (q, hit) in [
            ("\"room nine\"", true),
            ("-room +service", true),
            (longest, true),
            ("  room\t", true),
            ("*", false),
            ("*oom", false),
            ("?oom", false),
            ("ro?m", false),
            ("ro*m", false),
            (".*", false),
            ("/r..m/", false),
            ("room OR pool", false),
            ("room AND service", false),
            ("NOT pool", false),
            ("room~2", false),
            ("text:room", false),
            ("threadId:t1", false),
            ("[a TO z]", false),
            ("{\"match_all\":{}}", false),
            ("{\"$gt\":\"\"}", false),
            ("$where", false),
            ("\\", false),
            ("(((", false),
            ("!?…«»", false),
            ("\u{0}", false),
            (unknown.as_str(), false),
        ] {
            let expected: &[&str] = if hit { &["t1"] } else { &[] };
            assert_eq!(found(&anna, q).await, expected, "{q:?}, {index_alone}");
        }
        indexed(&app).await;
    }
    let only_signs = search(&anna, "***", "").await;
    assert_eq!((&only_signs["hasMore"], only_signs["indexLagMs"].is_u64()), (&json!(false), true));
}

#[tokio::test]
async fn a_question_has_1_to_256_characters() {
    let app = TestApp::ingest_only().await;
    app.must_not_be_logged("canary-7f3a");
    let anna = app.agent("anna");
    let long = "canary-7f3a".repeat(24);
    for q in ["", "   ", &long[..257]] {
        let reply = anna.get(&path(q, "")).refused(400, "invalid_request").await;
        assert!(reply["detail"].as_str().unwrap().contains("parameter q"), "{}", reply.text);
        assert!(!reply.text.contains("canary"), "{}", reply.text);
    }
    anna.get(&path("x", "&cursor=foreign")).refused(400, "invalid_request").await;
    anna.get(&path("x", "&limit=0")).refused(400, "invalid_request").await;
    let list = anna.get("/chat/threads").expect(200).await;
    assert!(list["indexLagMs"].is_null() && list["truncated"].is_null(), "{}", list.text);
}

#[tokio::test]
async fn filters_and_views_are_those_of_the_lists() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    for (id, kind, source, important) in
        [("a", "guest", "airbnb", true), ("b", "team", "hububb", false), ("c", "guest", "hububb", false)]
    {
        let thread = json!({ "threadId": id, "kind": kind, "source": source, "important": important,
            "participantIds": ["ben"] });
        app.thread(thread).await;
        anna.say(id, "towels please").await;
    }
    anna.patch("/chat/threads/c", json!({ "status": "resolved" })).expect(200).await;
    app.agent("ben").post("/chat/threads/b/read", json!({})).expect(200).await;
    for index_alone in [false, true] {
        for (more, expected) in [
            ("", vec!["c", "b", "a"]),
            ("&kind=guest", vec!["c", "a"]),
            ("&source=airbnb", vec!["a"]),
            ("&status=open&kind=guest", vec!["a"]),
            ("&view=important", vec!["a"]),
            ("&view=unread", vec!["c", "a"]),
            ("&view=unread&status=resolved", vec!["c"]),
            ("&source=booking", vec![]),
        ] {
            let page = search(&app.agent("ben"), "towels", more).await;
            assert_eq!(page.each("threads", "threadId"), expected, "{more}, {index_alone}");
        }
        indexed(&app).await;
    }
}

#[tokio::test]
async fn highlights_show_the_original_text_escaped() {
    let app = TestApp::full().await;
    let anna = app.agent("anna");
    app.thread(json!({ "threadId": "t1", "title": "Crème room" })).await;
    anna.say("t1", "the first <b>crème</b>").await;
    anna.say("t1", "& the second CRÈME").await;
    for index_alone in [false, true] {
        let page = search(&anna, "creme", "").await;
        let shown = ["&amp; the second <em>CRÈME</em>", "<em>Crème</em> room"];
        assert_eq!(page["threads"][0]["highlights"], json!(shown), "{index_alone}");
        assert_eq!(page["threads"][0]["lastMessage"]["body"], "& the second CRÈME");
        let by_id = search(&anna, "t1", "").await;
        assert_eq!(by_id["threads"][0]["highlights"], json!([]), "{index_alone}");
        indexed(&app).await;
    }
}

#[tokio::test]
async fn a_customer_is_found_by_the_name_that_was_verified() {
    let app = TestApp::full().await;
    let issued = app.support_token(json!({})).await;
    let named = |name: &str| TestApp::identity(&issued, "user-1", json!({ "name": name }));
    let first = app.widget_with(&issued, "phone", json!({ "identity": named("Zoë Müller") })).await;
    first.say("hello").await;
    indexed(&app).await;
    let anna = app.agent("anna");
    assert_eq!(found(&anna, "zoe mull").await, [first.room.as_str()]);
    app.widget_with(&issued, "laptop", json!({ "identity": named("Zoë Keller") })).await;
    indexed(&app).await;
    assert_eq!(found(&anna, "keller").await, [first.room.as_str()]);
    assert_eq!(found(&anna, "zoe mull").await, [""; 0]);
}

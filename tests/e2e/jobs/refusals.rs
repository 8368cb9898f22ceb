//! What each kind of error means for a message: tried again, put aside, given up, or not known.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use tests::app::{SOON, TestApp};
use tests::simulator::{Action, Answer, FaultRule, Provider};

/// Posts a message of its own thread whose first send meets `action`.
async fn meets(app: &TestApp, n: usize, kind: &str, times: u64, action: Action) -> Value {
    let marker = format!("case-{n}-");
    let provider = if kind == "sms-message" { Provider::Twilio } else { Provider::Whatsapp };
    app.simulator.fault(FaultRule::on(provider, action).body_contains(&marker).times(times));
    let thread = app.whatsapp_thread(&format!("+4179333{n:04}")).await;
    app.agent("anna").post_message(&thread, json!({ "body": marker, "type": kind })).await
}

fn code(code: u32) -> Action {
    Action::Answer(Answer::code(code))
}

fn time(value: &Value) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(value.as_str().expect("a time")).unwrap()
}

/// Posts another message to the same thread and waits until it is delivered: the lane goes on.
async fn the_lane_goes_on(app: &TestApp, message: &Value) {
    let thread = message["threadId"].as_str().unwrap();
    let next = json!({ "body": "next", "type": message["type"] });
    let next = app.agent("anna").post_message(thread, next).await;
    app.delivery_of(&next, "delivered").await;
}

#[tokio::test]
async fn s27_a_permanent_error_fails_the_message_and_the_next_one_goes() {
    let app = TestApp::without_search().await;
    let cases = [
        ("whatsapp-message", code(131_026), "131026", "invalid_recipient"),
        ("whatsapp-message", code(131_021), "131021", "invalid_recipient"),
        ("whatsapp-message", code(131_050), "131050", "opted_out"),
        ("whatsapp-message", code(100), "100", "provider_rejected"),
        (
            "whatsapp-message",
            Action::Answer(Answer { status: Some(400), ..Answer::code(987_654) }),
            "987654",
            "provider_rejected",
        ),
        ("sms-message", code(21_211), "21211", "invalid_recipient"),
        ("sms-message", code(21_610), "21610", "opted_out"),
    ];
    app.expect_dead(cases.len());
    for (n, (kind, action, error_code, reason)) in cases.into_iter().enumerate() {
        let posted = meets(&app, n, kind, 1, action).await;
        let story = app.delivery_of(&posted, "failed").await;
        assert_eq!(story["delivery"]["reason"], reason, "{error_code}");
        assert_eq!(story["delivery"]["providerErrorCode"], error_code);
        assert!(story["delivery"]["failedAt"].is_string());
        let attempts = story["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{error_code} is not tried again");
        assert_eq!(
            (&attempts[0]["outcome"], &attempts[0]["errorClass"]),
            (&json!("dead"), &json!("permanent"))
        );
        assert_eq!(attempts[0]["providerErrorCode"], error_code);
        the_lane_goes_on(&app, &posted).await;
    }
}

#[tokio::test]
async fn an_error_that_needs_somebody_parks_the_message_and_burns_nothing() {
    let app = TestApp::without_search().await;
    let cases = [
        ("whatsapp-message", code(190), "needs_operator"),
        ("whatsapp-message", code(131_047), "needs_template"),
        ("whatsapp-message", code(131_042), "needs_operator"),
        ("sms-message", code(20_003), "needs_operator"),
    ];
    for (n, (kind, action, reason)) in cases.into_iter().enumerate() {
        let posted = meets(&app, n, kind, 1, action).await;
        let story = app.delivery_of(&posted, "parked").await;
        assert_eq!(story["delivery"]["reason"], reason);
        assert_eq!(story["attempts"][0]["outcome"], "parked");
        assert_eq!(story["attempts"][0]["errorClass"], reason);
        let name = if kind == "sms-message" { "deliver_sms" } else { "deliver_whatsapp" };
        app.settled().await;
        let job = app.job_of(&posted, name).await;
        assert_eq!((job.state, job.attempt_count), (JobState::Parked, 0));
    }
}

#[tokio::test]
async fn s23_a_temporary_error_is_tried_again_until_it_is_sent_once() {
    let app = TestApp::without_search().await;
    for (n, (kind, action, times)) in [
        ("whatsapp-message", code(131_016), 3),
        ("whatsapp-message", Action::Answer(Answer { status: Some(503), ..Answer::code(131_016) }), 2),
        ("whatsapp-message", code(131_000), 1),
    ]
    .into_iter()
    .enumerate()
    {
        let posted = meets(&app, n, kind, times, action).await;
        let story = app.delivery_of(&posted, "delivered").await;
        let attempts = story["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), times as usize + 1, "{attempts:?}");
        for failed in &attempts[..times as usize] {
            assert_eq!((&failed["outcome"], &failed["errorClass"]), (&json!("retry"), &json!("retry")));
            assert!(
                failed["nextAttemptAt"].is_string() && failed["providerErrorCode"].is_string(),
                "{failed}"
            );
        }
    }
    assert_eq!((app.simulator.accepted_count(), app.simulator.duplicates().len()), (3, 0));
}

#[tokio::test]
async fn an_error_that_stays_ends_after_its_attempts() {
    let app = TestApp::without_search().await;
    app.expect_dead(1);
    let posted = meets(&app, 0, "whatsapp-message", 100, code(131_000)).await;
    let story = app.delivery_of(&posted, "failed").await;
    assert_eq!(story["attempts"].as_array().unwrap().len(), 5, "131000 is tried five times");
    assert_eq!(app.simulator.accepted_count(), 0);
}

#[tokio::test]
async fn s22_retry_after_is_honoured_and_costs_no_attempt() {
    let app = TestApp::without_search().await;
    let busy = |after: &str| Action::Answer(Answer::status(429).with_retry_after(after));
    let posted = meets(&app, 0, "whatsapp-message", 2, busy("1")).await;
    let sms = meets(&app, 1, "sms-message", 1, busy("1")).await;
    let story = app.delivery_of(&posted, "delivered").await;
    let attempts = story["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    for pair in attempts.windows(2) {
        let pause = time(&pair[1]["startedAt"]) - time(&pair[0]["startedAt"]);
        assert!(pause >= chrono::Duration::seconds(1), "{pause}");
    }
    assert_eq!(app.job_of(&posted, "deliver_whatsapp").await.attempt_count, 0, "not counted as attempts");
    app.delivery_of(&sms, "delivered").await;
    let far = meets(&app, 2, "whatsapp-message", 1, busy("3600")).await;
    let far = app.eventually("a wait", async || waiting(&app, &far).await).await;
    assert!((3500..4000).contains(&far.num_seconds()), "{far}");
}

/// How long after the beginning of its last attempt the message is tried again, once that is known. The answer came
/// in between; when the attempt ended is written a moment after it.
async fn waiting(app: &TestApp, message: &Value) -> Option<chrono::Duration> {
    let attempt = app.story(message).await["attempts"].as_array()?.last()?.clone();
    attempt["nextAttemptAt"]
        .is_string()
        .then(|| time(&attempt["nextAttemptAt"]) - time(&attempt["startedAt"]))
}

#[tokio::test]
async fn a_pair_limit_holds_its_recipient_only_and_longer_each_time() {
    let app = TestApp::without_search().await;
    let held = meets(&app, 0, "whatsapp-message", 100, code(131_056)).await;
    let wait = app.eventually("a wait", async || waiting(&app, &held).await).await;
    assert!((4..8).contains(&wait.num_seconds()), "{wait}");
    let free = meets(&app, 1, "whatsapp-message", 0, code(1)).await;
    app.delivery_of(&free, "delivered").await;
    let story = app.story(&held).await;
    assert_eq!((&story["delivery"]["state"], story["delivery"].get("reason")), (&json!("queued"), None));
    let again = app.eventually("a longer wait", async || {
        let attempts = app.story(&held).await["attempts"].as_array()?.len();
        if attempts < 2 { None } else { waiting(&app, &held).await }
    });
    let again = again.await;
    assert!(again.num_seconds() >= 16, "4^n seconds: {again}");
}

#[tokio::test]
async fn the_numbers_own_limit_waits_a_second_and_doubles() {
    let app = TestApp::without_search().await;
    let posted = meets(&app, 0, "whatsapp-message", 2, code(130_429)).await;
    let story = app.delivery_of(&posted, "delivered").await;
    let attempts = story["attempts"].as_array().unwrap();
    let waits: Vec<i64> = attempts[..2]
        .iter()
        .map(|a| (time(&a["nextAttemptAt"]) - time(&a["startedAt"])).num_milliseconds())
        .collect();
    assert!(waits[0] >= 1_000 && waits[1] >= 2_000, "{waits:?}");
    assert_eq!(app.job_of(&posted, "deliver_whatsapp").await.attempt_count, 0);
}

#[tokio::test]
async fn s26_whatever_answer_cannot_be_read_in_time_leaves_the_outcome_unknown() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    let lost = [
        Action::Answer(Answer::status(500)),
        Action::AcceptReset,
        Action::AcceptHang { ms: None },
        Action::Drip { interval_ms: 500, accept: true },
    ];
    for (n, action) in lost.into_iter().enumerate() {
        is_unknown(&app, n, action).await;
    }
}

#[tokio::test]
async fn s26_an_answer_that_is_none_leaves_the_outcome_unknown() {
    let app = TestApp::without_search().await;
    app.simulator.configure(|settings| settings.statuses.enabled = false);
    let broken = [
        Action::Huge { bytes: 100_000_000, accept: true },
        Action::Garbage { accept: true },
        Action::NotHttp { accept: true },
        Action::ResetBefore,
    ];
    for (n, action) in broken.into_iter().enumerate() {
        is_unknown(&app, n, action).await;
    }
}

async fn is_unknown(app: &TestApp, n: usize, action: Action) {
    let shown = format!("{action:?}");
    let begun = std::time::Instant::now();
    let posted = meets(app, n, "whatsapp-message", 1, action).await;
    let story = app.delivery_of(&posted, "unknown").await;
    assert!(begun.elapsed() < SOON / 2, "{shown} held a worker for {:?}", begun.elapsed());
    assert_eq!(story["delivery"]["reason"], "outcome_unknown", "{shown}");
    assert_eq!(story["attempts"][0]["outcome"], "unknown", "{shown}");
    assert_eq!(app.job_of(&posted, "deliver_whatsapp").await.state, JobState::Unknown, "{shown}");
}

#[tokio::test]
async fn a_message_without_reservation_or_phone_fails_without_a_call() {
    let app = TestApp::without_search().await;
    let alone = app.thread(json!({})).await;
    app.service("ota").put("/chat/reservations/bare", json!({ "guestName": "G" })).expect(201).await;
    let bare = app.thread(json!({ "reservationId": "bare" })).await;
    let absent = app.thread(json!({ "reservationId": "absent" })).await;
    app.expect_dead(6);
    for thread in [alone, bare, absent] {
        for kind in ["whatsapp-message", "sms-message"] {
            let posted = app.agent("anna").post_message(&thread, json!({ "body": "x", "type": kind })).await;
            let story = app.delivery_of(&posted, "failed").await;
            assert_eq!(story["delivery"]["reason"], "no_recipient");
        }
    }
    assert!(app.simulator.requests().is_empty());
}

#[tokio::test]
async fn a_channel_that_is_not_configured_parks_its_messages() {
    let mut app = TestApp::ingest_only().await;
    app.start_workers_with(|config| (config.whatsapp, config.twilio, config.guest) = (None, None, None));
    app.reservation("r1", "+41793330001").await;
    let thread = app.thread(json!({ "source": "hububb-guest", "reservationId": "r1" })).await;
    for body in [
        json!({ "body": "x" }),
        json!({ "body": "x", "type": "whatsapp-message" }),
        json!({ "body": "x", "type": "sms-message" }),
    ] {
        let posted = app.agent("anna").post_message(&thread, body).await;
        let story = app.delivery_of(&posted, "parked").await;
        assert_eq!(story["delivery"]["reason"], "channel_disabled");
    }
    assert!(app.simulator.requests().is_empty());
    tokio::time::timeout(Duration::from_secs(10), app.stop_workers()).await.expect("they stop");
}

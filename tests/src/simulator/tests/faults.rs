//! Each scripted fault, as a client meets it.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::{Rig, SOON, answer};
use crate::simulator::{Action, Answer, FaultRule, Outcome, Provider};

/// What an error of reqwest is at its root.
fn root(error: &reqwest::Error) -> Option<ErrorKind> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

async fn with(action: Action) -> Rig {
    let rig = Rig::start();
    rig.simulator.fault(FaultRule::on(Provider::Whatsapp, action));
    rig
}

async fn send(rig: &Rig) -> reqwest::Result<reqwest::Response> {
    rig.whatsapp("31612345678", "hello", "01JOB.1").await
}

async fn outcome(rig: &Rig) -> Outcome {
    let ended = |seen: &[crate::simulator::Seen]| seen[0].outcome != Outcome::Pending;
    rig.simulator.wait_for_requests(ended, SOON).await.unwrap()[0].outcome
}

#[tokio::test]
async fn an_answer_with_code_and_retry_after() {
    let rig = with(Action::Answer(Answer::code(131_016).with_retry_after("soon, I hope"))).await;
    let response = send(&rig).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "soon, I hope");
    let (status, body) = answer(response).await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!(131_016)));
    assert_eq!((outcome(&rig).await, rig.simulator.accepted_count()), (Outcome::Refused, 0));
    assert_eq!(rig.simulator.requests()[0].code, Some(131_016));
}

#[tokio::test]
async fn an_answer_with_a_body_of_its_own() {
    let answer = Answer { status: Some(429), body: Some("slow down".into()), ..Answer::default() };
    let rig = with(Action::Answer(answer)).await;
    let response = send(&rig).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.text().await.unwrap(), "slow down");
}

#[tokio::test]
async fn a_reset_before_accepting() {
    let rig = with(Action::ResetBefore).await;
    assert_eq!(root(&send(&rig).await.unwrap_err()), Some(ErrorKind::ConnectionReset));
    assert_eq!((outcome(&rig).await, rig.simulator.accepted_count()), (Outcome::ResetBefore, 0));
}

#[tokio::test]
async fn a_reset_after_accepting() {
    let rig = with(Action::AcceptReset).await;
    assert_eq!(root(&send(&rig).await.unwrap_err()), Some(ErrorKind::ConnectionReset));
    assert_eq!((outcome(&rig).await, rig.simulator.accepted_count()), (Outcome::ResetAfter, 1));
}

#[tokio::test]
async fn an_orderly_close_without_an_answer() {
    for (action, accepted) in [(Action::CloseBefore, 0), (Action::AcceptClose, 1)] {
        let rig = with(action).await;
        assert_ne!(root(&send(&rig).await.unwrap_err()), Some(ErrorKind::ConnectionReset));
        assert_eq!(rig.simulator.accepted_count(), accepted);
    }
}

#[tokio::test]
async fn a_hang_after_accepting() {
    let rig = with(Action::AcceptHang { ms: None }).await;
    let sending = send(&rig);
    let accepted = rig.simulator.wait_for(|all| all.len() == 1, SOON);
    tokio::select! {
        _ = sending => panic!("answered"),
        accepted = accepted => assert_eq!(accepted.unwrap().len(), 1),
    }
    assert_eq!(outcome(&rig).await, Outcome::BrokenAfter);
}

#[tokio::test]
async fn a_late_answer_comes_after_its_delay() {
    let rig = with(Action::Delay { ms: 150 }).await;
    let started = Instant::now();
    assert_eq!(send(&rig).await.unwrap().status(), 200);
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_decision_is_not_accepted() {
    let rig = with(Action::HangBefore { ms: None }).await;
    let pending = |seen: &[crate::simulator::Seen]| !seen.is_empty();
    tokio::select! {
        _ = send(&rig) => panic!("answered"),
        seen = rig.simulator.wait_for_requests(pending, SOON) => assert_eq!(seen.unwrap()[0].outcome, Outcome::Pending),
    }
    assert_eq!((outcome(&rig).await, rig.simulator.accepted_count()), (Outcome::ClientGone, 0));
}

#[tokio::test]
async fn accepted_and_then_a_500() {
    let rig = with(Action::AcceptAnswer(Answer::status(500))).await;
    assert_eq!(send(&rig).await.unwrap().status(), 500);
    assert_eq!((outcome(&rig).await, rig.simulator.accepted_count()), (Outcome::BrokenAfter, 1));
}

#[tokio::test]
async fn a_dripping_answer_is_right_and_slow() {
    let rig = with(Action::Drip { interval_ms: 2, accept: true }).await;
    let started = Instant::now();
    let response = send(&rig).await.unwrap();
    let length = response.content_length().unwrap();
    let (status, body) = answer(response).await;
    assert_eq!((status, &body["messaging_product"]), (200, &json!("whatsapp")));
    assert!(started.elapsed() >= Duration::from_millis(2 * length));
}

#[tokio::test]
async fn a_huge_answer_and_a_garbled_one() {
    let rig = with(Action::Huge { bytes: 10_000_000, accept: true }).await;
    assert_eq!(send(&rig).await.unwrap().bytes().await.unwrap().len(), 10_000_000);
    let rig = with(Action::Garbage { accept: false }).await;
    let response = send(&rig).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.json::<serde_json::Value>().await.is_err());
    assert_eq!((outcome(&rig).await, rig.simulator.accepted_count()), (Outcome::BrokenBefore, 0));
}

#[tokio::test]
async fn bytes_that_are_no_http() {
    let rig = with(Action::NotHttp { accept: true }).await;
    let error = send(&rig).await.unwrap_err();
    assert!(error.is_request() && root(&error).is_none(), "{error:?}");
    assert_eq!(rig.simulator.accepted_count(), 1);
}

#[tokio::test]
async fn a_redirect_to_itself() {
    let rig = with(Action::Redirect { location: None, status: None }).await;
    let response = send(&rig).await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], "/whatsapp/v24.0/100000000000001/messages");
}

#[tokio::test]
async fn a_fault_on_lookups_leaves_sends_alone() {
    let rig = Rig::start();
    rig.simulator
        .fault(FaultRule::on(Provider::Twilio, Action::Answer(Answer::code(20_503))).lookups().times(1));
    assert_eq!(rig.twilio(&[("To", "+31612345678"), ("Body", "x")]).await.unwrap().status(), 201);
    assert_eq!(rig.twilio_get("Messages.json?To=%2B31612345678").await.0, 503);
    assert_eq!(rig.twilio_get("Messages.json?To=%2B31612345678").await.0, 200);
}

#[tokio::test]
async fn a_marker_in_the_text_and_the_switch_that_ignores_it() {
    let rig = Rig::start();
    let sent =
        async || rig.whatsapp("31612345678", "[sim:status=503]", "a.1").await.unwrap().status().as_u16();
    assert_eq!(sent().await, 503);
    rig.simulator.configure(|settings| settings.magic = false);
    assert_eq!(sent().await, 200);
}

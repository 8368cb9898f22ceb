//! The clients against a real socket that misbehaves: each fault has its outcome, within the deadline.

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::config::Secret;
use server::{Script, Server, raw_reply, reply};

/// Deadline of the clients under test, and what a test may take beyond it.
const DEADLINE: Duration = Duration::from_millis(1_500);
const SLACK: Duration = Duration::from_millis(1_500);
const WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn transport(allow_private: bool) -> Transport {
    let options = TransportOptions { deadline: DEADLINE, allow_private, ..TransportOptions::default() };
    Transport::new(options).unwrap()
}

fn whatsapp_client() -> whatsapp::Client {
    whatsapp::Client::new(transport(false), Arc::new(Classes::built_in()))
}

async fn whatsapp_with(client: &whatsapp::Client, base_url: url::Url, trust: Trust) -> SendOutcome {
    let channel = whatsapp::WhatsappChannel {
        base_url,
        phone_number_id: "1".into(),
        access_token: Secret::new("token-canary"),
        trust,
    };
    let to: Phone = "+15005550009".parse().unwrap();
    let started = Instant::now();
    let outcome =
        client.send_text(&channel, whatsapp::Recipient::Phone(&to), "body-canary", "J.1", None).await;
    assert!(started.elapsed() < DEADLINE + SLACK, "{:?}", started.elapsed());
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("canary") && !shown.contains("15005550009"), "{shown}");
    outcome
}

async fn whatsapp(server: &Server) -> SendOutcome {
    whatsapp_with(&whatsapp_client(), server.url(), Trust::Configured).await
}

async fn twilio(server: &Server) -> SendOutcome {
    let client = twilio::Client::new(transport(false), Arc::new(Classes::built_in()));
    let to: Phone = "+15005550009".parse().unwrap();
    client.send(&twilio_channel(server), &to, "body-canary", &[], "https://us/status?job=J&a=1").await
}

fn twilio_channel(server: &Server) -> twilio::TwilioChannel {
    twilio::TwilioChannel {
        base_url: format!("http://{}", server.addr).parse().unwrap(),
        account_sid: "AC1".into(),
        auth_token: Secret::new("token-canary"),
        from: "+15005550006".into(),
        trust: Trust::Configured,
    }
}

async fn guest(server: &Server) -> SendOutcome {
    let client = guest::Client::new(transport(false), Arc::new(Classes::built_in()));
    let channel =
        guest::GuestChannel { url: server.url(), secret: Secret::new(WHSEC), trust: Trust::Configured };
    client.forward(&channel, "01JOB", 1_649_367_553, &json!({"type": "message.created"})).await
}

fn unknown(outcome: &SendOutcome) -> UnknownCause {
    match outcome {
        SendOutcome::Unknown { cause, .. } => *cause,
        other => panic!("not unknown: {other:?}"),
    }
}

fn refused(outcome: SendOutcome) -> Refusal {
    match outcome {
        SendOutcome::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

const ACCEPTED: &str = r#"{"messaging_product":"whatsapp","contacts":[{"input":"15005550009","wa_id":"5511"}],
    "messages":[{"id":"wamid.A"}]}"#;

#[tokio::test]
async fn an_accepted_message_has_the_ids_of_the_provider() {
    let server = Server::start(reply("200 OK", "", ACCEPTED)).await;
    let outcome = whatsapp_with(&whatsapp_client(), server.url(), Trust::Configured).await;
    let SendOutcome::Accepted { provider_id, recipient_id } = outcome else { panic!("{outcome:?}") };
    assert_eq!((provider_id.as_str(), recipient_id.as_deref()), ("wamid.A", Some("5511")));
    let request = server.last.lock().clone();
    assert!(request.starts_with("POST /v24.0/1/messages HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer token-canary"));
    assert!(request.contains(r#""biz_opaque_callback_data":"J.1""#));
    assert!(!request.contains("accept-encoding"));
}

#[tokio::test]
async fn nothing_listening_is_refused_and_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let refusal = refused(whatsapp_with(&whatsapp_client(), url, Trust::Configured).await);
    assert_eq!((refusal.class, refusal.scope, refusal.http_status), (Class::Retry, Scope::Channel, None));
    let url = "http://no-such-host.invalid".parse().unwrap();
    let refusal = refused(whatsapp_with(&whatsapp_client(), url, Trust::Configured).await);
    assert_eq!(refusal.class, Class::Retry);
}

#[tokio::test]
async fn tls_that_fails_or_hangs_was_not_sent() {
    for script in [reply("200 OK", "", "no tls"), Script::Hang] {
        let server = Server::start(script).await;
        let url = format!("https://{}/v24.0", server.addr).parse().unwrap();
        let refusal = refused(whatsapp_with(&whatsapp_client(), url, Trust::Configured).await);
        assert_eq!(refusal.class, Class::Retry);
    }
}

#[tokio::test]
async fn a_connection_lost_after_connecting_is_unknown_and_never_sent_twice() {
    let server = Server::start(Script::ResetAfterRead).await;
    assert_eq!(unknown(&whatsapp(&server).await), UnknownCause::ConnectionLost);
    assert_eq!(server.requests(), 1);
    // The reset comes before a byte is read, but nobody on this side can prove it.
    let server = Server::start(Script::ResetUnread).await;
    assert_eq!(unknown(&whatsapp(&server).await), UnknownCause::ConnectionLost);
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_pooled_connection_that_dies_under_a_request_is_not_repeated() {
    let server = Server::start(Script::CloseOnReuse(raw_reply("200 OK", "", ACCEPTED))).await;
    let client = whatsapp_client();
    let first = whatsapp_with(&client, server.url(), Trust::Configured).await;
    assert_eq!(first.as_str(), "accepted");
    let second = whatsapp_with(&client, server.url(), Trust::Configured).await;
    assert_eq!(unknown(&second), UnknownCause::ConnectionLost);
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_pooled_connection_closed_while_idle_costs_nothing() {
    let server = Server::start(Script::CloseIdle(raw_reply("200 OK", "", ACCEPTED))).await;
    let client = whatsapp_client();
    for sent in 1..=5 {
        let outcome = whatsapp_with(&client, server.url(), Trust::Configured).await;
        assert_eq!((outcome.as_str(), server.requests()), ("accepted", sent));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn silence_huge_and_slow_answers_are_unknown_within_the_deadline() {
    for (script, cause) in [
        (Script::Hang, UnknownCause::Timeout),
        (Script::Drip, UnknownCause::Timeout),
        (Script::Huge, UnknownCause::UnreadableAnswer),
        (reply("200 OK", "", "{\"messages\":"), UnknownCause::UnreadableAnswer),
        (reply("200 OK", "", "<html>"), UnknownCause::UnreadableAnswer),
        (reply("200 OK", "", "{\"messages\":[{\"id\":\"\"}]}"), UnknownCause::UnreadableAnswer),
        (
            Script::Reply("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n".into()),
            UnknownCause::UnreadableAnswer,
        ),
        (Script::Reply("garbage\r\n\r\n".into()), UnknownCause::ConnectionLost),
        (reply("500 Oops", "", "<html>"), UnknownCause::ServerError),
        (reply("503 Busy", "retry-after: 5\r\n", ""), UnknownCause::ServerError),
    ] {
        let server = Server::start(script).await;
        assert_eq!(unknown(&whatsapp(&server).await), cause);
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(reply("307 Go", "location: /v24.0/1/messages\r\n", "")).await;
    let refusal = refused(whatsapp(&server).await);
    assert_eq!((refusal.class, refusal.http_status), (Class::NeedsOperator, Some(307)));
    assert!(refusal.alarm);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn too_many_requests_wait_as_long_as_the_provider_says() {
    for (header, wanted) in [
        ("retry-after: 1\r\n", Some(1)),
        ("retry-after: 60\r\n", Some(60)),
        ("retry-after: 999999\r\n", Some(86_400)),
        ("retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", Some(1)),
        ("retry-after: soon\r\n", None),
        ("", None),
    ] {
        let server = Server::start(reply("429 Slow down", header, "")).await;
        for outcome in [whatsapp(&server).await, twilio(&server).await, guest(&server).await] {
            let refusal = refused(outcome);
            assert_eq!(refusal.class, Class::WaitUntil, "{header}");
            assert_eq!(refusal.retry_after.map(|wait| wait.as_secs()), wanted, "{header}");
        }
    }
}

#[tokio::test]
async fn errors_with_a_code_are_decided_by_it_whatever_the_status() {
    let error =
        |code: u32| json!({"error": {"code": code, "message": "to +15005550009: body-canary"}}).to_string();
    for (status, code, class) in [
        ("503 Down", 131_016, Class::Retry),
        ("400 Bad", 131_047, Class::NeedsTemplate),
        ("400 Bad", 131_026, Class::Permanent),
        ("401 No", 190, Class::NeedsOperator),
        ("200 OK", 131_026, Class::Permanent),
        ("400 Bad", 999_999, Class::Permanent),
    ] {
        let server = Server::start(reply(status, "", &error(code))).await;
        let refusal = refused(whatsapp(&server).await);
        assert_eq!(refusal.class, class, "{code}");
        assert_eq!(refusal.code, Some(code.to_string()));
        assert_eq!(refusal.alarm, code == 999_999);
    }
    let server = Server::start(reply("500 Oops", "", &error(999_999))).await;
    let outcome = whatsapp(&server).await;
    assert!(matches!(outcome, SendOutcome::Unknown { alarm: true, .. }), "{outcome:?}");
    let usage = "x-business-use-case-usage: {\"1\":[{\"estimated_time_to_regain_access\":19}]}\r\n";
    let server = Server::start(reply("400 Bad", usage, &error(80_007))).await;
    assert_eq!(refused(whatsapp(&server).await).retry_after, Some(Duration::from_secs(19 * 60)));
}

#[tokio::test]
async fn twilio_accepts_refuses_and_is_unknown() {
    let server = Server::start(reply("201 Created", "", r#"{"sid":"SM1","status":"queued"}"#)).await;
    assert!(
        matches!(twilio(&server).await, SendOutcome::Accepted { provider_id, .. } if provider_id == "SM1")
    );
    let request = server.last.lock().clone();
    assert!(request.starts_with("POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Basic QUMxOnRva2VuLWNhbmFyeQ=="));
    let stop = r#"{"code":21610,"message":"+15005550009 unsubscribed","status":400}"#;
    let server = Server::start(reply("400 Bad", "", stop)).await;
    let refusal = refused(twilio(&server).await);
    assert_eq!((refusal.class, refusal.reason.as_str()), (Class::Permanent, "opted_out"));
    assert!(!refusal.detail.contains("1500"));
    for script in [reply("201 Created", "", "{}"), reply("500 Oops", "", r#"{"code":20500}"#), Script::Hang] {
        let server = Server::start(script).await;
        unknown(&twilio(&server).await);
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn twilio_finds_what_was_sent() {
    let row = |sid: &str, body: &str, date: &str| {
        json!({"sid": sid, "from": "+15005550006", "to": "+15005550009", "body": body, "status": "queued",
            "error_code": null, "date_sent": null, "date_created": date})
    };
    let rows = [
        row("SM2", "Hi", "Sat, 21 Nov 2026 10:00:05 +0000"),
        row("SM1", "Hi", "Sat, 21 Nov 2026 09:00:00 +0000"),
    ];
    let page = json!({"messages": rows, "next_page_uri": "/x?Page=1&PageToken=T"}).to_string();
    let server = Server::start(reply("200 OK", "", &page)).await;
    let client = twilio::Client::new(transport(false), Arc::new(Classes::built_in()));
    let to: Phone = "+15005550009".parse().unwrap();
    let channel = twilio_channel(&server);
    let listing = client.find_recent(&channel, &to, "2026-11-21T10:00:00Z".parse().unwrap()).await.unwrap();
    assert!(listing.complete);
    assert_eq!(listing.matching(&channel, "Hi").map(|m| m.sid.as_str()).collect::<Vec<_>>(), ["SM2"]);
    assert_eq!(listing.matching(&channel, "Ho").count(), 0);
    assert_eq!(server.requests(), 1);
    // All the pages the cap allows are young: absence would be no proof.
    let listing = client.find_recent(&channel, &to, "2026-11-01T10:00:00Z".parse().unwrap()).await.unwrap();
    assert!(!listing.complete);
    assert_eq!(server.requests(), 6);
    assert!(server.last.lock().starts_with(
        "GET /2010-04-01/Accounts/AC1/Messages.json?To=%2B15005550009&PageSize=100&Page=1&PageToken=T "
    ));
    let server = Server::start(reply("500 Oops", "", "")).await;
    let failed = client.find_recent(&twilio_channel(&server), &to, chrono::Utc::now()).await;
    assert_eq!(failed.unwrap_err(), twilio::LookupError::Status(500));
}

#[tokio::test]
async fn the_guest_platform_is_asked_again_whatever_is_lost() {
    for (script, class) in [
        (Script::ResetAfterRead, Class::Retry),
        (Script::Hang, Class::Retry),
        (reply("500 Oops", "", ""), Class::Retry),
        (reply("302 Go", "location: http://169.254.169.254/\r\n", ""), Class::Retry),
        (reply("503 Busy", "retry-after: 7\r\n", ""), Class::WaitUntil),
        (reply("401 No", "", ""), Class::NeedsOperator),
        (reply("410 Gone", "", ""), Class::NeedsOperator),
        (reply("422 No", "", ""), Class::Permanent),
    ] {
        let server = Server::start(script).await;
        assert_eq!(refused(guest(&server).await).class, class);
        assert_eq!(server.requests(), 1);
    }
    for script in [reply("204 No Content", "", ""), reply("409 Twice", "", ""), Script::Drip] {
        let server = Server::start(script).await;
        assert_eq!(guest(&server).await.as_str(), "accepted");
        let request = server.last.lock().clone();
        let header = |name: &str| {
            let line = request.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_once(": ").unwrap().1.to_owned()
        };
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let signature = header("webhook-signature");
        let headers =
            standard_webhooks::SignedHeaders { id: &id, timestamp: &timestamp, signature: &signature };
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let now = "2022-04-07T21:39:13Z".parse().unwrap();
        assert!(standard_webhooks::verify(WHSEC, &headers, body.as_bytes(), now));
    }
}

#[tokio::test]
async fn addresses_that_clients_set_are_guarded_when_connecting() {
    let server = Server::start(reply("200 OK", "", ACCEPTED)).await;
    let port = server.addr.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "0x7f.1"] {
        let url = format!("https://{host}:{port}/v24.0").parse().unwrap();
        let refusal = refused(whatsapp_with(&whatsapp_client(), url, Trust::FromClient).await);
        assert_eq!((refusal.class, refusal.alarm), (Class::NeedsOperator, true), "{host}");
    }
    assert_eq!(server.requests(), 0);
    let open = whatsapp::Client::new(transport(true), Arc::new(Classes::built_in()));
    let outcome = whatsapp_with(&open, server.url(), Trust::FromClient).await;
    assert_eq!(outcome.as_str(), "accepted");
}

//! A client that speaks to the simulator as the product does, and a receiver of webhooks.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::simulator::{
    DEV_ACCESS_TOKEN, DEV_ACCOUNT_SID, DEV_AUTH_TOKEN, DEV_GUEST_SECRET, DEV_PHONE_NUMBER_ID, Simulator,
    SimulatorConfig, signature,
};

pub(super) const SOON: Duration = Duration::from_secs(5);
pub(super) const FROM: &str = "+15005550006";

pub(super) struct Rig {
    pub(super) simulator: Simulator,
    pub(super) client: Client,
}

impl Rig {
    pub(super) fn start() -> Self {
        let simulator = Simulator::start(SimulatorConfig::default());
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { simulator, client: client.build().unwrap() }
    }

    pub(super) async fn whatsapp_raw(&self, payload: &Value) -> reqwest::Result<Response> {
        let url = format!("{}/{DEV_PHONE_NUMBER_ID}/messages", self.simulator.whatsapp_base_url());
        self.client.post(url).bearer_auth(DEV_ACCESS_TOKEN).json(payload).send().await
    }

    pub(super) async fn whatsapp(&self, to: &str, body: &str, key: &str) -> reqwest::Result<Response> {
        self.whatsapp_raw(&text(to, body, key)).await
    }

    /// `fields` are added to a sender and credentials.
    pub(super) async fn twilio(&self, fields: &[(&str, &str)]) -> reqwest::Result<Response> {
        let mut form: Vec<(&str, &str)> = vec![("From", FROM)];
        form.extend(fields);
        let request = self.client.post(self.twilio_url("Messages.json"));
        request.basic_auth(DEV_ACCOUNT_SID, Some(DEV_AUTH_TOKEN)).form(&form).send().await
    }

    pub(super) async fn twilio_get(&self, rest: &str) -> (u16, Value) {
        let request = self.client.get(self.twilio_url(rest));
        answer(request.basic_auth(DEV_ACCOUNT_SID, Some(DEV_AUTH_TOKEN)).send().await.unwrap()).await
    }

    pub(super) fn twilio_url(&self, rest: &str) -> String {
        format!("{}/2010-04-01/Accounts/{DEV_ACCOUNT_SID}/{rest}", self.simulator.twilio_base_url())
    }

    pub(super) async fn guest(&self, id: &str, event: &Value, at: i64) -> (u16, Value) {
        let body = event.to_string();
        let signed = signature::standard(DEV_GUEST_SECRET, id, at, body.as_bytes()).unwrap();
        let request = self.client.post(self.simulator.guest_url());
        let request = request.header("webhook-id", id).header("webhook-timestamp", at);
        answer(request.header("webhook-signature", signed).body(body).send().await.unwrap()).await
    }

    pub(super) async fn control(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let request = self.client.request(method, format!("{}/_sim/{path}", self.simulator.url()));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request.send().await.unwrap()).await
    }
}

pub(super) fn text(to: &str, body: &str, key: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "text",
        "text": {"body": body, "preview_url": false}, "biz_opaque_callback_data": key,
    })
}

pub(super) fn event(body: &str) -> Value {
    let data = json!({"messageId": "m1", "threadId": "t1", "authorId": "agent-1", "body": body});
    json!({"type": "message.created", "timestamp": "2026-01-01T00:00:00.000Z", "data": data})
}

pub(super) fn now() -> i64 {
    Utc::now().timestamp()
}

pub(super) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// One request that a receiver got.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The one status of a WhatsApp webhook.
    pub(super) fn status(&self) -> Value {
        self.json()["entry"][0]["changes"][0]["value"]["statuses"][0].clone()
    }
}

/// Stands for ingest: keeps what arrives, answers the given statuses first and 200 afterwards.
pub(super) struct Receiver {
    pub(super) url: String,
    got: watch::Receiver<Vec<Received>>,
}

impl Receiver {
    pub(super) async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (keep, got) = watch::channel(Vec::new());
        let keep = Arc::new(keep);
        let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect::<Vec<u16>>()));
        shared::task::spawn("receiver", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keep, answers) = (keep.clone(), answers.clone());
                shared::task::spawn("receive", async move {
                    let service = service_fn(|request| take(request, &keep, &answers));
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, got }
    }

    pub(super) async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(|got| got.len() >= count).await
    }

    /// As [`Receiver::wait_for`], until `done` holds for what has come.
    pub(super) async fn wait_until(&self, done: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut got = self.got.clone();
        let received = tokio::time::timeout(SOON, got.wait_for(|got| done(got))).await;
        received.expect("webhooks arrive in time").unwrap().clone()
    }
}

async fn take(
    request: hyper::Request<hyper::body::Incoming>,
    keep: &watch::Sender<Vec<Received>>,
    answers: &Mutex<Vec<u16>>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers = head.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let status = answers.lock().pop().unwrap_or(200);
    // Meta's handshake: the challenge is echoed.
    let challenge = head.uri.query().and_then(|query| query.split("hub.challenge=").nth(1));
    let challenge = Bytes::from(challenge.unwrap_or_default().to_owned());
    keep.send_modify(|got| got.push(Received { target: head.uri.to_string(), headers, body }));
    Ok(hyper::Response::builder().status(status).body(Full::new(challenge)).unwrap())
}

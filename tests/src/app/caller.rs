//! Requests as a caller makes them: a role with a token, and replies that show themselves when they are wrong.

use std::ops::Index;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use ingest::auth::{TokenRequest, issue};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use shared::config::Auth;
use shared::domain::actor::Role;
use shared::domain::ids::{AccountId, Uid};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How ingest is reached.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) url: Arc<str>,
    client: Client,
    auth: Arc<Auth>,
}

impl Door {
    pub(super) fn new(url: String, auth: Auth) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE);
        let client = client.redirect(reqwest::redirect::Policy::none()).build().expect("an HTTP client");
        Self { url: url.into(), client, auth: Arc::new(auth) }
    }

    pub(super) async fn text(&self, url: &str) -> String {
        self.client.get(url).send().await.expect("an answer").text().await.expect("a body")
    }

    pub(super) fn caller(&self, account: &str, uid: &str, token: Option<(Role, Option<&str>)>) -> Caller {
        let token = token.map(|(role, name)| {
            let request = TokenRequest {
                account: AccountId::parse(account).expect("an account id"),
                uid: Uid::parse(uid).expect("a user id"),
                role,
                conversation: None,
                name: name.map(str::to_owned),
                ttl: Duration::from_secs(3600),
            };
            issue(&self.auth, &request).expect("a token")
        });
        Caller { door: self.clone(), token, account: account.to_owned(), uid: uid.to_owned() }
    }
}

/// Somebody who calls the API. Made by [`super::TestApp::agent`] and its like.
#[derive(Clone)]
pub struct Caller {
    door: Door,
    token: Option<String>,
    account: String,
    uid: String,
}

impl Caller {
    /// The caller's user id.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The caller's account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The caller's token; empty for nobody.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// The same caller with another token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Any request; `path` begins with a slash.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let mut request = self.door.client.request(method.clone(), format!("{}{path}", self.door.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Call { request, shown: format!("{method} {path} as {}", self.uid) }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// POST with a JSON body.
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call(Method::POST, path).json(&body)
    }

    /// PUT with a JSON body.
    pub fn put(&self, path: &str, body: Value) -> Call {
        self.call(Method::PUT, path).json(&body)
    }

    /// PATCH with a JSON body.
    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.call(Method::PATCH, path).json(&body)
    }

    /// Posts `body` to a thread, whatever the answer.
    pub fn message(&self, thread: &str, body: Value) -> Call {
        self.post(&format!("/chat/threads/{thread}/messages"), body)
    }

    /// Posts a new message and returns it as it is stored.
    ///
    /// # Panics
    /// When it is not answered 201.
    #[track_caller]
    pub fn post_message(&self, thread: &str, body: Value) -> BoxFuture<'static, Value> {
        let call = self.message(thread, body).expect(201);
        async { call.await.body }.boxed()
    }

    /// Posts a plain text.
    ///
    /// # Panics
    /// As [`Caller::post_message`].
    #[track_caller]
    pub fn say(&self, thread: &str, text: &str) -> BoxFuture<'static, Value> {
        self.post_message(thread, json!({ "body": text }))
    }

    /// The thread as this caller sees it.
    ///
    /// # Panics
    /// When it is not answered 200.
    #[track_caller]
    pub fn thread(&self, thread: &str) -> BoxFuture<'static, Value> {
        let call = self.get(&format!("/chat/threads/{thread}")).expect(200);
        async { call.await.body }.boxed()
    }

    /// A page of messages; `query` begins with a question mark or is empty.
    ///
    /// # Panics
    /// When it is not answered 200.
    #[track_caller]
    pub fn messages(&self, thread: &str, query: &str) -> BoxFuture<'static, Reply> {
        self.get(&format!("/chat/threads/{thread}/messages{query}")).expect(200)
    }
}

/// A request that was not sent yet.
pub struct Call {
    request: reqwest::RequestBuilder,
    shown: String,
}

impl Call {
    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self { request: self.request.header(name, value.as_ref()), ..self }
    }

    /// Sends a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    /// Sends bytes as they are.
    #[must_use]
    pub fn bytes(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { request: self.request.header("content-type", content_type).body(body.into()), ..self }
    }

    /// Sends it.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn send(self) -> BoxFuture<'static, Reply> {
        async move {
            let response = match self.request.send().await {
                Ok(response) => response,
                Err(error) => panic!("{}: {error:?}", self.shown),
            };
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.expect("a body");
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            Reply { status, headers, body, text, shown: self.shown }
        }
        .boxed()
    }

    /// Sends it and checks the status.
    ///
    /// # Panics
    /// At the caller's place, with the body, when the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> BoxFuture<'static, Reply> {
        let place = Location::caller();
        async move {
            let reply = self.send().await;
            assert!(
                reply.status == status,
                "{place}: {} was answered {} instead of {status}: {}",
                reply.shown,
                reply.status,
                reply.text
            );
            reply
        }
        .boxed()
    }

    /// Sends it and checks that it is refused with `status` and `code`, in the form of the contract.
    ///
    /// # Panics
    /// As [`Call::expect`].
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> BoxFuture<'static, Reply> {
        let (place, code) = (Location::caller(), code.to_owned());
        let call = self.expect(status);
        async move {
            let reply = call.await;
            assert!(reply["code"] == code.as_str(), "{place}: {} was answered {}", reply.shown, reply.text);
            reply.check_problem();
            reply
        }
        .boxed()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The JSON body; null when there is none.
    pub body: Value,
    /// The body as text.
    pub text: String,
    shown: String,
}

impl Reply {
    /// A header as text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether nothing was written because the request came before.
    pub fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == "true"
    }

    /// A field of each element of an array of the body.
    ///
    /// # Panics
    /// When `array` is no array.
    pub fn each(&self, array: &str, field: &str) -> Vec<Value> {
        let items = self[array].as_array().unwrap_or_else(|| panic!("{}: {}", self.shown, self.text));
        items.iter().map(|item| item[field].clone()).collect()
    }

    fn check_problem(&self) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(self["status"], self.status, "{}", self.text);
        assert_eq!(self["requestId"], self.header("x-request-id"), "{}", self.text);
        assert_eq!(
            self["type"],
            format!("urn:bellhop:problem:{}", self["code"].as_str().unwrap_or_default())
        );
        for field in ["title", "detail", "requestId"] {
            assert!(self[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {}", self.text);
        }
    }
}

impl Index<&str> for Reply {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.body[field]
    }
}

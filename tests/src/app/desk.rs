//! The support desk as its two sides use it: agents in their rooms, customers at widgets with sessions.

use futures::FutureExt as _;
use futures::future::{BoxFuture, LocalBoxFuture};
use hmac::{Hmac, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::panic::Location;

use super::{ACCOUNT, Call, Caller, Reply, TestApp};
use shared::domain::actor::Role;

/// Where the support desk's paths begin.
pub const DESK: &str = "/api/conversation-v2/support";

/// A widget in a browser: its token, its device and the session that it has opened.
#[derive(Clone)]
pub struct Widget {
    door: Caller,
    /// The token of the embed.
    pub token: String,
    /// The device's id.
    pub device: String,
    /// The secret of the session.
    pub session: String,
    /// The customer's conversation.
    pub conversation: String,
    /// The customer's room.
    pub room: String,
}

impl TestApp {
    /// A new support token of the account with its secrets; `content` is the body of the request.
    pub fn support_token(&self, content: Value) -> LocalBoxFuture<'_, Value> {
        self.support_token_of(ACCOUNT, content)
    }

    /// As [`TestApp::support_token`], of any account.
    pub fn support_token_of<'a>(&'a self, account: &'a str, content: Value) -> LocalBoxFuture<'a, Value> {
        async move {
            let admin = self.caller(account, "token-admin", Role::Admin);
            let issued = admin.post("/chat/support-tokens", content).expect(201).await.body;
            for secret in ["supportToken", "identitySecret"] {
                self.must_not_be_logged(issued[secret].as_str().expect("a secret"));
            }
            issued
        }
        .boxed_local()
    }

    /// A request for a session, whatever the answer.
    pub fn open_session(&self, body: Value) -> Call {
        self.nobody().post(&format!("{DESK}/session"), body)
    }

    /// A new customer on `device`, by a token of its own.
    pub fn widget<'a>(&'a self, device: &'a str) -> LocalBoxFuture<'a, Widget> {
        async move {
            let issued = self.support_token(json!({})).await;
            self.widget_with(&issued, device, json!({})).await
        }
        .boxed_local()
    }

    /// A widget on `device` with the token `issued`; `more` is what else its request for a session says.
    ///
    /// # Panics
    /// When it gets no session.
    pub fn widget_with<'a>(
        &'a self,
        issued: &'a Value,
        device: &'a str,
        more: Value,
    ) -> LocalBoxFuture<'a, Widget> {
        async move {
            let token = issued["supportToken"].as_str().expect("a token").to_owned();
            let mut body = json!({ "support_token": token, "device_id": device });
            body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let opened = self.open_session(body).expect(201).await;
            assert_eq!(opened["success"], true);
            let text = |field: &str| opened["session"][field].as_str().expect("a session").to_owned();
            let session = text("support_session");
            self.must_not_be_logged(&session);
            let (conversation, room) = (text("conversation_id"), text("room_id"));
            Widget { door: self.nobody(), token, device: device.to_owned(), session, conversation, room }
        }
        .boxed_local()
    }

    /// What the account's own servers say of a visitor.
    pub fn identity(issued: &Value, id: &str, more: Value) -> Value {
        let secret = issued["identitySecret"].as_str().expect("a secret");
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(id.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let mut identity = json!({ "id": id, "signature": signature });
        identity.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        identity
    }
}

impl Widget {
    /// What it connects a socket with.
    pub fn auth(&self) -> Value {
        json!({ "supportToken": self.token, "supportSession": self.session, "deviceId": self.device })
    }

    /// Any request with the widget's credentials; `path` follows `…/support/user`.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let call = self.door.call(method, &format!("{DESK}/user{path}"));
        let call = call.header("support-token", &self.token).header("support_session", &self.session);
        call.header("device-id", &self.device)
    }

    /// Sends a message to its room, whatever the answer.
    pub fn message(&self, message: Value) -> Call {
        let body = json!({ "room_id": self.room, "message": message });
        self.call(Method::POST, "/message").json(&body)
    }

    /// Sends a text and returns the message.
    ///
    /// # Panics
    /// When it is not answered 200.
    #[track_caller]
    pub fn say(&self, text: &str) -> BoxFuture<'static, Value> {
        let call = self.message(json!({ "type": "text", "content": text })).expect(200);
        async { call.await["messages"]["message"].clone() }.boxed()
    }

    /// A request for a page of its room; `query` begins with an ampersand or is empty.
    pub fn page(&self, query: &str) -> Call {
        self.call(Method::GET, &format!("/message?room_id={}{query}", self.room))
    }

    /// The same widget with another device, session or token.
    #[must_use]
    pub fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

/// The body of an agent's request to send `message` to `room`.
pub fn room_of(room: &str, message: Value) -> Value {
    json!({ "room_id": room, "message": message })
}

impl Caller {
    /// Sends a message to a room as the staff does, whatever the answer.
    pub fn desk_message(&self, room: &str, message: Value) -> Call {
        self.post(&format!("{DESK}/message"), room_of(room, message))
    }

    /// Sends a text to a room and returns the message.
    ///
    /// # Panics
    /// When it is not answered 200.
    #[track_caller]
    pub fn reply(&self, room: &str, text: &str) -> BoxFuture<'static, Value> {
        self.desk_send(room, json!({ "type": "text", "content": text }))
    }

    /// Sends a message of any type to a room and returns it.
    ///
    /// # Panics
    /// When it is not answered 200.
    #[track_caller]
    pub fn desk_send(&self, room: &str, message: Value) -> BoxFuture<'static, Value> {
        let call = self.desk_message(room, message).expect(200);
        async { call.await["messages"]["message"].clone() }.boxed()
    }

    /// A request for a page of a room; `query` begins with an ampersand or is empty.
    pub fn desk_page(&self, room: &str, query: &str) -> Call {
        self.get(&format!("{DESK}/message?room_id={room}{query}"))
    }
}

impl Call {
    /// Sends it and checks that the support desk refuses it with `status` and `code`, in its own form.
    ///
    /// # Panics
    /// As [`Call::expect`].
    #[track_caller]
    pub fn desk_refused(self, status: u16, code: &str) -> BoxFuture<'static, Reply> {
        let (place, code) = (Location::caller(), code.to_owned());
        let call = self.expect(status);
        async move {
            let reply = call.await;
            assert!(reply["error"]["code"] == code.as_str(), "{place}: answered {}", reply.text);
            assert_eq!(reply.header("content-type"), "application/json", "{}", reply.text);
            let message = reply["error"]["message"].as_str().unwrap_or_default();
            assert!(reply["success"] == false && !message.is_empty(), "{place}: {}", reply.text);
            assert_eq!(reply["requestId"], reply.header("x-request-id"), "{}", reply.text);
            reply
        }
        .boxed()
    }
}

//! Who calls, and the threads and reservations they call about.

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use shared::domain::actor::Role;

use super::{ACCOUNT, Caller, TestApp};

impl TestApp {
    /// An agent of the account.
    pub fn agent(&self, uid: &str) -> Caller {
        self.caller(ACCOUNT, uid, Role::Agent)
    }

    /// An admin of the account.
    pub fn admin(&self, uid: &str) -> Caller {
        self.caller(ACCOUNT, uid, Role::Admin)
    }

    /// A guest of the account.
    pub fn guest(&self, uid: &str) -> Caller {
        self.caller(ACCOUNT, uid, Role::Guest)
    }

    /// A program of the account.
    pub fn service(&self, uid: &str) -> Caller {
        self.caller(ACCOUNT, uid, Role::Service)
    }

    /// Somebody whose token says a name.
    pub fn named(&self, uid: &str, role: Role, name: &str) -> Caller {
        self.door.caller(ACCOUNT, uid, Some((role, Some(name))))
    }

    /// Anybody, of any account.
    pub fn caller(&self, account: &str, uid: &str, role: Role) -> Caller {
        self.door.caller(account, uid, Some((role, None)))
    }

    /// Somebody without a token.
    pub fn nobody(&self) -> Caller {
        self.door.caller(ACCOUNT, "nobody", None)
    }

    /// A new thread of the account, made by a service; `content` is the body of the request.
    pub fn thread(&self, content: Value) -> LocalBoxFuture<'_, String> {
        async move {
            let made = self.service("setup").post("/chat/threads", content).expect(201).await;
            made["threadId"].as_str().expect("an id").to_owned()
        }
        .boxed_local()
    }

    /// A reservation whose guest has this phone.
    pub fn reservation<'a>(&'a self, id: &'a str, phone: &'a str) -> LocalBoxFuture<'a, ()> {
        async move {
            self.watch.add(phone.trim_start_matches('+'));
            let put = self
                .service("setup")
                .put(&format!("/chat/reservations/{id}"), json!({ "guestPhone": phone }));
            let status = put.send().await.status;
            assert!(matches!(status, 200 | 201), "{status}");
        }
        .boxed_local()
    }

    /// A thread whose reservation leads to `phone`.
    pub fn whatsapp_thread<'a>(&'a self, phone: &'a str) -> LocalBoxFuture<'a, String> {
        async move {
            let id = format!("res-{}", ulid::Ulid::new());
            self.reservation(&id, phone).await;
            self.thread(json!({ "reservationId": id })).await
        }
        .boxed_local()
    }

    /// Tells the directory that `uid` is an agent, by a call of theirs.
    pub fn introduce_agent<'a>(&'a self, uid: &'a str) -> LocalBoxFuture<'a, ()> {
        async move {
            self.agent(uid).get("/chat/threads").expect(200).await;
        }
        .boxed_local()
    }
}

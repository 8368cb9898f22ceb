//! An account with a support room, people with addresses, and a mail server.

use mongodb::bson::doc;
use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use shared::ledger::JobRow;
use tests::app::{Caller, Setup, TestApp};
use tests::servers::{ReceivedMail, SmtpServer};

/// The sender of every mail.
pub(crate) const SENDER: &str = "Acme <support@acme.example>";

/// An app that sends by `smtp`, at once. A mail takes several round trips to a program in Python, which on a busy machine
/// are not done in the second that other tests give a provider.
pub(crate) fn setup(smtp: &SmtpServer) -> Setup {
    TestApp::with("BELLHOP_SMTP__URL", smtp.url())
        .with("BELLHOP_SMTP__FROM", SENDER)
        .with("BELLHOP_EMAIL__DELAY", "0s")
        .with("BELLHOP_DELIVERY__TIMEOUT", "4s")
        .with("BELLHOP_JOBS__LEASE", "10s")
}

/// The address of `uid`, which no log may hold.
pub(crate) fn address(uid: &str) -> String {
    format!("{uid}.private@mail.example")
}

/// Somebody with a name and an address.
pub(crate) async fn person(app: &TestApp, uid: &str, name: &str, role: &str) {
    app.must_not_be_logged(&address(uid));
    let user = json!({ "name": name, "email": address(uid), "role": role });
    app.service("setup").put(&format!("/chat/users/{uid}"), user).expect(201).await;
}

/// The people of most tests: two agents, an admin, a customer.
pub(crate) async fn people(app: &TestApp) {
    person(app, "anna", "Anna Agent", "agent").await;
    person(app, "ben", "Ben Agent", "agent").await;
    person(app, "boss", "Bea Boss", "admin").await;
    person(app, "carla", "Carla Customer", "guest").await;
}

/// A support room of carla, assigned to `agents`.
pub(crate) async fn room(app: &TestApp, agents: &[&str]) -> String {
    let room = json!({
        "kind": "support", "title": "Boiler", "participantIds": ["carla"], "assignedAgentIds": agents,
    });
    app.thread(room).await
}

/// Waits until the mail server has taken `count` mails and all jobs have ended, and returns the mails.
pub(crate) async fn mails(app: &TestApp, smtp: &SmtpServer, count: usize) -> Vec<ReceivedMail> {
    app.eventually("the mails", async || (smtp.mails().len() >= count).then_some(())).await;
    app.settled().await;
    let mails = smtp.mails();
    assert_eq!(mails.len(), count, "{mails:#?}");
    mails
}

/// The e-mail jobs called `name`, oldest first.
pub(crate) async fn jobs(app: &TestApp, name: &str) -> Vec<JobRow> {
    app.jobs_where(doc! { "name": name }).await
}

/// How each of the jobs called `name` ended, sorted: its state, or why no mail was needed.
pub(crate) async fn endings(app: &TestApp, name: &str) -> Vec<String> {
    let ended = jobs(app, name).await.into_iter().map(|mut job| {
        let why = job.attempts.pop().and_then(|last| last.error_class);
        match (job.state, why) {
            (JobState::Done, Some(why)) => why,
            (state, _) => state.as_str().to_owned(),
        }
    });
    let mut ended: Vec<String> = ended.collect();
    ended.sort();
    ended
}

/// Waits until the newest job called `name` satisfies `look`.
pub(crate) async fn job_that(app: &TestApp, name: &str, look: impl Fn(&JobRow) -> bool) -> JobRow {
    app.eventually(name, async || jobs(app, name).await.pop().filter(&look)).await
}

/// Marks everything in a room as read by somebody.
pub(crate) async fn read(who: &Caller, room: &str) -> Value {
    who.post(&format!("/chat/threads/{room}/read"), json!({})).expect(200).await.body
}

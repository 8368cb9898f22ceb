//! The canary of the notes where REST does not look: sockets, search with its highlights, e-mails, every log.

use mongodb::bson::doc;
use serde_json::{Value, json};
use tests::app::{SocketClients, TestApp, Widget};
use tests::servers::SmtpServer;

const CANARY: &str = "canarybird9142";
const CARLA: &str = "carla.private@mail.example";
const ANNA: &str = "anna.private@mail.example";

/// An app that mails at once, with an agent who has an address.
async fn app(smtp: &SmtpServer) -> TestApp {
    let app = TestApp::with("BELLHOP_SMTP__URL", smtp.url())
        .with("BELLHOP_SMTP__FROM", "Acme <support@acme.example>")
        .with("BELLHOP_EMAIL__DELAY", "0s")
        .with("BELLHOP_DELIVERY__TIMEOUT", "4s")
        .with("BELLHOP_JOBS__LEASE", "10s")
        .full()
        .await;
    for text in [CANARY, CARLA, ANNA] {
        app.must_not_be_logged(text);
    }
    let anna = json!({ "name": "Anna", "email": ANNA, "role": "agent" });
    app.service("setup").put("/chat/users/anna", anna).expect(201).await;
    app
}

/// A customer whose address is known to be hers.
async fn carla(app: &TestApp) -> Widget {
    let issued = app.support_token(json!({})).await;
    let identity = TestApp::identity(&issued, "user-1", json!({ "name": "Carla", "email": CARLA }));
    app.widget_with(&issued, "device-1", json!({ "identity": identity })).await
}

fn note() -> Value {
    json!({ "type": "note", "content": format!("{CANARY} is good to know") })
}

/// Messages of both sides, each between notes.
async fn talk(app: &TestApp, widget: &Widget, topic: &str) {
    let anna = app.agent("anna");
    for n in 0..2 {
        anna.desk_send(&widget.room, note()).await;
        widget.say(&format!("{topic}: question {n}")).await;
        anna.desk_send(&widget.room, note()).await;
        anna.reply(&widget.room, &format!("{topic}: answer {n}, good to know")).await;
    }
    anna.post_message(&widget.room, json!({ "body": CANARY, "type": "note" })).await;
}

/// Connects the customer, a guest who is the customer, and the agent.
async fn connect(app: &TestApp, widget: &Widget) -> SocketClients {
    let mut clients = SocketClients::start().await;
    clients.connect("customer", app.url(), widget.auth()).await;
    clients.hears("customer", "connect").await;
    clients.join("guest", app.url(), &app.guest(&widget.conversation)).await;
    clients.join("anna", app.url(), &app.agent("anna")).await;
    for uid in [&widget.conversation, "anna"] {
        app.is_online(uid, true).await;
    }
    clients
}

async fn check_sockets(clients: &mut SocketClients, widget: &Widget) {
    let typing = json!({ "threadId": widget.room, "typing": true, "type": "note" });
    assert_eq!(clients.ask("anna", "typing", typing).await, json!({}));
    clients.hears_where("anna", "newMessage", |data| data["message"]["seq"] == 9).await;
    for id in ["customer", "guest"] {
        clients.hears_where(id, "newMessage", |data| data["message"]["seq"] == 4).await;
        clients.hears_where(id, "threadUpdated", |data| data["thread"]["seq"] == 4).await;
        let resumed = clients.ask(id, "resume", json!({ "threadId": widget.room, "afterSeq": 0 })).await;
        assert_eq!(resumed["messages"].as_array().unwrap().len(), 4, "{resumed}");
        let heard = clients.all_heard(id) + &resumed.to_string();
        assert!(!heard.contains(CANARY) && !heard.contains("note") && heard.contains("answer 1"), "{heard}");
        assert_eq!(clients.heard(id, "newMessage").len(), 4, "nothing comes when a note is written");
        assert!(clients.heard(id, "typing").is_empty(), "nor when it is being written");
    }
    assert!(clients.all_heard("anna").contains(CANARY), "the staff hears it");
}

async fn check_search(app: &TestApp, widget: &Widget) {
    let guest = app.guest(&widget.conversation);
    for indexed in [false, true] {
        for q in [CANARY, "canary", "is%20good%20to%20know"] {
            let hits = guest.get(&format!("/chat/threads?q={q}")).expect(200).await;
            assert_eq!(hits["threads"], json!([]), "{q}, {indexed}");
        }
        let hits = guest.get("/chat/threads?q=good%20to%20know").expect(200).await;
        assert_eq!(hits.each("threads", "threadId"), [json!(widget.room)], "{indexed}");
        let highlights = hits["threads"][0]["highlights"].to_string();
        assert!(highlights.contains("answer") && !hits.text.contains(CANARY), "{}", hits.text);
        let staff = app.agent("anna").get(&format!("/chat/threads?q={CANARY}")).expect(200).await;
        assert!(staff.text.contains(CANARY), "the staff finds it, {indexed}");
        app.settled().await;
        app.index().refresh().await.unwrap();
    }
}

#[tokio::test]
async fn no_socket_search_or_mail_of_a_customer_shows_a_note_and_no_log_does() {
    let smtp = SmtpServer::start();
    let app = app(&smtp).await;
    let widget = carla(&app).await;
    let mut clients = connect(&app, &widget).await;
    talk(&app, &widget, "live").await;
    check_sockets(&mut clients, &widget).await;
    check_search(&app, &widget).await;
    assert!(smtp.mails().is_empty(), "everybody is there: {:#?}", smtp.mails());
    for id in ["customer", "guest", "anna"] {
        clients.command(json!({ "op": "close", "id": id })).await;
    }
    for uid in [&widget.conversation, "anna"] {
        app.is_online(uid, false).await;
    }
    let told = |to: &str, text: &str| smtp.mails().iter().any(|m| m.to == [to] && m.plain.contains(text));
    talk(&app, &widget, "away").await;
    app.eventually("her mail", async || told(CARLA, "away: answer 1").then_some(())).await;
    widget.say("away: question 2").await;
    app.eventually("the agent's mail", async || told(ANNA, "away: question 2").then_some(())).await;
    app.settled().await;
    let mails = format!("{:?}", smtp.mails());
    assert!(!mails.contains(CANARY) && !mails.contains("is good to know"), "{mails}");
    let jobs = app.jobs_where(doc! { "queue": "email" }).await;
    assert!(!jobs.is_empty() && !format!("{jobs:?}").contains(CANARY), "no text in a job");
}

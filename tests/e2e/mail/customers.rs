//! An answer reaches the customer who is not there, at an address that is known to be theirs.

use serde_json::json;
use tests::app::{SocketClients, TestApp, Widget};
use tests::servers::SmtpServer;

use super::rig::{address, endings, mails, people, read, room, setup};

#[tokio::test]
async fn an_absent_customer_is_told_of_the_answer_and_of_nothing_internal() {
    let smtp = SmtpServer::start();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.guest("carla").say(&room, "my boiler is cold").await;
    let note = json!({ "body": "note-canary-82", "type": "note" });
    app.agent("anna").post_message(&room, note).await;
    app.agent("anna").say(&room, "we come at nine").await;
    app.agent("anna").say(&room, "with a new boiler").await;
    app.start_workers();
    let mail = mails(&app, &smtp, 1).await.remove(0);
    assert_eq!(mail.to, [address("carla")]);
    assert_eq!(mail.header("subject"), "2 new replies from Anna Agent – Boiler");
    assert!(mail.plain.contains("we come at nine") && mail.plain.contains("with a new boiler"));
    for hidden in ["note-canary", "my boiler is cold", &address("anna"), "acme/"] {
        assert!(!mail.plain.contains(hidden) && !mail.html.contains(hidden), "{hidden}: {mail:#?}");
    }
    assert_eq!(endings(&app, "notify_customer").await, ["covered", "done"]);
    assert_eq!(endings(&app, "notify_agents").await, ["read"], "anna has answered");
}

#[tokio::test]
async fn a_customer_who_reads_along_or_gave_no_address_is_not_told() {
    let smtp = SmtpServer::start();
    let mut app = setup(&smtp).ingest_only().await;
    people(&app).await;
    let read_along = room(&app, &["anna"]).await;
    app.agent("anna").say(&read_along, "hello").await;
    read(&app.guest("carla"), &read_along).await;
    let anonymous = json!({ "kind": "support", "participantIds": ["visitor"], "assignedAgentIds": ["anna"] });
    let anonymous = app.thread(anonymous).await;
    app.guest("visitor").say(&anonymous, "hello").await;
    app.agent("anna").say(&anonymous, "hello").await;
    app.start_workers();
    app.settled().await;
    assert_eq!(endings(&app, "notify_customer").await, ["no_recipient", "read"]);
    assert!(smtp.mails().is_empty());
}

#[tokio::test]
async fn the_next_answer_is_mailed_without_those_before() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let room = room(&app, &["anna"]).await;
    app.agent("anna").say(&room, "the first answer").await;
    mails(&app, &smtp, 1).await;
    app.agent("anna").say(&room, "the second answer").await;
    let second = mails(&app, &smtp, 2).await.remove(1);
    assert_eq!(second.header("subject"), "New reply from Anna Agent – Boiler");
    assert!(second.plain.contains("the second answer") && !second.plain.contains("the first answer"));
}

/// A customer at a widget, whose address her own shop has signed.
async fn wanda(app: &TestApp) -> Widget {
    app.must_not_be_logged(&address("wanda"));
    let issued = app.support_token(json!({})).await;
    let said = json!({ "name": "Wanda Widget", "email": address("wanda") });
    let identity = TestApp::identity(&issued, "user-7", said);
    app.widget_with(&issued, "device-7", json!({ "identity": identity })).await
}

#[tokio::test]
async fn a_customer_at_a_widget_is_told_at_the_address_that_was_verified() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let wanda = wanda(&app).await;
    app.agent("anna").reply(&wanda.room, "we come at nine").await;
    let mail = mails(&app, &smtp, 1).await.remove(0);
    assert_eq!(mail.to, [address("wanda")]);
    assert!(
        mail.header("to").contains("Wanda Widget") && mail.plain.contains("we come at nine"),
        "{mail:#?}"
    );
    wanda.say("thank you").await;
    let mail = mails(&app, &smtp, 2).await.remove(1);
    assert_eq!(mail.to, [address("anna")], "whom the first reply has assigned");
    assert!(mail.plain.contains("Wanda Widget") && mail.plain.contains("thank you"), "{mail:#?}");
    let nobody = app.widget("device-8").await;
    app.agent("anna").reply(&nobody.room, "hello").await;
    app.settled().await;
    assert_eq!(endings(&app, "notify_customer").await, ["done", "no_recipient"]);
}

#[tokio::test]
async fn who_has_a_live_socket_is_told_there_and_not_by_mail() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let wanda = wanda(&app).await;
    let mut clients = SocketClients::start().await;
    clients.connect("wanda", app.url(), wanda.auth()).await;
    app.is_online(&wanda.conversation, true).await;
    app.agent("anna").reply(&wanda.room, "are you there?").await;
    clients.hears("wanda", "newMessage").await;
    app.settled().await;
    assert_eq!(endings(&app, "notify_customer").await, ["online"]);
    clients.command(json!({ "op": "close", "id": "wanda" })).await;
    app.is_online(&wanda.conversation, false).await;
    app.agent("anna").reply(&wanda.room, "we have missed you").await;
    let mail = mails(&app, &smtp, 1).await.remove(0);
    assert_eq!(mail.to, [address("wanda")]);
    assert!(mail.plain.contains("are you there?") && mail.plain.contains("we have missed you"), "{mail:#?}");
}

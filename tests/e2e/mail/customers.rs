//! An answer reaches the customer who is not there, at an address that is known to be theirs.

use serde_json::json;
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

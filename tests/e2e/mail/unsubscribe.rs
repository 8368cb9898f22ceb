//! The link in each mail ends them, by one click of a person or one request of a mail program.

use mongodb::bson::{Document, doc};
use tests::app::TestApp;
use tests::servers::{ReceivedMail, SmtpServer};

use super::rig::{address, endings, mails, people, room, setup};

/// The path and query of the link in the mail's header.
fn link(mail: &ReceivedMail) -> String {
    assert_eq!(mail.header("list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    let url = mail.header("list-unsubscribe").trim_matches(['<', '>']);
    assert!(mail.plain.contains(url), "it stands in the text as well");
    let path = url.strip_prefix("http://127.0.0.1:8080").expect("the public URL");
    assert!(!path.contains("acme") && !path.contains("anna"), "{path}");
    path.to_owned()
}

async fn one_click(app: &TestApp, path: &str) -> String {
    let post = app.nobody().call(reqwest::Method::POST, path);
    let form = post.bytes("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click");
    form.expect(200).await.text
}

#[tokio::test]
async fn one_click_ends_the_mails_to_one_person() {
    let smtp = SmtpServer::start();
    let app = setup(&smtp).without_search().await;
    people(&app).await;
    let room = room(&app, &["anna", "ben"]).await;
    app.guest("carla").say(&room, "hello").await;
    let first = mails(&app, &smtp, 2).await;
    let path = link(first.iter().find(|mail| mail.to == [address("anna")]).unwrap());
    let page = app.nobody().get(&path).expect(200).await;
    assert!(
        page.header("content-type").starts_with("text/html") && page.text.contains("<form method=\"post\">")
    );
    let optouts = app.store().raw().collection::<Document>("mail_optouts");
    assert_eq!(optouts.count_documents(doc! {}).await.unwrap(), 0, "looking changes nothing");
    let said = one_click(&app, &path).await;
    assert_eq!(one_click(&app, &path).await, said, "once more changes nothing");
    let kept = optouts.find_one(doc! {}).await.unwrap().unwrap().to_string();
    assert!(!kept.contains("anna") && !kept.contains("acme"), "{kept}");
    app.guest("carla").say(&room, "hello again").await;
    let later = mails(&app, &smtp, 3).await;
    assert_eq!(later[2].to, [address("ben")]);
    assert!(endings(&app, "notify_agent").await.contains(&"opted_out".to_owned()));
}

#[tokio::test]
async fn a_link_that_is_not_ours_does_nothing() {
    let smtp = SmtpServer::stopped();
    let app = setup(&smtp).ingest_only().await;
    for token in ["", "x", "0123456789abcdef0123456789abcdef.AAAA", &"a".repeat(300)] {
        for method in [reqwest::Method::GET, reqwest::Method::POST] {
            let call = app.nobody().call(method, &format!("/email/unsubscribe?token={token}"));
            call.refused(400, "invalid_request").await;
        }
    }
    app.nobody().get("/email/unsubscribe").refused(400, "invalid_request").await;
    let optouts = app.store().raw().collection::<Document>("mail_optouts");
    assert_eq!(optouts.count_documents(doc! {}).await.unwrap(), 0);
}

//! WhatsApp templates and files: what reaches the provider, and what is refused before.

use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use shared::domain::Time;
use shared::domain::actor::Role;
use shared::domain::ids::AccountId;
use shared::domain::template::{Approval, Listed};
use tests::app::TestApp;
use tests::simulator::Provider;

const PHONE: &str = "+41794450001";

fn path(thread: &str) -> String {
    format!("/chat/threads/{thread}/whatsapp-templates")
}

fn welcome() -> Value {
    json!({
        "name": "welcome",
        "language": "en",
        "components": [
            { "type": "header", "parameters": [{ "type": "image", "image": { "link": "https://files.example/a.png" } }] },
            { "type": "body", "parameters": [{ "type": "text", "text": "Gina" }, { "type": "text", "text": "12" }] },
            { "type": "button", "sub_type": "quick_reply", "index": 0,
              "parameters": [{ "type": "payload", "payload": "yes" }] },
        ],
        "body": "Hello Gina, room 12",
    })
}

async fn close_window(app: &TestApp, thread: &str) {
    let at = DateTime::from_millis(DateTime::now().timestamp_millis() - 25 * 3600 * 1000);
    let update = doc! { "$set": { "lastWhatsappInboundAt": at } };
    let threads = app.store().raw().collection::<Document>("threads");
    threads.update_one(doc! { "_id": format!("acme/{thread}") }, update).await.unwrap();
}

#[tokio::test]
async fn a_template_reaches_the_provider_once_with_all_that_fills_it() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let posted = app.agent("anna").post(&path(&thread), welcome()).expect(201).await.body;
    assert_eq!(
        (&posted["body"], &posted["type"]),
        (&json!("Hello Gina, room 12"), &json!("whatsapp-message"))
    );
    assert_eq!(posted["delivery"]["state"], "queued");
    app.delivery_of(&posted, "delivered").await;
    let [sent] = &app.simulator.accepted()[..] else { panic!("one call") };
    assert_eq!((sent.provider, sent.kind.as_str()), (Provider::Whatsapp, "template"));
    let payload = sent.payload.clone().expect("more than a text");
    assert_eq!(payload["template"]["language"], json!({ "code": "en" }));
    let components = payload["template"]["components"].as_array().unwrap();
    assert_eq!(components[0]["parameters"][0]["image"]["link"], "https://files.example/a.png");
    assert_eq!(components[1]["parameters"][1], json!({ "type": "text", "text": "12" }));
    assert_eq!((&components[2]["sub_type"], &components[2]["index"]), (&json!("quick_reply"), &json!("0")));
}

#[tokio::test]
async fn a_template_overtakes_parked_texts_which_wait_on() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread(PHONE).await;
    close_window(&app, &thread).await;
    let text = json!({ "body": "too late", "type": "whatsapp-message" });
    let parked = app.agent("anna").post_message(&thread, text).await;
    app.delivery_of(&parked, "parked").await;
    let posted = app.agent("anna").post(&path(&thread), welcome()).expect(201).await.body;
    app.delivery_of(&posted, "delivered").await;
    app.settled().await;
    let story = app.delivery_of(&parked, "parked").await;
    assert_eq!(story["delivery"]["reason"], "needs_template");
    assert_eq!(app.simulator.accepted_count(), 1, "the closed window is known: the text costs no call");
}

#[tokio::test]
async fn the_same_template_again_is_the_same_message() {
    let app = TestApp::ingest_only().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let mut body = welcome();
    body["messageId"] = json!("m1");
    let anna = app.agent("anna");
    anna.post(&path(&thread), body.clone()).expect(201).await;
    assert!(anna.post(&path(&thread), body.clone()).expect(200).await.is_replay());
    body["components"][1]["parameters"][1]["text"] = json!("13");
    anna.post(&path(&thread), body).refused(409, "conflict").await;
}

#[tokio::test]
async fn what_is_no_template_is_refused_with_the_reason() {
    let app = TestApp::ingest_only().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let anna = app.agent("anna");
    let with = |change: fn(&mut Value)| {
        let mut body = welcome();
        change(&mut body);
        body
    };
    let form: [fn(&mut Value); 5] = [
        |body| body["colour"] = json!("red"),
        |body| body["name"] = json!(7),
        |body| body["components"][1]["parameters"][0]["image"] = json!({ "link": "https://a.example/x.png" }),
        |body| body["components"][1]["parameters"][0] = json!({ "type": "text" }),
        |body| body["components"][1]["type"] = json!("footer"),
    ];
    for change in form {
        anna.post(&path(&thread), with(change)).refused(400, "invalid_request").await;
    }
    let rules: [fn(&mut Value); 5] = [
        |body| body["name"] = json!("Welcome!"),
        |body| body["components"][2]["index"] = Value::Null,
        |body| body["components"][0]["parameters"][0]["image"]["link"] = json!("http://a.example/x.png"),
        |body| body["components"][1]["parameters"][0]["text"] = json!(""),
        |body| body["body"] = json!("x".repeat(4097)),
    ];
    for change in rules {
        anna.post(&path(&thread), with(change)).refused(422, "unprocessable").await;
    }
    app.guest("guest").post(&path(&thread), welcome()).refused(403, "forbidden").await;
    app.caller("globex", "eve", Role::Agent).post(&path(&thread), welcome()).refused(404, "not_found").await;
    assert_eq!(anna.messages(&thread, "").await["messages"], json!([]));
}

#[tokio::test]
async fn a_known_catalogue_judges_before_the_provider() {
    let app = TestApp::with("BELLHOP_WHATSAPP__BUSINESS_ACCOUNT_ID", "waba-1").ingest_only().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let anna = app.agent("anna");
    let catalogue = anna.get("/chat/whatsapp-templates").expect(200).await;
    assert_eq!(catalogue.text, r#"{"templates":[]}"#, "never read");
    let listed = |name: &str, approval| Listed {
        name: name.to_owned(),
        language: "en".to_owned(),
        approval,
        marketing: false,
        header: None,
        header_text: String::new(),
        body: "Hello {{1}}".to_owned(),
        buttons: Vec::new(),
    };
    let all = [listed("hello", Approval::Approved), listed("gone", Approval::Disabled)];
    let account = AccountId::parse("acme").unwrap();
    app.store().replace_templates(&account, "waba-1", &all, Time::now()).await.unwrap();
    let template = |name: &str, values: &[&str]| {
        let values: Vec<Value> = values.iter().map(|text| json!({ "type": "text", "text": text })).collect();
        json!({ "name": name, "language": "en", "components": [{ "type": "body", "parameters": values }] })
    };
    let posted = anna.post(&path(&thread), template("hello", &["Gina"])).expect(201).await;
    assert_eq!(posted["body"], "Hello Gina", "as the guest reads it");
    for (name, values) in
        [("hello", vec![]), ("hello", vec!["a", "b"]), ("gone", vec!["a"]), ("strange", vec!["a"])]
    {
        anna.post(&path(&thread), template(name, &values)).refused(422, "unprocessable").await;
    }
    let catalogue = anna.get("/chat/whatsapp-templates").expect(200).await;
    assert_eq!(catalogue.each("templates", "name"), ["gone", "hello"]);
    assert!(catalogue["syncedAt"].is_string());
    app.guest("guest").get("/chat/whatsapp-templates").refused(403, "forbidden").await;
    app.store().replace_templates(&account, "waba-1", &all[..1], Time::now()).await.unwrap();
    assert_eq!(anna.get("/chat/whatsapp-templates").expect(200).await.each("templates", "name"), ["hello"]);
}

#[tokio::test]
async fn a_file_goes_as_what_it_is_and_no_text_is_lost() {
    let app = TestApp::without_search().await;
    let files = [
        ("https://files.example/a.png", "look", "image", Some("look")),
        ("https://files.example/b.pdf", "the bill", "document", Some("the bill")),
        ("https://files.example/c.ogg", "", "audio", None),
        ("https://files.example/d.ogg", "listen", "document", Some("listen")),
        ("https://files.example/e.mp4", "", "video", None),
    ];
    for (n, (url, text, kind, caption)) in files.into_iter().enumerate() {
        let thread = app.whatsapp_thread(&format!("+4179445010{n}")).await;
        let body = json!({ "body": text, "attachments": [url], "type": "whatsapp-message" });
        let posted = app.agent("anna").post_message(&thread, body).await;
        app.delivery_of(&posted, "delivered").await;
        let accepted = app.simulator.accepted();
        let sent = accepted.last().expect("accepted");
        let payload = sent.payload.clone().expect("more than a text");
        assert_eq!(sent.kind, kind, "{url}");
        assert_eq!(payload[kind]["link"], url);
        assert_eq!(payload[kind].get("caption").and_then(Value::as_str), caption, "{url}");
        let named = (kind == "document").then(|| url.rsplit('/').next().unwrap());
        assert_eq!(payload[kind].get("filename").and_then(Value::as_str), named, "{url}");
    }
}

//! One message, all the way: stored, indexed, audited, sent, delivered.

use serde_json::{Value, json};
use shared::search::{IndexKind, Question, Visibility, WordQuery};
use tests::app::{SOON, TestApp};
use tests::simulator::{Action, Answer, DEV_PHONE_NUMBER_ID, FaultRule, Provider};

const PHONE: &str = "+41791110001";

fn whatsapp(text: &str) -> Value {
    json!({ "body": text, "type": "whatsapp-message" })
}

async fn found(app: &TestApp, text: &str) -> Vec<String> {
    let words = WordQuery::parse(text).expect("words");
    let question = Question { account: "acme", words: &words, visibility: Visibility::Staff, within: None };
    app.index().refresh().await.expect("a refresh");
    app.index().find_candidates(question, 10).await.expect("candidates").thread_ids()
}

#[tokio::test]
async fn a_whatsapp_message_is_stored_indexed_audited_sent_and_delivered() {
    let app = TestApp::full().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let posted = app.agent("anna").post_message(&thread, whatsapp("Grüezi aus Zürich")).await;
    let story = app.delivery_of(&posted, "delivered").await;
    app.settled().await;

    let accepted = app.simulator.accepted();
    assert_eq!(accepted.len(), 1, "accepted once: {accepted:?}");
    let (sent, job) = (&accepted[0], app.job_of(&posted, "deliver_whatsapp").await);
    assert_eq!((sent.provider, sent.kind.as_str()), (Provider::Whatsapp, "text"));
    assert_eq!((sent.to.as_str(), sent.from.as_str()), (PHONE, DEV_PHONE_NUMBER_ID));
    assert_eq!(sent.body, "Grüezi aus Zürich");
    assert_eq!(
        sent.key.as_deref(),
        Some(format!("{}.1", job.id).as_str()),
        "the opaque data names the attempt"
    );

    let delivery = &story["delivery"];
    assert_eq!((&delivery["channel"], delivery.get("reason")), (&json!("whatsapp"), None));
    assert!(delivery["sentAt"].is_string() && delivery["deliveredAt"].is_string(), "{delivery}");
    assert_eq!(story["externalMessageId"], sent.provider_id.as_str());
    let attempts = story["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((&attempts[0]["attempt"], &attempts[0]["outcome"]), (&json!(1), &json!("ok")));
    assert_eq!(attempts[0]["jobId"], job.id.as_str());
    assert!(attempts[0]["worker"].as_str().unwrap().starts_with("whatsapp-"));

    let shown = app.agent("anna").thread(&thread).await;
    assert!(shown["lastWhatsappMessageSentAt"].as_str() >= posted["createdAt"].as_str());
    assert_eq!(shown["lastMessage"]["delivery"]["state"], "delivered", "joined when it is read");
    assert_eq!(app.audit_rows("message.create", posted["messageId"].as_str().unwrap()).await.len(), 1);
    assert_eq!(found(&app, "gruezi zur").await, [thread.as_str()]);
    assert_eq!(app.index().count("acme", IndexKind::Messages).await.unwrap(), 1);
    assert_eq!(app.index().count("acme", IndexKind::Threads).await.unwrap(), 1);
}

#[tokio::test]
async fn an_sms_goes_by_twilio_and_its_signed_callback_names_job_and_attempt() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let body = json!({ "body": "code 4711", "type": "sms-message", "attachments": ["https://cdn.example.com/a.png"] });
    let posted = app.agent("anna").post_message(&thread, body).await;
    let story = app.delivery_of(&posted, "delivered").await;
    let accepted = app.simulator.accepted();
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    let (sent, job) = (&accepted[0], app.job_of(&posted, "deliver_sms").await);
    assert_eq!(
        (sent.provider, sent.to.as_str(), sent.from.as_str()),
        (Provider::Twilio, PHONE, "+15005550006")
    );
    assert_eq!(sent.body, "code 4711");
    assert_eq!(sent.key.as_deref(), Some(format!("{}.1", job.id).as_str()));
    assert_eq!(story["externalMessageId"], sent.provider_id.as_str());
    assert_eq!(story["delivery"]["channel"], "sms");
    let callbacks = app.simulator.webhooks();
    assert!(callbacks.iter().all(|callback| callback.answer == Some(200)), "{callbacks:?}");
}

#[tokio::test]
async fn a_message_of_a_guest_thread_is_forwarded_as_a_standard_webhook() {
    let app = TestApp::without_search().await;
    let thread = app.thread(json!({ "source": "hububb-guest" })).await;
    let rule = FaultRule::on(Provider::Guest, Action::Answer(Answer::status(503))).times(2);
    app.simulator.fault(rule);
    let long = "long ".repeat(6_000);
    let posted =
        app.agent("anna").post_message(&thread, json!({ "body": long, "attachments": ["f1"] })).await;
    let story = app.delivery_of(&posted, "sent").await;
    let accepted = app.simulator.accepted();
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    let (sent, job) = (&accepted[0], app.job_of(&posted, "forward_to_guest").await);
    assert_eq!(sent.headers["webhook-id"], job.id, "the job's id, the same for every retry");
    let keys: Vec<_> = app.simulator.requests().iter().map(|request| request.key.clone()).collect();
    assert_eq!(keys, vec![Some(job.id.clone()); 3]);
    let payload = sent.payload.as_ref().expect("the event");
    assert_eq!(
        (&payload["type"], &payload["data"]["body"]),
        (&json!("message.created"), &json!(long)),
        "never cut"
    );
    assert_eq!(payload["timestamp"], posted["createdAt"]);
    for field in ["messageId", "threadId", "authorId", "attachments", "createdAt"] {
        assert_eq!(payload["data"][field], posted[field], "{field}");
    }
    let outcomes: Vec<&Value> = story["attempts"].as_array().unwrap().iter().map(|a| &a["outcome"]).collect();
    assert_eq!(outcomes, ["retry", "retry", "ok"]);
}

#[tokio::test]
async fn a_phone_message_in_a_guest_thread_is_sent_and_forwarded() {
    let app = TestApp::without_search().await;
    app.reservation("r1", PHONE).await;
    let thread = app.thread(json!({ "source": "hububb-guest", "reservationId": "r1" })).await;
    let posted = app.agent("anna").post_message(&thread, whatsapp("hello")).await;
    app.delivery_of(&posted, "delivered").await;
    app.settled().await;
    let mut providers: Vec<Provider> = app.simulator.accepted().iter().map(|sent| sent.provider).collect();
    providers.sort_unstable();
    assert_eq!(providers, [Provider::Whatsapp, Provider::Guest]);
    let story = app.story(&posted).await;
    assert_eq!(story["delivery"]["channel"], "whatsapp", "the phone channel is shown");
    assert_eq!(story["attempts"].as_array().unwrap().len(), 2, "the forward is in the timeline");
}

#[tokio::test]
async fn what_the_platform_itself_sent_is_not_forwarded_back() {
    let app = TestApp::without_search().await;
    let thread = app.thread(json!({ "source": "hububb-guest" })).await;
    let came = json!({ "body": "hi", "source": "hububb-guest", "externalMessageId": "g1" });
    app.service("guest-platform").post_message(&thread, came).await;
    app.agent("anna").post_message(&thread, json!({ "body": "psst", "type": "note" })).await;
    let last = app.agent("anna").say(&thread, "answer").await;
    app.delivery_of(&last, "sent").await;
    app.settled().await;
    let bodies: Vec<String> = app.simulator.accepted().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(bodies, ["answer"]);
}

#[tokio::test]
async fn notes_plain_messages_and_what_came_from_outside_are_sent_nowhere() {
    let app = TestApp::without_search().await;
    let thread = app.whatsapp_thread(PHONE).await;
    let ota = app.service("ota");
    for body in [
        json!({ "body": "x" }),
        json!({ "body": "x", "type": "note" }),
        json!({ "body": "x", "type": "whatsapp-message", "source": "whatsapp", "externalMessageId": "w1" }),
        json!({ "body": "x", "type": "whatsapp-message", "source": "operations" }),
        json!({ "body": "x", "type": "sms-message", "source": "twilio", "externalMessageId": "s1" }),
    ] {
        let posted = ota.post_message(&thread, body).await;
        assert_eq!(posted.get("delivery"), None);
    }
    app.settled().await;
    assert!(app.simulator.requests().is_empty(), "{:?}", app.simulator.requests());
}

#[tokio::test]
async fn a_thread_is_found_by_its_title_as_soon_as_it_is_changed() {
    let app = TestApp::full().await;
    let thread = app.thread(json!({ "title": "Ankunft" })).await;
    app.settled().await;
    assert_eq!(found(&app, "ankunft").await, [thread.as_str()]);
    let patch = json!({ "title": "Abreise" });
    app.agent("anna").patch(&format!("/chat/threads/{thread}"), patch).expect(200).await;
    app.settled().await;
    assert_eq!(found(&app, "abreise").await, [thread.as_str()]);
    assert!(found(&app, "ankunft").await.is_empty());
}

#[tokio::test]
async fn a_guests_name_that_changes_is_found_in_the_threads_of_the_stay() {
    let app = TestApp::full().await;
    let thread = app.thread(json!({ "reservationId": "r1" })).await;
    let put = async |name: &str| {
        app.service("ota").put("/chat/reservations/r1", json!({ "guestName": name })).send().await;
        app.settled().await;
    };
    put("Zoë Ammann").await;
    assert_eq!(found(&app, "zoe").await, [thread.as_str()]);
}

#[tokio::test]
async fn two_hundred_messages_are_all_sent_once_and_indexed_once() {
    let app = TestApp::full().await;
    let mut threads = Vec::new();
    for n in 0..10 {
        threads.push(app.whatsapp_thread(&format!("+4179222{n:04}")).await);
    }
    let posts = (0..200).map(|n| {
        let (anna, thread) = (app.agent("anna"), threads[n % 10].clone());
        async move { anna.post_message(&thread, whatsapp(&format!("message {n}"))).await }
    });
    let posted = futures::future::join_all(posts).await;
    app.simulator.wait_for(|all| all.len() >= 200, SOON).await.expect("all are sent");
    for message in &posted {
        app.delivery_of(message, "delivered").await;
    }
    app.settled().await;
    assert_eq!((app.simulator.accepted_count(), app.simulator.duplicates().len()), (200, 0));
    app.index().refresh().await.unwrap();
    assert_eq!(app.index().count("acme", IndexKind::Messages).await.unwrap(), 200);
    let audited = app.store().raw().collection::<mongodb::bson::Document>("audit");
    let rows = audited.count_documents(mongodb::bson::doc! { "action": "message.create" }).await.unwrap();
    assert_eq!(rows, 200);
}

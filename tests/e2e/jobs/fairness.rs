//! One account has thousands of messages, another a few: the few do not wait for the thousands.

use serde_json::{Value, json};
use shared::domain::actor::Role;
use tests::app::{Caller, TestApp};
use tests::simulator::{Action, FaultRule};

async fn thread_of(caller: &Caller, id: &str, phone: &str) -> String {
    let guest = json!({ "guestName": "Guest", "guestPhone": phone });
    caller.put(&format!("/chat/reservations/{id}"), guest).expect(201).await;
    let thread = json!({ "threadId": id, "reservationId": id, "participantIds": ["guest"] });
    caller.post("/chat/threads", thread).expect(201).await;
    id.to_owned()
}

fn text(body: &str) -> Value {
    json!({ "body": body, "type": "whatsapp-message" })
}

#[tokio::test]
async fn an_account_with_a_backlog_leaves_room_for_others() {
    let setup = TestApp::with("BELLHOP_DISPATCHER__ACCOUNT_SHARE", "4");
    let app = setup.with("BELLHOP_DELIVERY__WHATSAPP_RATE", "1000/s").without_search().await;
    app.simulator.fault(FaultRule::any(Action::Delay { ms: 100 }));
    let busy = app.service("ota");
    let quiet = app.caller("globex", "gate", Role::Service);
    let mut threads = Vec::new();
    for n in 0..40 {
        threads.push(thread_of(&busy, &format!("busy-{n}"), &format!("+4179446{n:04}")).await);
    }
    let other = thread_of(&quiet, "quiet", "+41794470000").await;
    for round in 0..5 {
        for thread in &threads {
            busy.post_message(thread, text(&format!("busy {round}"))).await;
        }
    }
    quiet.post_message(&other, text("quiet")).await;
    let accepted =
        app.simulator.wait_for(|all| all.iter().any(|one| one.body == "quiet"), tests::app::SOON).await;
    accepted.expect("it is sent");
    let before = app.simulator.accepted().iter().position(|one| one.body == "quiet").expect("it was sent");
    assert!(before < 190, "{before} of 200 went first");
    app.settled().await;
    assert_eq!(app.simulator.accepted_count(), 201, "and nobody is forgotten");
}

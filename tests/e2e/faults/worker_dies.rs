//! Row 3: kill -9 of a worker before, inside and after a send. Duplicates only where the policy chose them.

use mongodb::bson::doc;
use shared::domain::jobs::JobState;
use tests::app::Programs;

const MESSAGES: usize = 6;
/// The send at which the worker dies.
const FATAL: usize = 3;

/// Sends messages of one thread with workers that die at `point` of the third send, and starts them again.
async fn with_a_death_at(point: &str, settings: &[(&str, &str)], statuses: bool) -> Programs {
    let mut programs = Programs::new(settings).await;
    programs.simulator.configure(|s| s.statuses.enabled = statuses);
    programs.start_ingest(None).await;
    let thread = programs.whatsapp_thread("+41790000102").await;
    programs.start_workers(Some(&format!("{point}:abort:after={}:times=1", FATAL - 1))).await;
    for n in 1..=MESSAGES {
        programs.post_stubbornly(&thread, &format!("m{n}")).await;
    }
    programs.workers_died().await;
    programs.start_workers(None).await;
    programs
}

async fn all_delivered(programs: &Programs) {
    let delivered = doc! { "delivery.state": "delivered" };
    programs
        .until("delivery of every message", async |p| {
            p.count("messages", delivered.clone()).await == MESSAGES as u64
        })
        .await;
    programs.settled().await;
    programs
        .until("proof in the ledger", async |p| {
            p.count("jobs", doc! { "state": "done" }).await == MESSAGES as u64
        })
        .await;
}

fn sends_of(programs: &Programs, n: usize) -> usize {
    let body = format!("text of m{n}");
    programs.simulator.accepted().iter().filter(|accepted| accepted.body == body).count()
}

fn in_order_once(programs: &Programs) {
    let bodies: Vec<_> = programs.simulator.accepted().iter().map(|a| a.body.clone()).collect();
    let wanted: Vec<_> = (1..=MESSAGES).map(|n| format!("text of m{n}")).collect();
    assert_eq!(bodies, wanted, "each once, in the order of the thread");
}

#[tokio::test]
async fn a_worker_killed_before_the_send_sends_once_after_all() {
    let programs = with_a_death_at("send.before", &[], true).await;
    all_delivered(&programs).await;
    in_order_once(&programs);
}

#[tokio::test]
async fn a_worker_killed_after_the_provider_accepted_is_proved_by_the_status_webhook() {
    let programs = with_a_death_at("send.after", &[], true).await;
    all_delivered(&programs).await;
    in_order_once(&programs);
}

#[tokio::test]
async fn a_worker_killed_after_the_message_was_marked_sent_sends_nothing_again() {
    let programs = with_a_death_at("send.recorded", &[], true).await;
    all_delivered(&programs).await;
    in_order_once(&programs);
}

#[tokio::test]
async fn without_a_proof_the_message_is_held_and_the_lane_goes_on() {
    let programs = with_a_death_at("send.after", &[], false).await;
    let sent = doc! { "delivery.state": "sent" };
    programs
        .until("the lane to go on", async |p| p.count("messages", sent.clone()).await == MESSAGES as u64 - 1)
        .await;
    programs.settled().await;
    let held = programs.jobs(doc! { "state": "unknown" }).await;
    assert_eq!(held.len(), 1, "one outcome is not known");
    assert_eq!(held[0].message.as_deref(), Some("acme/m3"));
    let shown = doc! { "_id": "acme/m3", "delivery.state": "unknown", "delivery.reason": "outcome_unknown" };
    assert_eq!(programs.count("messages", shown).await, 1);
    in_order_once(&programs);
}

#[tokio::test]
async fn with_resend_once_exactly_one_duplicate_is_chosen_and_counted() {
    let resend = [("BELLHOP_DELIVERY__UNKNOWN_POLICY", "resend_once")];
    let programs = with_a_death_at("send.after", &resend, false).await;
    let sent = doc! { "delivery.state": "sent" };
    programs
        .until("the end of every send", async |p| p.count("messages", sent.clone()).await == MESSAGES as u64)
        .await;
    programs.settled().await;
    for n in 1..=MESSAGES {
        assert_eq!(sends_of(&programs, n), if n == FATAL { 2 } else { 1 }, "m{n}");
    }
    let job = programs.jobs(doc! { "message": "acme/m3", "name": "deliver_whatsapp" }).await.remove(0);
    assert_eq!((job.resends, job.state), (1, JobState::Done));
}

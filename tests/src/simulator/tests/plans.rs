//! Statuses as the plan has them: in batches, ahead of the answer, late, and some of them failures.

use super::rig::{Receiver, Rig, SOON};
use crate::simulator::Provider;

async fn rig() -> (Rig, Receiver) {
    let (rig, receiver) = (Rig::start(), Receiver::start(&[]).await);
    rig.simulator.set_webhook_base(&receiver.url);
    (rig, receiver)
}

#[tokio::test]
async fn statuses_of_a_number_share_webhooks() {
    let (rig, receiver) = rig().await;
    rig.simulator.configure(|settings| settings.statuses.batch = 5);
    for n in 0..10 {
        rig.whatsapp(&format!("3161234{n:04}"), "hello", &format!("01JOB{n}.1")).await.unwrap();
    }
    let told = rig.simulator.wait_for_webhooks(|all| all.len() == 20, SOON).await.unwrap();
    assert!(told.iter().any(|one| one.together > 1) && told.iter().all(|one| one.together <= 5));
    let got = receiver.wait_for(4).await;
    let counts = got
        .iter()
        .map(|got| got.json()["entry"][0]["changes"][0]["value"]["statuses"].as_array().unwrap().len());
    assert_eq!(counts.sum::<usize>(), 20);
}

#[tokio::test]
async fn a_status_can_come_before_the_answer() {
    let (rig, _receiver) = rig().await;
    rig.simulator.configure(|settings| settings.statuses.before_answer = true);
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    let told = rig.simulator.webhooks();
    assert!(told.iter().any(|one| one.answer == Some(200)), "taken by the time the answer is here");
}

#[tokio::test]
async fn the_lot_decides_by_seed_which_messages_fail() {
    let fate = async |seed: u64| {
        let (rig, _receiver) = rig().await;
        rig.simulator.configure(|settings| {
            settings.statuses.fail_percent = 50;
            settings.statuses.fail_codes = vec![131_026, 131_049];
            settings.statuses.seed = seed;
        });
        for n in 0..20 {
            rig.whatsapp(&format!("3161234{n:04}"), "hello", &format!("01JOB{n:02}.1")).await.unwrap();
        }
        let all_told = |all: &[crate::simulator::Delivery]| {
            let last = |n: usize| format!("01JOB{n:02}.1");
            (0..20).all(|n| {
                all.iter().any(|one| {
                    one.key == Some(last(n)) && ["failed", "delivered"].contains(&one.status.as_str())
                })
            })
        };
        let told = rig.simulator.wait_for_webhooks(all_told, SOON).await.unwrap();
        let mut failed: Vec<_> =
            told.iter().filter(|one| one.status == "failed").filter_map(|one| one.key.clone()).collect();
        failed.sort();
        failed.dedup();
        failed
    };
    let (first, again, other) = (fate(1).await, fate(1).await, fate(2).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!((3..=17).contains(&first.len()), "{first:?}");
}

#[tokio::test]
async fn some_statuses_are_late() {
    let (rig, _receiver) = rig().await;
    rig.simulator.configure(|settings| {
        (settings.statuses.late_percent, settings.statuses.late_ms) = (100, 300);
    });
    rig.whatsapp("31612345678", "hello", "01JOB.1").await.unwrap();
    let accepted = rig.simulator.accepted()[0].at;
    let told = rig.simulator.wait_for_webhooks(|all| all.len() == 2, SOON).await.unwrap();
    assert!(told.iter().all(|one| (one.at - accepted).num_milliseconds() >= 300), "{told:?}");
}

#[tokio::test]
async fn any_refusal_is_tried_again_where_the_settings_say_so() {
    let (rig, receiver) = (Rig::start(), Receiver::start(&[404, 401]).await);
    rig.simulator.set_webhook_base(&receiver.url);
    rig.simulator.configure(|settings| settings.webhook_retry_refusals = true);
    rig.simulator.customer("31612345678").writes("hello");
    let told = rig.simulator.wait_for_webhooks(|all| all.len() == 3, SOON).await.unwrap();
    let answers: Vec<_> = told.iter().map(|one| one.answer).collect();
    assert_eq!(answers, [Some(404), Some(401), Some(200)]);
    assert!(told[2].at - told[1].at > told[1].at - told[0].at, "with growing delay");
    assert_eq!(told[0].provider, Provider::Whatsapp);
}

//! The control API over HTTP.

use reqwest::Method;
use serde_json::json;

use super::rig::{Rig, event, now};

#[tokio::test]
async fn records_are_read_with_filters() {
    let rig = Rig::start();
    rig.whatsapp("31612345678", "one", "a.1").await.unwrap();
    rig.whatsapp("31612345679", "two", "b.1").await.unwrap();
    rig.guest("c", &event("three"), now()).await;
    let get = async |query: &str| rig.control(Method::GET, query, None).await.1;
    assert_eq!(get("accepted").await["accepted"].as_array().unwrap().len(), 3);
    assert_eq!(get("accepted?to=31612345679").await["accepted"][0]["body"], "two");
    assert_eq!(get("accepted?to=+31612345679&after=2").await["accepted"], json!([]));
    assert_eq!(get("accepted?key=a").await["accepted"][0]["key"], "a.1");
    assert_eq!(get("accepted?provider=guest&atLeast=3").await["accepted"][0]["n"], 3);
    assert_eq!(get("accepted?after=1&limit=1").await["accepted"][0]["n"], 2);
    assert_eq!(get("requests?after=2").await["requests"][0]["outcome"], "accepted");
    assert_eq!(get("duplicates").await["duplicates"], json!([]));
    assert_eq!(get("healthz").await["status"], "ok");
    assert_eq!(rig.control(Method::GET, "accepted?provider=fax", None).await.0, 400);
    assert_eq!(rig.control(Method::GET, "nothing", None).await.0, 404);
}

#[tokio::test]
async fn a_reader_may_wait_for_the_record_to_grow() {
    let rig = Rig::start();
    let waiting = rig.control(Method::GET, "accepted?atLeast=1&timeoutMs=5000", None);
    let sending = rig.whatsapp("31612345678", "one", "a.1");
    let ((_, read), sent) = tokio::join!(waiting, sending);
    assert_eq!(sent.unwrap().status(), 200);
    assert_eq!(read["total"], 1);
}

#[tokio::test]
async fn faults_are_scripted_listed_and_removed() {
    let rig = Rig::start();
    let rule = json!({"provider": "whatsapp", "times": 1, "action": {"kind": "answer", "status": 503}});
    assert_eq!(rig.control(Method::POST, "faults", Some(rule)).await, (200, json!({"id": 1})));
    assert_eq!(rig.whatsapp("31612345678", "one", "a.1").await.unwrap().status(), 503);
    assert_eq!(rig.whatsapp("31612345678", "one", "a.1").await.unwrap().status(), 200);
    let (_, listed) = rig.control(Method::GET, "faults", None).await;
    assert_eq!((&listed["faults"][0]["matched"], &listed["faults"][0]["acted"]), (&json!(2), &json!(1)));
    assert_eq!(rig.control(Method::DELETE, "faults/1", None).await.1["removed"], 1);
    assert_eq!(rig.control(Method::DELETE, "faults", None).await.1["removed"], 0);
    let wrong = json!({"action": {"kind": "explode"}});
    assert_eq!(rig.control(Method::POST, "faults", Some(wrong)).await.0, 400);
}

#[tokio::test]
async fn settings_change_field_by_field() {
    let rig = Rig::start();
    let change = json!({"answerDelayMs": 5, "statuses": {"enabled": false}});
    let (status, settings) = rig.control(Method::POST, "config", Some(change)).await;
    assert_eq!(
        (status, &settings["answerDelayMs"], &settings["statuses"]["sentMs"]),
        (200, &json!(5), &json!(20))
    );
    let wrong = json!({"answerDelay": 5});
    assert_eq!(rig.control(Method::POST, "config", Some(wrong)).await.0, 400);
    assert_eq!(rig.control(Method::GET, "config", None).await.1["answerDelayMs"], 5);
}

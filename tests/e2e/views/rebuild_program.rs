//! `workers reindex` as a program: killed in the middle, run again, refused, and what it prints.

use mongodb::bson::{Document, doc};
use serde_json::Value;
use shared::search::IndexKind;
use tests::app::{ACCOUNT, Programs};

const MESSAGES: u64 = 20;

/// Runs `workers reindex`; answers whether it succeeded and what it wrote.
async fn reindex(programs: &Programs, more: &[&str], armed: Option<&str>) -> (bool, String, String) {
    let arguments: Vec<&str> = ["reindex", "--batch", "3"].iter().chain(more).copied().collect();
    let output = programs.command(&arguments, armed).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

async fn row(programs: &Programs) -> Document {
    let rows = programs.store().raw().collection::<Document>("reindexes");
    rows.find_one(doc! {}).sort(doc! { "_id": -1 }).await.unwrap().unwrap()
}

/// As if its 15 seconds had passed.
async fn end_lease(programs: &Programs) {
    let leases = programs.store().raw().collection::<Document>("leases");
    let past = doc! { "$set": { "until": mongodb::bson::DateTime::from_millis(0) } };
    leases.update_one(doc! { "_id": "reindex" }, past).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_it_goes_on_where_it_stopped() {
    let mut programs = Programs::new(&[]).await;
    programs.start_ingest(None).await;
    programs.start_workers(None).await;
    let thread = programs.whatsapp_thread("+41790000204").await;
    for n in 0..MESSAGES {
        programs.post_stubbornly(&thread, &format!("m{n}")).await;
    }
    programs.settled().await;
    // Passes of "batch": one thread and the end of threads, then messages.
    let deaths =
        ["reindex.begin:abort", "reindex.batch:abort:after=4", "reindex.swap:abort", "reindex.clear:abort"];
    for (n, death) in deaths.into_iter().enumerate() {
        let (well, _, _) = reindex(&programs, &[], Some(death)).await;
        assert!(!well, "{death}");
        let (well, _, told) = reindex(&programs, &[], None).await;
        assert!(!well && told.contains("one runs at a time"), "its lease holds: {told}");
        end_lease(&programs).await;
        programs.post_stubbornly(&thread, &format!("after-death-{n}")).await;
    }
    assert_eq!(row(&programs).await.get_str("state").unwrap(), "running");
    let (well, printed, told) = reindex(&programs, &["--json"], None).await;
    assert!(well, "{told}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&printed["resumed"], &printed["state"]),
        (&Value::Bool(true), &Value::from("done")),
        "{printed}"
    );
    programs.settled().await;
    let stored = programs.count("messages", doc! {}).await;
    assert_eq!((stored, programs.indexed().await), (MESSAGES + 4, MESSAGES + 4));
    assert_eq!(programs.index().count(ACCOUNT, IndexKind::Threads).await, Ok(1));
    for kind in IndexKind::ALL {
        assert_eq!(programs.index().plan_rebuild(kind).await.unwrap().old.len(), 1, "{}", kind.name());
    }
    programs.index().drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_people_and_logs_how_far_it_is_and_takes_its_arguments() {
    let programs = Programs::new(&[]).await;
    let (well, printed, told) = reindex(&programs, &["--index", "threads", "--rate", "1000/s"], None).await;
    assert!(well, "{told}");
    assert!(printed.starts_with("threads: 0 documents in "), "{printed}");
    assert!(told.contains("threads: Copying, 0 of about 0"), "{told}");
    for bad in [["--index", "users"], ["--batch", "0"], ["--rate", "fast"]] {
        let (well, _, told) = reindex(&programs, &bad, None).await;
        assert!(!well && told.contains(bad[0]), "{told}");
    }
    programs.index().drop_all().await.unwrap();
}

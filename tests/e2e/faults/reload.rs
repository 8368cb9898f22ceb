//! SIGHUP: the workers read the file of error classes again, and go on.

use std::fs::{File, FileTimes};
use std::path::Path;

use mongodb::bson::doc;
use tests::app::Programs;
use tests::simulator::{Action, Answer, FaultRule, Provider};

/// A table of one rule. All have one length.
fn write(path: &Path, class: &str) {
    let text = format!(
        "version = 1\n[[rule]]\nproviders = [\"whatsapp\"]\ncodes = [131021]\nclass = \"{class}\"\n\
         reason = \"needs_operator\"\nscope = \"message\"\ntext = \"Ours.\"\n"
    );
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn sighup_reloads_the_error_classes_even_if_the_file_looks_the_same() {
    let folder = std::env::temp_dir().join(format!("double-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("classes.toml");
    write(&path, "needs_operator");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let setting = path.display().to_string();
    let mut programs = Programs::new(&[("BELLHOP_DELIVERY__ERROR_CLASSES", &setting)]).await;
    programs.simulator.fault(FaultRule::on(Provider::Whatsapp, Action::Answer(Answer::code(131_021))));
    programs.start_ingest(None).await;
    programs.start_workers(None).await;
    let thread = programs.whatsapp_thread("+41790000131").await;
    programs.post_stubbornly(&thread, "m1").await;
    is_parked_as(&programs, "m1", "needs_operator").await;

    write(&path, "needs_template");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(modified)).unwrap();
    programs.signal_workers("HUP");
    let thread = programs.whatsapp_thread("+41790000132").await;
    let mut n = 1;
    // When the signal is heard is not told; the first message after it shows the new rule.
    while n < 100 {
        n += 1;
        let id = format!("m{n}");
        let thread =
            if n == 2 { thread.clone() } else { programs.whatsapp_thread(&format!("+4179000{n:04}")).await };
        programs.post_stubbornly(&thread, &id).await;
        let parked = doc! { "state": "parked", "message": format!("acme/{id}") };
        programs.until("it is parked", async |p| !p.jobs(parked.clone()).await.is_empty()).await;
        let job = programs.jobs(parked).await.remove(0);
        if job.error_class.as_deref() == Some("needs_template") {
            break;
        }
    }
    assert!(n < 100, "the new rule never counted");
    assert!(programs.workers_run(), "SIGHUP ends nothing");
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn is_parked_as(programs: &Programs, id: &str, class: &str) {
    let parked = doc! { "state": "parked", "message": format!("acme/{id}"), "errorClass": class };
    programs.until("it is parked", async |p| !p.jobs(parked.clone()).await.is_empty()).await;
}

//! Every error code of both providers, as the answer to our request and in a status webhook: what becomes of the
//! message, when it is tried again, and what an agent reads.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};
use shared::domain::jobs::JobState;
use shared::providers::{Classes, Provider as Sender, Signal};
use tests::app::TestApp;
use tests::simulator::{Action, Answer, FaultRule, Provider};

/// What should become of a message.
#[derive(Debug, Clone)]
enum Fate {
    /// Tried again after so many seconds, at the cost of an attempt.
    Retry(RangeInclusive<i64>),
    /// Tried again after so many seconds, free.
    Wait(RangeInclusive<i64>),
    /// Waits for a template, an operator, or a repair.
    Parked(&'static str),
    Failed(&'static str),
    /// Nobody knows; asked only where the answer to our request says so.
    Unknown,
}

use Fate::{Failed, Parked, Retry, Unknown, Wait};

type Rows = Vec<(&'static [u32], Fate)>;

/// PROTOCOLS.md, section 4.1. A wait is lengthened by a tenth at most, a retry is spread from nothing to its limit.
fn whatsapp() -> Rows {
    vec![
        (&[0, 190, 3, 10, 200, 250, 299, 131_005, 132_068, 131_030, 131_031, 368], Parked("needs_operator")),
        (&[131_037, 131_045, 133_006, 133_010, 131_042], Parked("needs_operator")),
        (&[33], Parked("channel_disabled")),
        (&[1, 2, 131_016, 133_004, 131_000, 131_052, 131_053], Retry(0..=600)),
        (&[4, 80_007], Wait(0..=3960)),
        (&[130_429], Wait(1..=2)),
        (&[131_056], Wait(4..=5)),
        (&[131_057], Wait(60..=67)),
        (&[131_048], Wait(3600..=3961)),
        (&[131_049], Wait(86_400..=95_041)),
        (&[132_015], Wait(21_600..=23_761)),
        (&[132_069], Wait(600..=661)),
        (&[133_015], Wait(300..=331)),
        (&[131_047, 132_001, 132_016], Parked("needs_template")),
        (&[131_026, 131_021], Failed("invalid_recipient")),
        (&[131_050], Failed("opted_out")),
        (&[130_472, 131_051, 100, 131_008, 131_009, 131_001, 131_002, 131_006], Failed("provider_rejected")),
        (&[132_000, 132_012, 132_018, 132_005, 132_007, 130_497], Failed("provider_rejected")),
    ]
}

/// Section 4.2.
fn twilio() -> Rows {
    vec![
        (&[20_429, 63_018], Wait(1..=2)),
        (&[21_611, 30_001], Wait(300..=331)),
        (&[14_107], Wait(30..=34)),
        (&[30_022], Wait(60..=67)),
        (&[30_023, 30_027], Wait(0..=95_041)),
        (&[63_049], Wait(86_400..=95_041)),
        (&[30_003], Retry(1800..=1981)),
        (&[30_008], Retry(300..=331)),
        (&[30_410], Retry(60..=67)),
        (&[20_003, 20_005, 20_404, 10_001, 30_002, 21_212, 21_603, 21_606, 21_659], Parked("needs_operator")),
        (&[21_660, 21_408, 21_608, 30_007, 30_032, 30_034, 30_035, 63_001], Parked("needs_operator")),
        (&[63_002, 63_007, 63_015, 63_051], Parked("needs_operator")),
        (&[63_016], Parked("needs_template")),
        (&[20_500, 20_503], Unknown),
        (
            &[21_211, 21_214, 21_217, 21_401, 21_614, 30_005, 30_006, 63_003, 63_024],
            Failed("invalid_recipient"),
        ),
        (&[21_610], Failed("opted_out")),
        (&[21_612, 21_602, 21_617, 21_619, 21_620, 21_623, 30_004], Failed("provider_rejected")),
        (&[30_010, 63_005, 63_032], Failed("provider_rejected")),
        (&[30_036], Failed("expired")),
    ]
}

fn all(rows: Rows) -> Vec<(u32, Fate)> {
    rows.into_iter().flat_map(|(codes, fate)| codes.iter().map(move |code| (*code, fate.clone()))).collect()
}

/// How a provider is used here.
#[derive(Clone, Copy)]
struct Way {
    sender: Sender,
    provider: Provider,
    kind: &'static str,
    job: &'static str,
}

const WHATSAPP: Way = Way {
    sender: Sender::Whatsapp,
    provider: Provider::Whatsapp,
    kind: "whatsapp-message",
    job: "deliver_whatsapp",
};
const TWILIO: Way =
    Way { sender: Sender::Twilio, provider: Provider::Twilio, kind: "sms-message", job: "deliver_sms" };

/// Posts a message whose first send meets `action`.
async fn meets(app: &TestApp, way: Way, n: usize, action: Action) -> Value {
    let marker = format!("case-{n}-");
    app.simulator.fault(FaultRule::on(way.provider, action).body_contains(&marker).times(1));
    let thread = app.whatsapp_thread(&format!("+4179444{n:04}")).await;
    app.agent("anna").post_message(&thread, json!({ "body": marker, "type": way.kind })).await
}

/// A message that goes well: what failed before it does not open the circuit of the credential.
async fn goes_well(app: &TestApp, way: Way, thread: &str) {
    let posted = app.agent("anna").post_message(thread, json!({ "body": "well", "type": way.kind })).await;
    app.delivery_of(&posted, "delivered").await;
}

/// The story of a message once its first attempt ended, and not as accepted.
async fn told(app: &TestApp, posted: &Value) -> Value {
    app.eventually("the end of the first attempt", async || {
        let story = app.story(posted).await;
        let outcome = story["attempts"][0]["outcome"].as_str()?;
        (outcome != "ok").then_some(story)
    })
    .await
}

async fn comes_to(app: &TestApp, way: Way, posted: &Value, code: u32, fate: &Fate) {
    let story = told(app, posted).await;
    let (first, delivery) = (&story["attempts"][0], &story["delivery"]);
    let shown = || format!("{} {code}: {delivery} {first}", way.job);
    let (outcome, class) = match fate {
        Retry(_) => ("retry", "retry"),
        Wait(_) => ("retry", "wait_until"),
        Parked("needs_template") => ("parked", "needs_template"),
        Parked(_) => ("parked", "needs_operator"),
        Failed(_) => ("dead", "permanent"),
        Unknown => ("unknown", "unknown"),
    };
    assert_eq!((&first["outcome"], &first["errorClass"]), (&json!(outcome), &json!(class)), "{}", shown());
    assert_eq!(first["providerErrorCode"], json!(code.to_string()), "{}", shown());
    match fate {
        Retry(wait) | Wait(wait) => {
            due_within(app, way, posted, first, wait).await.unwrap_or_else(|why| panic!("{} {why}", shown()));
        }
        Parked(reason) => rests(app, way, posted, "parked", reason, JobState::Parked, &shown()).await,
        Failed(reason) => rests(app, way, posted, "failed", reason, JobState::Dead, &shown()).await,
        Unknown => {
            rests(app, way, posted, "unknown", "outcome_unknown", JobState::Unknown, &shown()).await;
        }
    }
}

async fn rests(
    app: &TestApp,
    way: Way,
    posted: &Value,
    state: &str,
    reason: &str,
    job_state: JobState,
    shown: &str,
) {
    let story = app.delivery_of(posted, state).await;
    assert_eq!(story["delivery"]["reason"], reason, "{shown}");
    let job = app.eventually("the ledger's word", async || {
        let job = app.job_of(posted, way.job).await;
        (job.state == job_state).then_some(job)
    });
    let job = job.await;
    assert_eq!(job.attempt, 1, "{shown}: it is not sent again");
}

/// The time of the next try stands in the timeline and, while it waits, in the ledger.
async fn due_within(
    app: &TestApp,
    way: Way,
    posted: &Value,
    first: &Value,
    wait: &RangeInclusive<i64>,
) -> Result<(), String> {
    let time = |name: &str| chrono::DateTime::parse_from_rfc3339(first[name].as_str().unwrap_or_default());
    let (Ok(next), Ok(ended)) = (time("nextAttemptAt"), time("finishedAt")) else {
        return Err("has no time of a next try".to_owned());
    };
    // In a status the answer came a moment after the attempt had ended.
    let seconds = (next - ended).num_milliseconds();
    if seconds < wait.start() * 1000 - 50 || seconds > wait.end() * 1000 + 5_000 {
        return Err(format!("is tried again after {seconds} ms"));
    }
    let job = app.job_of(posted, way.job).await;
    if job.attempt == 1 && job.state == JobState::Queued {
        let due = job.due_at.timestamp_millis() - next.timestamp_millis();
        // The ledger's time is that of the store's clock.
        return if due.abs() < 2_000 { Ok(()) } else { Err(format!("is due {due} ms beside it")) };
    }
    Ok(())
}

/// What an agent reads is a sentence without the provider's jargon.
fn an_agent_understands(classes: &Classes, way: Way, code: u32, in_status: bool) {
    let text = code.to_string();
    let signal = Signal { code: Some(&text), in_status, ..Signal::default() };
    let decision = classes.decide(way.sender, &signal);
    let said = &decision.rule.text;
    assert!(decision.known_code, "{code} is not in the table");
    assert!(said.len() > 20 && said.ends_with('.') && !said.contains('_'), "{code}: {said}");
    assert!(said.starts_with(|first: char| first.is_uppercase()), "{code}: {said}");
    assert!(!said.contains(&text), "{code}: {said}");
}

async fn every_answer(way: Way, rows: Rows) {
    let app = TestApp::without_search().await;
    let classes = Classes::built_in();
    let rows = all(rows);
    app.expect_dead(rows.iter().filter(|(_, fate)| matches!(fate, Failed(_))).count());
    let well = app.whatsapp_thread("+41794449999").await;
    for (n, (code, fate)) in rows.iter().enumerate() {
        an_agent_understands(&classes, way, *code, false);
        let posted = meets(&app, way, n, Action::Answer(Answer::code(*code))).await;
        comes_to(&app, way, &posted, *code, fate).await;
        app.forget_paces().await;
        goes_well(&app, way, &well).await;
    }
    assert!(app.simulator.duplicates().is_empty());
}

async fn every_status(way: Way, rows: Rows) {
    let app = TestApp::without_search().await;
    let classes = Classes::built_in();
    let rows: Vec<(u32, Fate)> = all(rows).into_iter().filter(|(_, fate)| !matches!(fate, Unknown)).collect();
    app.expect_dead(rows.iter().filter(|(_, fate)| matches!(fate, Failed(_))).count());
    for (n, (code, fate)) in rows.iter().enumerate() {
        an_agent_understands(&classes, way, *code, true);
        let posted = meets(&app, way, n, Action::FailStatus { code: *code, status: None }).await;
        comes_to(&app, way, &posted, *code, fate).await;
    }
}

#[tokio::test]
async fn every_code_that_whatsapp_answers() {
    every_answer(WHATSAPP, whatsapp()).await;
}

#[tokio::test]
async fn every_code_in_a_status_of_whatsapp() {
    every_status(WHATSAPP, whatsapp()).await;
}

#[tokio::test]
async fn every_code_that_twilio_answers() {
    every_answer(TWILIO, twilio()).await;
}

#[tokio::test]
async fn every_code_in_a_status_of_twilio() {
    every_status(TWILIO, twilio()).await;
}

/// The codes that the data file names for `provider`; of a range its ends.
fn in_the_data_file(provider: &str) -> BTreeSet<u32> {
    let file: toml::Table = toml::from_str(include_str!("../../../shared/data/error_classes.toml")).unwrap();
    let rules = file["rule"].as_array().unwrap().iter().filter(|rule| {
        rule["providers"].as_array().unwrap().iter().any(|name| name.as_str() == Some(provider))
    });
    let codes = rules.filter_map(|rule| rule.get("codes")?.as_array()).flatten();
    let ends = codes.flat_map(|code| match (code.as_integer(), code.as_str()) {
        (Some(number), _) => vec![number.to_string()],
        (_, Some(text)) => text.split('-').map(str::to_owned).collect(),
        _ => Vec::new(),
    });
    ends.filter_map(|code| code.parse().ok()).collect()
}

#[test]
fn no_code_of_the_data_file_is_left_out_here_or_in_the_simulator() {
    for (provider, rows) in [("whatsapp", whatsapp()), ("twilio", twilio())] {
        let tried: BTreeSet<u32> = all(rows).into_iter().map(|(code, _)| code).collect();
        for code in in_the_data_file(provider) {
            assert!(tried.contains(&code), "{provider} {code} is not tried");
        }
        let known = match provider {
            "whatsapp" => tests::simulator::whatsapp_codes(),
            _ => tests::simulator::twilio_codes(),
        };
        for code in tried {
            assert!(known.contains(&code), "the simulator does not know {provider} {code}");
        }
    }
}

/// How often somebody was told to look.
async fn alarms(app: &TestApp) -> f64 {
    let metrics = app.metrics().await;
    let lines = metrics.lines().filter(|line| line.starts_with("provider_alarm_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn a_code_that_nobody_knows_falls_back_and_raises_the_alarm() {
    let app = TestApp::without_search().await;
    app.expect_dead(4);
    for (way, first) in [(WHATSAPP, 0), (TWILIO, 3)] {
        let cases = [
            (
                Action::Answer(Answer { status: Some(400), ..Answer::code(987_654) }),
                Failed("provider_rejected"),
            ),
            (Action::Answer(Answer { status: Some(500), ..Answer::code(987_654) }), Unknown),
            (Action::FailStatus { code: 987_654, status: None }, Failed("provider_rejected")),
        ];
        for (n, (action, fate)) in cases.into_iter().enumerate() {
            let before = alarms(&app).await;
            let posted = meets(&app, way, first + n, action).await;
            comes_to(&app, way, &posted, 987_654, &fate).await;
            assert!(alarms(&app).await > before, "{} {fate:?}", way.job);
        }
    }
}

#[tokio::test]
async fn a_rule_of_the_override_file_counts_without_a_restart() {
    let folder = std::env::temp_dir().join(format!("double-{}", ulid::Ulid::new()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("classes.toml");
    let rule = |class: &str| {
        format!(
            "version = 1\n[[rule]]\nproviders = [\"twilio\"]\ncodes = [21610]\nclass = \"{class}\"\n\
             reason = \"needs_operator\"\nscope = \"message\"\ntext = \"Ours.\"\n"
        )
    };
    std::fs::write(&path, rule("needs_operator")).unwrap();
    let setting = path.display().to_string();
    let app = TestApp::with("BELLHOP_DELIVERY__ERROR_CLASSES", setting).without_search().await;
    let opted_out = || Action::Answer(Answer::code(21_610));
    let posted = meets(&app, TWILIO, 0, opted_out()).await;
    comes_to(&app, TWILIO, &posted, 21_610, &Parked("needs_operator")).await;

    std::fs::write(&path, "version = 1\n[[rule]]\nproviders = 7\n").unwrap();
    let refused = "error_classes_reload_total{result=\"refused\"}";
    app.eventually("a refusal of the bad file", async || app.metrics().await.contains(refused).then_some(()))
        .await;
    let posted = meets(&app, TWILIO, 1, opted_out()).await;
    comes_to(&app, TWILIO, &posted, 21_610, &Parked("needs_operator")).await;

    std::fs::write(&path, rule("permanent")).unwrap();
    let mut n = 2;
    app.eventually("the new rule", async || {
        n += 1;
        let posted = meets(&app, TWILIO, n, opted_out()).await;
        let story = told(&app, &posted).await;
        let is_new = story["attempts"][0]["errorClass"] == "permanent";
        is_new.then(|| app.expect_dead(1))
    })
    .await;
    std::fs::remove_dir_all(&folder).unwrap();
}

//! Every code of the providers' tables is in the data file, in its class; what is unknown falls back.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::domain::delivery::Reason;

const R: Class = Class::Retry;
const W: Class = Class::WaitUntil;
const T: Class = Class::NeedsTemplate;
const O: Class = Class::NeedsOperator;
const P: Class = Class::Permanent;
const U: Class = Class::Unknown;

#[rustfmt::skip]
const WHATSAPP: &[(Class, &[u32])] = &[
    (O, &[0, 190, 3, 10, 200, 201, 250, 299, 131_005, 33, 132_068, 131_030, 131_031, 368, 131_037, 131_045, 133_006,
          133_010, 131_042]),
    (R, &[1, 2, 131_016, 133_004, 131_000, 131_052, 131_053]),
    (W, &[4, 80_007, 130_429, 131_056, 131_057, 131_048, 131_049, 132_015, 132_069, 133_015]),
    (T, &[131_047, 132_001, 132_016]),
    (P, &[131_026, 131_021, 131_050, 130_472, 131_051, 100, 131_008, 131_009, 131_001, 131_002, 131_006, 132_000,
          132_012, 132_018, 132_005, 132_007, 130_497]),
];

#[rustfmt::skip]
const TWILIO: &[(Class, &[u32])] = &[
    (W, &[20_429, 21_611, 30_001, 14_107, 30_022, 30_023, 30_027, 63_018, 63_049]),
    (O, &[20_003, 20_005, 20_404, 10_001, 30_002, 21_212, 21_603, 21_606, 21_659, 21_660, 21_408, 21_608, 30_007,
          30_032, 30_034, 30_035, 63_001, 63_002, 63_007, 63_015, 63_051]),
    (U, &[20_500, 20_503]),
    (P, &[21_211, 21_214, 21_217, 21_401, 21_614, 21_612, 21_610, 21_602, 21_617, 21_619, 21_620, 21_623, 30_004,
          30_005, 30_006, 30_010, 30_036, 63_003, 63_005, 63_024, 63_032]),
    (R, &[30_003, 30_008, 30_410]),
    (T, &[63_016]),
];

/// Class of a bare HTTP status, by provider.
#[rustfmt::skip]
const HTTP: &[(Provider, Class, &[u16])] = &[
    (Provider::Whatsapp, W, &[429]),
    (Provider::Whatsapp, U, &[500, 502, 503, 504, 599]),
    (Provider::Whatsapp, P, &[400, 404, 422, 499]),
    (Provider::Whatsapp, O, &[301, 401, 403]),
    (Provider::Twilio, W, &[429]),
    (Provider::Twilio, U, &[500, 503]),
    (Provider::Twilio, P, &[400, 404]),
    (Provider::Twilio, O, &[302, 401, 403]),
    (Provider::Guest, W, &[429, 502, 503, 504]),
    (Provider::Guest, R, &[302, 408, 425, 500, 501, 599]),
    (Provider::Guest, O, &[401, 403, 410]),
    (Provider::Guest, P, &[400, 404, 413, 422, 451]),
    (Provider::Smtp, R, &[354, 421, 450, 451, 452, 454, 499]),
    (Provider::Smtp, P, &[500, 501, 550, 552, 553, 554, 599]),
];

fn by_code(provider: Provider, code: &str, signal: Signal<'_>) -> Decision {
    Classes::built_in().decide(provider, &Signal { code: Some(code), ..signal })
}

#[test]
fn every_code_of_the_tables_has_its_class() {
    let classes = Classes::built_in();
    for (provider, table) in [(Provider::Whatsapp, WHATSAPP), (Provider::Twilio, TWILIO)] {
        for (class, codes) in table {
            for code in *codes {
                let code = code.to_string();
                let signal = Signal { code: Some(&code), http_status: Some(500), ..Signal::default() };
                let decision = classes.decide(provider, &signal);
                assert!(decision.known_code, "{provider:?} {code}");
                assert_eq!(decision.rule.class, *class, "{provider:?} {code}");
                assert!(decision.rule.text.ends_with(['.', ';']), "{}", decision.rule.text);
            }
        }
    }
}

#[test]
fn bare_statuses_have_their_class_and_unknown_codes_follow_them_with_an_alarm() {
    let classes = Classes::built_in();
    for (provider, class, statuses) in HTTP {
        for status in *statuses {
            let bare = Signal { http_status: Some(*status), ..Signal::default() };
            assert_eq!(classes.decide(*provider, &bare).rule.class, *class, "{provider:?} {status}");
            let decision = classes.decide(*provider, &Signal { code: Some("999999"), ..bare });
            assert_eq!(decision.rule.class, *class, "{provider:?} {status}");
            assert!(decision.alarm && !decision.known_code, "{provider:?} {status}");
        }
    }
}

#[test]
fn an_unknown_code_in_a_status_webhook_is_final_and_alarms() {
    let decision = by_code(Provider::Whatsapp, "999999", Signal { in_status: true, ..Signal::default() });
    assert_eq!(decision.rule.class, P);
    assert!(decision.alarm);
}

#[test]
fn circumstances_change_the_rule() {
    let plain = Signal::default();
    let status = Signal { in_status: true, ..plain };
    let marketing = Signal { marketing: true, ..plain };
    let explained = Signal { http_status: Some(400), has_details: true, ..plain };
    assert_eq!(by_code(Provider::Whatsapp, "131000", plain).rule.attempts_max, Some(5));
    assert_eq!(by_code(Provider::Whatsapp, "131000", status).rule.attempts_max, Some(2));
    assert_eq!(by_code(Provider::Whatsapp, "131048", plain).rule.class, W);
    assert_eq!(by_code(Provider::Whatsapp, "131048", marketing).rule.class, O);
    assert_eq!(by_code(Provider::Whatsapp, "1", explained).rule.class, P);
    assert_eq!(by_code(Provider::Whatsapp, "1", Signal { has_details: true, ..plain }).rule.class, R);
}

#[test]
fn attempts_and_budget_end_in_another_class() {
    let soon = Duration::from_secs(1);
    let once = by_code(Provider::Whatsapp, "1", Signal::default()).rule;
    assert_eq!((once.class_after(2, soon), once.class_after(3, soon)), (R, O));
    let down = by_code(Provider::Whatsapp, "131016", Signal::default()).rule;
    assert_eq!(down.class_after(1_000, soon), R);
    assert_eq!(down.class_after(3, Duration::from_secs(24 * 3600)), P);
    assert_eq!(by_code(Provider::Twilio, "21610", Signal::default()).rule.reason, Reason::OptedOut);
}

#[test]
fn waits_follow_the_table() {
    let mut rng = StdRng::seed_from_u64(1);
    let now = "2026-11-21T10:40:00Z".parse().unwrap();
    let base = Duration::from_secs(1);
    let mut wait = |provider, code, attempts, hint: Option<u64>| {
        let rule = by_code(provider, code, Signal::default()).rule;
        rule.delay(attempts, hint.map(Duration::from_secs), now, base, &mut rng).as_secs()
    };
    let pair: Vec<u64> = (1..=3).map(|n| wait(Provider::Whatsapp, "131056", n, None)).collect();
    assert!((4..=5).contains(&pair[0]) && (16..=18).contains(&pair[1]) && (64..=71).contains(&pair[2]));
    assert!((1_200..=1_320).contains(&wait(Provider::Whatsapp, "4", 1, None)), "to the full hour");
    assert!((48_000..=52_800).contains(&wait(Provider::Twilio, "30023", 1, None)), "to midnight");
    assert!(wait(Provider::Whatsapp, "131049", 1, Some(1)) >= 86_400, "its floor");
    assert!((7_200..=7_920).contains(&wait(Provider::Twilio, "30003", 2, None)));
    assert!((21_600..=23_760).contains(&wait(Provider::Twilio, "30003", 9, None)), "the last step repeats");
    assert!((60..=66).contains(&wait(Provider::Twilio, "20429", 1, Some(60))), "Retry-After");
    assert!(wait(Provider::Whatsapp, "131016", 40, None) <= 600);
}

#[test]
fn an_override_replaces_single_rules_and_is_reloaded() {
    let folder = std::env::temp_dir().join(format!("classes-{}-{}", std::process::id(), line!()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("classes.toml");
    let rule = |code: &str, class: &str| {
        format!(
            "version = 1\n[[rule]]\nproviders = [\"twilio\"]\ncodes = [{code}]\nclass = \"{class}\"\n\
             reason = \"expired\"\nscope = \"message\"\ntext = \"New.\"\n"
        )
    };
    std::fs::write(&path, rule("99999", "retry")).unwrap();
    let classes = Classes::load(Some(path.clone())).unwrap();
    let class =
        |code| classes.decide(Provider::Twilio, &Signal { code: Some(code), ..Signal::default() }).rule.class;
    assert_eq!((class("99999"), class("21610")), (R, P));
    std::fs::write(&path, rule("21610", "needs_operator")).unwrap();
    classes.reload().unwrap();
    assert_eq!((class("99999"), class("21610")), (P, O));
    std::fs::write(&path, "version = 1\n[[rule]]\n").unwrap();
    assert!(classes.reload().is_err());
    assert_eq!(class("21610"), O, "a bad file changes nothing");
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(classes.reload(), Err(ClassesError::Read { .. })));
}

#[test]
fn bad_files_are_refused() {
    let head = "version = 1\n[[rule]]\nproviders = [\"twilio\"]\nclass = \"retry\"\nreason = \"expired\"\n\
        scope = \"message\"\ntext = \"x\"\n";
    let bad = [
        "codes = []",
        "codes = [\"9-1\"]",
        "codes = [\"1-5000\"]",
        "codes = [\"12x\"]",
        "codes = [-1]",
        "http = [99]",
        "http = [600]",
        "codes = [1]\nhttp = [500]",
        "codes = [1]\nattempts_max = 0",
        "codes = [1]\ndelays = [\"1m\"]\nbackoff = { cap = \"1m\" }",
        "codes = [1]\nbackoff = { cap = \"1m\", factor = 1 }",
        "codes = [1]\ndelays = [\"soon\"]",
        "codes = [1]\nnovelty = true",
        "codes = [1]\nwhen = \"sometimes\"",
    ];
    assert!(file::parse(&format!("{head}codes = [1]")).is_ok());
    for line in bad {
        assert!(file::parse(&format!("{head}{line}")).is_err(), "{line}");
    }
    assert!(file::parse("version = 2").is_err());
    let mut table = Table::default();
    assert!(table.lay(file::parse(&format!("{head}codes = [1, \"1-2\"]")).unwrap()).is_err(), "twins");
    assert!(Table::default().check().is_err(), "gaps");
}

//! docs/SIMULATOR.md against the product's data file: every code stands there, with the recipients that bring it about.

use std::collections::BTreeMap;

use super::super::magic::{NAMED, action};
use crate::simulator::{Action, Answer, Provider, twilio_codes, whatsapp_codes};

const HANDBOOK: &str = include_str!("../../../../docs/SIMULATOR.md");
const CLASSES: &str = include_str!("../../../../shared/data/error_classes.toml");

/// Where a generated table stands.
fn part(name: &str) -> &'static str {
    let (begin, end) = (format!("<!-- {name}: checked by a test -->\n"), format!("<!-- end of {name} -->"));
    let rest = HANDBOOK.split_once(begin.as_str()).unwrap_or_else(|| panic!("{begin} is missing")).1;
    rest.split_once(end.as_str()).unwrap_or_else(|| panic!("{end} is missing")).0
}

/// The codes of a provider with their class and what an agent reads, by the data file; of a range its first.
fn codes(provider: &str) -> BTreeMap<u32, (String, String)> {
    let file: toml::Table = toml::from_str(CLASSES).unwrap();
    let mut found = BTreeMap::new();
    for rule in file["rule"].as_array().unwrap() {
        let names = rule["providers"].as_array().unwrap();
        if !names.iter().any(|name| name.as_str() == Some(provider)) || rule.get("when").is_some() {
            continue;
        }
        for code in rule.get("codes").and_then(|codes| codes.as_array()).into_iter().flatten() {
            let text = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
            let Ok(number) = text.split('-').next().unwrap_or_default().parse() else { continue };
            let part = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
            found.insert(number, (part("class"), part("text")));
        }
    }
    found
}

#[test]
fn every_code_stands_in_the_handbook_with_its_recipients() {
    for provider in ["whatsapp", "twilio"] {
        let mut table = String::from(
            "| code | class | refused at once | accepted, then failed | an agent reads |\n|---|---|---|---|---|\n",
        );
        for (code, (class, text)) in codes(provider) {
            table.push_str(&format!(
                "| {code} | {class} | `+15002{code:06}` | `+15003{code:06}` | {text} |\n"
            ));
        }
        assert!(part(provider) == table, "the table of {provider} in docs/SIMULATOR.md should be:\n{table}");
    }
}

#[test]
fn the_recipients_of_the_handbook_do_what_it_says() {
    for (name, provider, known) in
        [("whatsapp", Provider::Whatsapp, whatsapp_codes()), ("twilio", Provider::Twilio, twilio_codes())]
    {
        for code in codes(name).into_keys() {
            assert!(known.contains(&code), "{name} {code} has no text in the simulator");
            let at_once = action(provider, &format!("+15002{code:06}"), "");
            assert_eq!(at_once, Some(Action::Answer(Answer::code(code))));
            let later = action(provider, &format!("+15003{code:06}"), "");
            assert_eq!(later, Some(Action::FailStatus { code, status: None }));
        }
    }
}

#[test]
fn every_outcome_without_a_code_stands_in_the_handbook() {
    let mut table = String::from("| recipient | outcome |\n|---|---|\n");
    for (number, words, expected) in NAMED {
        let recipient = format!("+15006{number:06}");
        table.push_str(&format!("| `{recipient}` | {words} |\n"));
        assert_eq!(action(Provider::Whatsapp, &recipient, "").as_ref(), Some(expected));
    }
    assert!(part("outcomes") == table, "the table of outcomes in docs/SIMULATOR.md should be:\n{table}");
}

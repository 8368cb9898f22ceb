//! Templates by form, against a catalogue, and as they read.

use proptest::prelude::*;

use super::*;

fn text(name: Option<&str>, text: &str) -> Parameter {
    Parameter { name: name.map(str::to_owned), value: Value::Text { text: text.to_owned() } }
}

fn part(part: Part, parameters: Vec<Parameter>) -> Component {
    Component { part, button: None, index: None, parameters }
}

fn template(components: Vec<Component>) -> Template {
    Template { name: "welcome".to_owned(), language: "en".to_owned(), components, marketing: false }
}

fn listed(body: &str) -> Listed {
    Listed {
        name: "welcome".to_owned(),
        language: "en".to_owned(),
        approval: Approval::Approved,
        marketing: false,
        header: None,
        header_text: String::new(),
        body: body.to_owned(),
        buttons: Vec::new(),
    }
}

#[test]
fn the_form_is_checked_before_any_catalogue() {
    assert!(template(vec![part(Part::Body, vec![text(None, "Gina")])]).check().is_ok());
    let button = |index, value| Component {
        part: Part::Button,
        button: Some(ButtonKind::QuickReply),
        index,
        parameters: vec![Parameter { name: None, value }],
    };
    let payload = || Value::Payload { payload: "yes".to_owned() };
    assert!(template(vec![button(Some(0), payload()), button(Some(1), payload())]).check().is_ok());
    let plain_file =
        Parameter { name: None, value: Value::Image { link: "http://a.example/x.png".to_owned() } };
    let bad = [
        Template { name: "Welcome!".to_owned(), ..template(Vec::new()) },
        Template { language: "e".to_owned(), ..template(Vec::new()) },
        template(vec![button(Some(0), payload()), button(Some(0), payload())]),
        template(vec![button(Some(10), payload())]),
        template(vec![button(None, payload())]),
        template(vec![button(Some(0), Value::Text { text: "x".to_owned() })]),
        template(vec![part(Part::Header, vec![plain_file])]),
        template(vec![part(Part::Body, vec![text(None, "")])]),
        template(vec![part(Part::Body, vec![text(None, &"x".repeat(1025))])]),
        template(vec![part(Part::Body, vec![text(Some("a"), "x"), text(None, "y")])]),
        template(vec![part(Part::Body, vec![text(Some("A b"), "x")])]),
        template(vec![part(Part::Body, vec![text(None, "x"); 33])]),
    ];
    for (n, bad) in bad.iter().enumerate() {
        assert!(bad.check().is_err(), "{n}");
    }
}

#[test]
fn a_template_fits_its_catalogue_or_is_refused_with_the_reason() {
    let two = || template(vec![part(Part::Body, vec![text(None, "Gina"), text(None, "12")])]);
    assert!(listed("Hello {{1}}, room {{2}}. Bye {{1}}").check(&two()).is_ok());
    assert!(listed("Hello {{1}}").check(&two()).is_err());
    assert!(listed("Hello").check(&two()).is_err());
    let named = template(vec![part(Part::Body, vec![text(Some("guest"), "Gina")])]);
    assert!(listed("Hello {{guest}}").check(&named).is_ok());
    assert!(listed("Hello {{host}}").check(&named).is_err());
    for approval in [Approval::Pending, Approval::Rejected, Approval::Disabled] {
        assert!(Listed { approval, ..listed("Hi") }.check(&template(Vec::new())).is_err(), "{approval:?}");
    }
    let picture = Listed { header: Some("image".to_owned()), ..listed("Hi") };
    assert!(picture.check(&template(Vec::new())).is_err());
    let image = Parameter { name: None, value: Value::Image { link: "https://a.example/x.png".to_owned() } };
    assert!(picture.check(&template(vec![part(Part::Header, vec![image])])).is_ok());
    let link = ListedButton { kind: "url".to_owned(), takes_value: true };
    assert!(Listed { buttons: vec![link], ..listed("Hi") }.check(&template(Vec::new())).is_err());
}

#[test]
fn the_thread_shows_what_the_recipient_reads() {
    let two = template(vec![part(Part::Body, vec![text(None, "Gina"), text(None, "{{1}}")])]);
    assert_eq!(listed("Hello {{1}}, {{ 2 }}!").rendered(&two), "Hello Gina, {{1}}!");
    let named = template(vec![part(Part::Body, vec![text(Some("guest"), "Gina")])]);
    assert_eq!(listed("Hello {{guest}} {{other}}.").rendered(&named), "Hello Gina .");
    assert_eq!(listed("no end {{1").rendered(&two), "no end {{1");
}

#[test]
fn debug_output_holds_no_value() {
    let shown = format!("{:?}", template(vec![part(Part::Body, vec![text(Some("guest"), "Gina")])]));
    assert!(!shown.contains("Gina"), "{shown}");
}

proptest! {
    #[test]
    fn rendering_never_panics(body in "[{}a-z0-9 ]{0,60}", value in ".{0,20}") {
        let _ = listed(&body).rendered(&template(vec![part(Part::Body, vec![text(None, &value)])]));
    }
}

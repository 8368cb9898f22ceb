//! Twilio's request validator: it and our verifier accept each other's signatures, whatever the form holds.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use shared::providers::twilio::{parse_form, verify_json_signature, verify_signature};
use tests::app::{SOON, TestApp};
use tests::simulator::{DEV_AUTH_TOKEN, Posted, Provider, signature};
use tests::validators::Validators;

const TOKEN: &str = "12345";

type Fields = Vec<(String, String)>;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The fields as the package takes them: a list where one is repeated.
fn as_object(fields: &Fields) -> Value {
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in fields {
        let values = object.entry(name).or_insert_with(|| json!([]));
        values.as_array_mut().expect("a list").push(json!(value));
    }
    Value::Object(object)
}

fn to_sign(url: &str, fields: &Fields) -> Value {
    json!({ "op": "twilio.sign", "token": TOKEN, "url": url, "fields": as_object(fields) })
}

fn to_check(url: &str, fields: &Fields, signature: &str) -> Value {
    let fields = as_object(fields);
    json!({ "op": "twilio.check", "token": TOKEN, "url": url, "fields": fields, "signature": signature })
}

/// URLs and forms that real callbacks and odd people bring.
fn cases() -> Vec<(&'static str, Fields)> {
    let base = "https://chat.example.com/webhooks/twilio/status";
    vec![
        (base, fields(&[])),
        (base, fields(&[("Body", ""), ("ErrorMessage", ""), ("To", "+15005550009")])),
        (base, fields(&[("Body", " hi & bye "), ("From", "+15005550009"), ("To", "+15005550006")])),
        (base, fields(&[("Body", "a+b=c&d%20e;f?g#h"), ("MessageSid", "SM1")])),
        (base, fields(&[("Body", "Grüße, 你好, 🎉\u{200d}🔥 \u{0}\n\r\n\t")])),
        (base, fields(&[("MediaUrl0", "https://x.example/a?b=c&d=e"), ("NumMedia", "1")])),
        (base, fields(&[("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "b"), ("Z", "1")])),
        (base, fields(&[("a", "1"), ("A", "2"), ("aa", ""), ("B", "3"), ("_", "4"), ("0", "5")])),
        ("https://chat.example.com/status?job=01J&a=2", fields(&[("MessageStatus", "delivered")])),
        ("https://chat.example.com/status?q=a%20b+c&empty=&x=%C3%BC", fields(&[("A", "1")])),
        ("https://chat.example.com:8443/status?job=01J", fields(&[("A", "1")])),
        ("https://chat.example.com:443/status", fields(&[("A", "1")])),
        ("http://chat.example.com:80/status", fields(&[("A", "1")])),
        ("http://127.0.0.1:8080/webhooks/twilio/sms", fields(&[("A", "1")])),
        ("https://[2606:4700::1]/x", fields(&[("A", "1")])),
        ("https://[2606:4700::1]:8443/x?y=1", fields(&[("A", "1")])),
    ]
}

#[tokio::test]
async fn what_the_validator_signs_our_verifier_and_the_simulator_agree_with() {
    let mut validators = Validators::start();
    for (url, fields) in cases() {
        let theirs = validators.sign(&to_sign(url, &fields)).await;
        assert!(verify_signature(TOKEN, url, &fields, &theirs), "{url} {fields:?}");
        assert_eq!(signature::twilio(TOKEN, url, &fields), theirs, "the simulator at {url}");
        assert!(validators.accepts(&to_check(url, &fields, &theirs)).await, "{url}");
        let mut more = fields.clone();
        more.push(("New".to_owned(), String::new()));
        assert!(!verify_signature(TOKEN, url, &more, &theirs), "a field more at {url}");
        assert!(!verify_signature("12346", url, &fields, &theirs), "another token at {url}");
        assert!(!verify_signature(TOKEN, &format!("{url}/"), &fields, &theirs), "another URL than {url}");
    }
}

#[tokio::test]
async fn both_forget_and_add_the_port_alike() {
    let mut validators = Validators::start();
    let form = fields(&[("A", "1")]);
    let bare = ["https://chat.example.com/x?y=1", "http://chat.example.com/x", "https://[2606:4700::1]/x"];
    for without in bare {
        let default = if without.starts_with("https") { 443 } else { 80 };
        let url: url::Url = without.parse().expect("a URL");
        let host = url.host_str().expect("a host");
        for port in [default, 8443] {
            let with = without.replacen(host, &format!("{host}:{port}"), 1);
            for (signed, received) in [(without, with.as_str()), (with.as_str(), without)] {
                let theirs = validators.sign(&to_sign(signed, &form)).await;
                let accepted = validators.accepts(&to_check(received, &form, &theirs)).await;
                let ours = verify_signature(TOKEN, received, &form, &theirs);
                assert_eq!(ours, accepted, "signed for {signed}, received at {received}");
            }
        }
    }
}

#[tokio::test]
async fn forms_of_random_fields_are_signed_alike() {
    const ALPHABET: [&str; 20] = [
        "a", "Z", "0", " ", "+", "&", "=", "%", "%2B", ";", "/", "?", "#", "\"", "'", "\n", "ü", "你",
        "\u{a0}", ".",
    ];
    const NAMES: [&str; 8] =
        ["Body", "From", "To", "MediaUrl", "MediaUrl0", "MessageSid", "ErrorMessage", "ButtonPayload"];
    let mut validators = Validators::start();
    let mut dice = StdRng::seed_from_u64(20_261_122);
    for round in 0..300 {
        let count = dice.random_range(0..8);
        let form: Fields = (0..count)
            .map(|_| {
                let length = dice.random_range(0..10);
                let value = (0..length).map(|_| *ALPHABET.choose(&mut dice).expect("letters")).collect();
                ((*NAMES.choose(&mut dice).expect("names")).to_owned(), value)
            })
            .collect();
        let url = "https://chat.example.com/webhooks/twilio/sms?tenant=1";
        let theirs = validators.sign(&to_sign(url, &form)).await;
        // As it comes over the wire.
        let wire = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let read = parse_form(wire.as_bytes());
        assert!(verify_signature(TOKEN, url, &read, &theirs), "round {round}: {form:?}");
        assert_eq!(signature::twilio(TOKEN, url, &form), theirs, "round {round}: {form:?}");
    }
}

#[tokio::test]
async fn json_bodies_are_bound_by_the_digest_in_the_query() {
    let mut validators = Validators::start();
    for body in [r#"{"a":1}"#, "", "Grüße \u{1f389}"] {
        let digest = validators.sign(&json!({ "op": "twilio.digest", "body": body })).await;
        let url = format!("https://chat.example.com/events?q=1&bodySHA256={digest}");
        let theirs = validators.sign(&to_sign(&url, &fields(&[]))).await;
        assert!(verify_json_signature(TOKEN, &url, body.as_bytes(), &theirs), "{body}");
        assert!(!verify_json_signature(TOKEN, &url, b"{\"a\":2}", &theirs), "{body}");
        let question = json!({
            "op": "twilio.checkBody", "token": TOKEN, "url": url, "body": body, "signature": theirs,
        });
        assert!(validators.accepts(&question).await, "{body}");
    }
}

#[tokio::test]
async fn the_vectors_are_what_all_three_sign() {
    let (account, message) = (format!("AC{}", "0".repeat(32)), format!("SM{}1", "0".repeat(31)));
    let call = fields(&[
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("From", "+14158675309"),
        ("Digits", "1234"),
        ("To", "+18005551212"),
    ]);
    let status = fields(&[
        ("AccountSid", &account),
        ("ErrorCode", "30003"),
        ("From", "+15005550006"),
        ("MessageSid", &message),
        ("MessageStatus", "undelivered"),
        ("To", "+15005550009"),
    ]);
    let sms = fields(&[("Body", " hi & bye "), ("From", "+15005550009"), ("To", "+15005550006")]);
    let vectors = [
        ("https://mycompany.com/myapp.php?foo=1&bar=2", call, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://chat.example.com/webhooks/twilio/status", status, "LhQOoj7ieDJ8qQMvjiQ0lJdXfAw="),
        ("https://chat.example.com/webhooks/twilio/sms", sms, "OlrwlOZcrzZZQSHPSZrS/FahdPA="),
    ];
    let mut validators = Validators::start();
    for (url, fields, wanted) in vectors {
        assert_eq!(validators.sign(&to_sign(url, &fields)).await, wanted);
        assert_eq!(signature::twilio(TOKEN, url, &fields), wanted);
        assert!(verify_signature(TOKEN, url, &fields, wanted));
    }
}

#[tokio::test]
async fn a_callback_that_the_validator_signed_is_let_in_and_a_changed_one_is_not() {
    let app = TestApp::ingest_only().await;
    let mut validators = Validators::start();
    let base = app.config().public_url.as_str().trim_end_matches('/').to_owned();
    let path = "/webhooks/twilio/status?job=01J5S0000000000000000000AA&a=1";
    let form =
        fields(&[("MessageSid", "SM1"), ("MessageStatus", "sent"), ("ErrorMessage", ""), ("X", "ü & +")]);
    let question = json!({
        "op": "twilio.sign", "token": DEV_AUTH_TOKEN, "url": format!("{base}{path}"), "fields": as_object(&form),
    });
    let theirs = validators.sign(&question).await;
    let send = |form: &Fields| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let call =
            app.nobody().call(reqwest::Method::POST, path).header("x-twilio-signature", theirs.clone());
        call.bytes("application/x-www-form-urlencoded", body)
    };
    send(&form).expect(200).await;
    let mut changed = form.clone();
    changed[1].1 = "delivered".to_owned();
    send(&changed).expect(401).await;
}

#[tokio::test]
async fn what_the_simulator_posts_the_validator_accepts() {
    let app = TestApp::without_search().await;
    let mut validators = Validators::start();
    app.simulator.configure(|settings| settings.keep_webhooks = true);
    let thread = app.whatsapp_thread("+41796612001").await;
    let body = json!({ "body": "hello & \"goodbye\"", "type": "sms-message" });
    let message = app.agent("anna").post_message(&thread, body).await;
    app.delivery_of(&message, "delivered").await;
    let told = app.simulator.wait_for_webhooks(|all| all.len() >= 3, SOON).await.expect("three callbacks");
    for delivery in told.iter().filter(|delivery| delivery.provider == Provider::Twilio) {
        let Posted { url, headers, body } = &**delivery.request.as_ref().expect("it was kept");
        let question = json!({
            "op": "twilio.check", "token": DEV_AUTH_TOKEN, "url": url, "fields": as_object(&parse_form(body)),
            "signature": headers["X-Twilio-Signature"],
        });
        assert!(validators.accepts(&question).await, "{} at {url}", delivery.status);
    }
}

//! A number of each kind that is an account's own, known to the simulator, and requests to store them.

use serde_json::{Value, json};
use tests::app::{Setup, TestApp};
use tests::simulator::{SimulatorConfig, TwilioAccount, WhatsappNumber};

/// Where channels are.
pub(crate) const PATH: &str = "/chat/channels";

/// A `secrets_key`, and another.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const NEXT_KEY: &str = "HxwdHh8aGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// The account's own WhatsApp number.
pub(crate) const NUMBER: &str = "200000000000002";
pub(crate) const TOKEN: &str = "own-access-token-canary";
pub(crate) const APP_SECRET: &str = "own-app-secret-canary";
pub(crate) const VERIFY_TOKEN: &str = "own-verify-token-canary";

/// The account's own sender of SMS.
pub(crate) const ACCOUNT_SID: &str = "AC00000000000000000000000000000002";
pub(crate) const AUTH_TOKEN: &str = "own-auth-token-canary";
pub(crate) const FROM: &str = "+15005550147";

/// What signs for a guest platform.
pub(crate) const GUEST_SECRET: &str = "whsec_b3duLWd1ZXN0LXBsYXRmb3JtLXNlY3JldC1jYW5hcnk=";

/// Every secret above.
pub(crate) const SECRETS: [&str; 5] = [TOKEN, APP_SECRET, VERIFY_TOKEN, AUTH_TOKEN, GUEST_SECRET];

fn own_numbers(plan: &mut SimulatorConfig) {
    plan.whatsapp.push(WhatsappNumber {
        phone_number_id: NUMBER.to_owned(),
        display_phone_number: "15550783882".to_owned(),
        access_token: TOKEN.into(),
        app_secret: APP_SECRET.into(),
    });
    plan.twilio.push(TwilioAccount {
        account_sid: ACCOUNT_SID.to_owned(),
        auth_token: AUTH_TOKEN.into(),
        numbers: Vec::new(),
    });
}

/// An installation with a key, whose providers know the account's own numbers.
pub(crate) fn setup() -> Setup {
    TestApp::with("BELLHOP_SECRETS_KEY", KEY).simulating(own_numbers)
}

/// The same, without numbers of its own.
pub(crate) fn without_defaults() -> Setup {
    let names = ["WHATSAPP__PHONE_NUMBER_ID", "WHATSAPP__ACCESS_TOKEN", "WHATSAPP__APP_SECRET"];
    let more = ["WHATSAPP__VERIFY_TOKEN", "TWILIO__ACCOUNT_SID", "TWILIO__AUTH_TOKEN", "TWILIO__FROM"];
    let all = names.into_iter().chain(more);
    all.fold(setup(), |setup, name| setup.with(&format!("BELLHOP_{name}"), ""))
}

/// Lets no log hold a secret.
pub(crate) fn watch(app: &TestApp) {
    SECRETS.iter().for_each(|secret| app.must_not_be_logged(secret));
}

/// The WhatsApp number with all its secrets.
pub(crate) fn whatsapp() -> Value {
    json!({ "kind": "whatsapp", "whatsapp": {
        "phoneNumberId": NUMBER, "accessToken": TOKEN, "appSecret": APP_SECRET, "verifyToken": VERIFY_TOKEN,
    } })
}

/// The WhatsApp number without a word on its secrets.
pub(crate) fn whatsapp_as_it_is() -> Value {
    json!({ "kind": "whatsapp", "whatsapp": { "phoneNumberId": NUMBER } })
}

/// The WhatsApp number with a token that the provider refuses.
pub(crate) fn whatsapp_with_token(token: &str) -> Value {
    let mut body = whatsapp();
    body["whatsapp"]["accessToken"] = json!(token);
    body
}

/// The sender of SMS with its token.
pub(crate) fn sms() -> Value {
    json!({ "kind": "sms", "sms": { "accountSid": ACCOUNT_SID, "authToken": AUTH_TOKEN, "from": FROM } })
}

/// A guest platform.
pub(crate) fn guest(url: &str) -> Value {
    json!({ "kind": "guest", "guest": { "url": url, "secret": GUEST_SECRET } })
}

/// A sender of e-mails.
pub(crate) fn email(from: &str) -> Value {
    json!({ "kind": "email", "email": { "from": from } })
}

/// Posts a message of `kind` and returns it.
pub(crate) async fn post(app: &TestApp, thread: &str, kind: &str, text: &str) -> Value {
    app.agent("anna").post_message(thread, json!({ "body": text, "type": kind })).await
}

/// Waits until a provider has accepted `text`, and tells by which number.
pub(crate) async fn sender_of(app: &TestApp, text: &str) -> String {
    app.eventually(text, async || {
        let accepted = app.simulator.accepted();
        accepted.iter().find(|sent| sent.body.contains(text)).map(|sent| sent.from.clone())
    })
    .await
}

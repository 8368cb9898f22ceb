//! Webhooks by hand, signed as the providers sign them.

use serde_json::{Value, json};

use super::{Call, TestApp};
use crate::simulator::{DEV_APP_SECRET, DEV_AUTH_TOKEN, DEV_DISPLAY_NUMBER, DEV_PHONE_NUMBER_ID, signature};

impl TestApp {
    /// A signed WhatsApp webhook with these bytes.
    pub fn whatsapp_webhook(&self, body: impl Into<Vec<u8>>) -> Call {
        let body = body.into();
        let signed = signature::whatsapp(DEV_APP_SECRET, &body);
        let call = self.nobody().call(reqwest::Method::POST, "/webhooks/whatsapp");
        call.header("x-hub-signature-256", signed).bytes("application/json", body)
    }

    /// A signed WhatsApp webhook with these statuses.
    pub fn whatsapp_statuses(&self, statuses: &[Value]) -> Call {
        let metadata =
            json!({ "display_phone_number": DEV_DISPLAY_NUMBER, "phone_number_id": DEV_PHONE_NUMBER_ID });
        let value = json!({ "messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses });
        let entry = json!({ "id": "1", "changes": [{ "field": "messages", "value": value }] });
        let body = json!({ "object": "whatsapp_business_account", "entry": [entry] });
        self.whatsapp_webhook(body.to_string())
    }

    /// A signed status callback of Twilio; `query` is that of the callback URL.
    pub fn twilio_status(&self, query: &str, fields: &[(&str, &str)]) -> Call {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let path = format!("/webhooks/twilio/status?{query}");
        let call = self.nobody().call(reqwest::Method::POST, &path);
        let call = call.header("x-twilio-signature", self.twilio_signature(query, fields));
        call.bytes("application/x-www-form-urlencoded", form)
    }

    /// What Twilio signs such a callback with.
    pub fn twilio_signature(&self, query: &str, fields: &[(&str, &str)]) -> String {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let fields: Vec<(String, String)> = fields.iter().map(own).collect();
        let base = self.config().public_url.as_str().trim_end_matches('/');
        let url = match query {
            "" => format!("{base}/webhooks/twilio/status"),
            query => format!("{base}/webhooks/twilio/status?{query}"),
        };
        signature::twilio(DEV_AUTH_TOKEN, &url, &fields)
    }
}

/// One status of a message, for [`TestApp::whatsapp_statuses`].
pub fn status(wamid: &str, status: &str, attempt_ref: Option<&str>, code: Option<u32>) -> Value {
    let mut shown = json!({ "id": wamid, "status": status, "timestamp": "1780000000", "recipient_id": "41" });
    if let Some(attempt_ref) = attempt_ref {
        shown["biz_opaque_callback_data"] = json!(attempt_ref);
    }
    if let Some(code) = code {
        shown["errors"] = json!([{ "code": code, "title": "title" }]);
    }
    shown
}

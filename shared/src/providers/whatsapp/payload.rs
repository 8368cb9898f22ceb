//! What is sent, in the form that the Cloud API reads.

use std::fmt;

use serde_json::{Value, json};

use crate::providers::phone::Phone;

/// Who gets it.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'a> {
    Phone(&'a Phone),
    /// A business-scoped user id, for people who hide their number behind a user name.
    BusinessScoped(&'a str),
}

/// The content.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    Text {
        /// At most 4096 characters.
        body: &'a str,
        /// Show a preview of the first link.
        preview_url: bool,
    },
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub to: Recipient<'a>,
    pub payload: Payload<'a>,
    /// `{jobId}.{attempt}`; comes back in every status webhook.
    pub opaque: &'a str,
    /// The provider id of the message that is quoted.
    pub reply_to: Option<&'a str>,
    /// It is a marketing template, which some errors treat apart.
    pub marketing: bool,
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { .. } => f.write_str("Text(…)"),
        }
    }
}

impl Outgoing<'_> {
    pub(super) fn request_body(&self) -> Value {
        let mut message = json!({"messaging_product": "whatsapp", "recipient_type": "individual"});
        match self.to {
            Recipient::Phone(phone) => message["to"] = phone.digits().into(),
            Recipient::BusinessScoped(id) => message["recipient"] = id.into(),
        }
        match self.payload {
            Payload::Text { body, preview_url } => {
                message["type"] = "text".into();
                message["text"] = json!({"body": body, "preview_url": preview_url});
            }
        }
        if let Some(id) = self.reply_to {
            message["context"] = json!({"message_id": id});
        }
        message["biz_opaque_callback_data"] = self.opaque.into();
        message
    }

    /// What must not appear in an error kept.
    pub(super) fn private_texts(&self) -> Vec<&str> {
        let to = match self.to {
            Recipient::Phone(phone) => phone.digits(),
            Recipient::BusinessScoped(id) => id,
        };
        match self.payload {
            Payload::Text { body, .. } => vec![body, to],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_text_as_the_api_reads_it() {
        let phone: Phone = "+15005550009".parse().unwrap();
        let message = Outgoing {
            to: Recipient::Phone(&phone),
            payload: Payload::Text { body: "Hello", preview_url: true },
            opaque: "01J.1",
            reply_to: Some("wamid.x"),
            marketing: false,
        };
        insta::assert_snapshot!(message.request_body().to_string(), @r#"{"messaging_product":"whatsapp","recipient_type":"individual","to":"15005550009","type":"text","text":{"body":"Hello","preview_url":true},"context":{"message_id":"wamid.x"},"biz_opaque_callback_data":"01J.1"}"#);
        assert!(!format!("{message:?}").contains("Hello"));
        assert!(!format!("{message:?}").contains("15005550009"));
    }
}

//! What is sent, in the form that the Cloud API reads.

use std::fmt;

use serde_json::{Value, json};

use crate::domain::media::MediaKind;
use crate::domain::template::{ButtonKind, Component, Parameter, Part, Template, Value as Filling};
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
    Media {
        kind: MediaKind,
        file: File<'a>,
        /// At most 1024 characters; not with audio and stickers.
        caption: Option<&'a str>,
        /// Documents only.
        filename: Option<&'a str>,
    },
    Template(&'a Template),
}

/// Where the provider takes a file from.
#[derive(Debug, Clone, Copy)]
pub enum File<'a> {
    /// It fetches it there.
    Link(&'a str),
    /// It was uploaded before.
    Uploaded(&'a str),
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
            Self::Media { kind, .. } => write!(f, "Media({}, …)", kind.as_str()),
            Self::Template(template) => write!(f, "Template({}, …)", template.name),
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
            Payload::Media { kind, file, caption, filename } => {
                let mut media = match file {
                    File::Link(link) => json!({"link": link}),
                    File::Uploaded(id) => json!({"id": id}),
                };
                if let Some(caption) = caption {
                    media["caption"] = caption.into();
                }
                if let Some(filename) = filename {
                    media["filename"] = filename.into();
                }
                message["type"] = kind.as_str().into();
                message[kind.as_str()] = media;
            }
            Payload::Template(template) => {
                message["type"] = "template".into();
                message["template"] = filled(template);
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
        let mut private = vec![to];
        match self.payload {
            Payload::Text { body, .. } => private.push(body),
            Payload::Media { file, caption, filename, .. } => {
                let file = match file {
                    File::Link(link) => Some(link),
                    File::Uploaded(_) => None,
                };
                private.extend([file, caption, filename].into_iter().flatten());
            }
            Payload::Template(template) => {
                let parameters = template.components.iter().flat_map(|component| &component.parameters);
                private.extend(parameters.map(|parameter| text_of(&parameter.value)));
            }
        }
        private
    }
}

fn text_of(value: &Filling) -> &str {
    match value {
        Filling::Text { text } => text,
        Filling::Image { link } | Filling::Video { link } | Filling::Document { link, .. } => link,
        Filling::Payload { payload } => payload,
        Filling::CouponCode { code } => code,
    }
}

fn filled(template: &Template) -> Value {
    let components: Vec<Value> = template.components.iter().map(component).collect();
    let mut value = json!({"name": template.name, "language": {"code": template.language}});
    if !components.is_empty() {
        value["components"] = components.into();
    }
    value
}

fn component(component: &Component) -> Value {
    let mut value = json!({"type": match component.part {
        Part::Header => "header",
        Part::Body => "body",
        Part::Button => "button",
    }});
    if let Some(button) = component.button {
        value["sub_type"] = match button {
            ButtonKind::QuickReply => "quick_reply",
            ButtonKind::Url => "url",
            ButtonKind::CopyCode => "copy_code",
        }
        .into();
    }
    if let Some(index) = component.index {
        // Meta's examples have it as text.
        value["index"] = index.to_string().into();
    }
    let parameters: Vec<Value> = component.parameters.iter().map(parameter).collect();
    value["parameters"] = parameters.into();
    value
}

fn parameter(parameter: &Parameter) -> Value {
    let kind = parameter.value.kind();
    let mut value = json!({"type": kind});
    value[kind] = match &parameter.value {
        Filling::Document { link, filename: Some(name) } => json!({"link": link, "filename": name}),
        Filling::Image { link } | Filling::Video { link } | Filling::Document { link, .. } => {
            json!({"link": link})
        }
        plain => text_of(plain).into(),
    };
    if let Some(name) = &parameter.name {
        value["parameter_name"] = name.as_str().into();
    }
    value
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

    fn body_of(payload: Payload<'_>) -> Value {
        let phone: Phone = "+15005550009".parse().unwrap();
        let to = Recipient::Phone(&phone);
        let message = Outgoing { to, payload, opaque: "01J.1", reply_to: None, marketing: false };
        assert!(!format!("{message:?}").contains("canary"));
        message.request_body()
    }

    #[test]
    fn writes_a_file_by_link_or_id() {
        let body = body_of(Payload::Media {
            kind: MediaKind::Document,
            file: File::Link("https://a.example/canary.pdf"),
            caption: Some("your bill"),
            filename: Some("bill.pdf"),
        });
        insta::assert_snapshot!(body["document"].to_string(), @r#"{"link":"https://a.example/canary.pdf","caption":"your bill","filename":"bill.pdf"}"#);
        let sound = Payload::Media {
            kind: MediaKind::Audio,
            file: File::Uploaded("7"),
            caption: None,
            filename: None,
        };
        assert_eq!(body_of(sound)["audio"], json!({"id": "7"}));
    }

    #[test]
    fn writes_a_template_with_everything_that_fills_it() {
        let text = |name: Option<&str>, text: &str| Parameter {
            name: name.map(str::to_owned),
            value: Filling::Text { text: text.to_owned() },
        };
        let plain = |part, parameters| Component { part, button: None, index: None, parameters };
        let picture = Filling::Image { link: "https://a.example/canary.png".to_owned() };
        let template = Template {
            name: "welcome".to_owned(),
            language: "pt_BR".to_owned(),
            components: vec![
                plain(Part::Header, vec![Parameter { name: None, value: picture }]),
                plain(Part::Body, vec![text(Some("guest"), "canary")]),
                Component {
                    part: Part::Button,
                    button: Some(ButtonKind::QuickReply),
                    index: Some(0),
                    parameters: vec![Parameter {
                        name: None,
                        value: Filling::Payload { payload: "yes".to_owned() },
                    }],
                },
            ],
            marketing: false,
        };
        insta::assert_snapshot!(body_of(Payload::Template(&template))["template"].to_string(), @r#"{"name":"welcome","language":{"code":"pt_BR"},"components":[{"type":"header","parameters":[{"type":"image","image":{"link":"https://a.example/canary.png"}}]},{"type":"body","parameters":[{"type":"text","text":"canary","parameter_name":"guest"}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"yes"}]}]}"#);
    }
}

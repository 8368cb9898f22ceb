//! What customers send, as the providers tell of it: the content, and the object of a webhook that it becomes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::people::Identity;

/// By which provider a customer writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    #[default]
    Whatsapp,
    Sms,
}

/// A file that a customer sends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Media {
    /// `image`, `video`, `audio`, `document` or `sticker`.
    pub kind: String,
    pub mime_type: String,
    /// Base64 in JSON; a picture of one pixel when it is not given.
    #[serde(default = "one_pixel", serialize_with = "as_base64", deserialize_with = "from_base64")]
    pub content: Vec<u8>,
    pub caption: Option<String>,
    pub filename: Option<String>,
    /// Also tell the address where it lies in the webhook, as Meta does for some.
    #[serde(default)]
    pub with_url: bool,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.content.len();
        f.debug_struct("Media").field("kind", &self.kind).field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl Media {
    /// A file of this kind and type.
    pub fn new(kind: &str, mime_type: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: kind.to_owned(),
            mime_type: mime_type.to_owned(),
            content: content.into(),
            caption: None,
            filename: None,
            with_url: false,
        }
    }

    /// A picture of one pixel.
    pub fn picture() -> Self {
        Self::new("image", "image/png", one_pixel())
    }

    /// The same with a caption.
    #[must_use]
    pub fn with_caption(mut self, caption: &str) -> Self {
        self.caption = Some(caption.to_owned());
        self
    }

    /// The same with the name of the file.
    #[must_use]
    pub fn called(mut self, filename: &str) -> Self {
        self.filename = Some(filename.to_owned());
        self
    }
}

/// What a customer sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Content {
    Text {
        body: String,
    },
    Media(Media),
    /// Several files in one message; SMS only.
    Album {
        body: String,
        media: Vec<Media>,
    },
    Location {
        latitude: f64,
        longitude: f64,
        name: Option<String>,
        address: Option<String>,
    },
    Contact {
        name: String,
        phone: String,
    },
    /// An empty emoji takes the reaction back.
    Reaction {
        message_id: String,
        emoji: String,
    },
    ButtonReply {
        id: String,
        title: String,
    },
    ListReply {
        id: String,
        title: String,
        description: Option<String>,
    },
    /// A filled-in form of a flow; `response` is JSON in a text.
    FlowReply {
        response: String,
    },
    /// A quick reply of a template.
    TemplateButton {
        payload: String,
        text: String,
    },
    /// A text after a click on an ad.
    AdClick {
        body: String,
        headline: String,
    },
    /// What WhatsApp itself cannot show to businesses.
    Unsupported,
    /// The customer's number changed.
    NumberChange {
        new_wa_id: String,
    },
    /// Any type and its object, also of types that nobody knows.
    Other {
        kind: String,
        object: Value,
    },
}

/// A message of a customer on its way.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    pub(super) n: u64,
    pub(super) id: String,
    pub(super) way: Way,
    /// The phone number id, or the Twilio number.
    pub(super) number: String,
    /// `+digits`
    pub(super) phone: String,
    pub(super) identity: Identity,
    pub(super) at: DateTime<Utc>,
    pub(super) content: Content,
    /// The provider's id of the message that it answers.
    pub(super) reply_to: Option<String>,
    /// The simulator's ids of the files in it.
    pub(super) media: Vec<StoredMedia>,
    /// What Twilio made of the word, if it is one of its words.
    pub(super) opt_out: Option<&'static str>,
}

/// A file that the simulator keeps for the product to fetch.
#[derive(Debug, Clone)]
pub(super) struct StoredMedia {
    pub(super) id: String,
    pub(super) sha256: String,
    /// Where it lies, when the webhook tells.
    pub(super) url: Option<String>,
}

impl Inbound {
    /// Digits by which WhatsApp names the customer.
    fn wa_id(&self) -> String {
        let own = || self.phone.trim_start_matches('+').to_owned();
        self.identity.wa_id.clone().unwrap_or_else(own)
    }

    /// An element of `contacts` in a WhatsApp webhook.
    pub(super) fn whatsapp_contact(&self) -> Value {
        let identity = &self.identity;
        let mut contact = json!({"profile": {"name": identity.name.as_deref().unwrap_or("Guest")}});
        if let Some(username) = &identity.username {
            contact["profile"]["username"] = username.as_str().into();
        }
        if !identity.hides_phone {
            contact["wa_id"] = self.wa_id().into();
        }
        for (field, id) in [("user_id", &identity.user_id), ("parent_user_id", &identity.parent_user_id)] {
            if let Some(id) = id {
                contact[field] = id.as_str().into();
            }
        }
        contact
    }

    /// An element of `messages` in a WhatsApp webhook; `own` is the display number of the business.
    pub(super) fn whatsapp_message(&self, own: &str) -> Value {
        let (kind, object) = self.whatsapp_object();
        let mut message = json!({"id": self.id, "timestamp": self.at.timestamp().to_string(), "type": kind});
        if !self.identity.hides_phone {
            message["from"] = self.wa_id().into();
        }
        if let Some(id) = &self.identity.user_id {
            message["from_user_id"] = id.as_str().into();
        }
        if let Some(object) = object {
            message[kind] = object;
        }
        if let Some(id) = &self.reply_to {
            message["context"] = json!({"from": own, "id": id});
        }
        match &self.content {
            Content::Unsupported => {
                message["errors"] = json!([{"code": 131_051, "title": "Message type unknown",
                    "message": "Message type unknown",
                    "error_data": {"details": "Message type is currently not supported."}}]);
            }
            Content::AdClick { headline, .. } => {
                message["referral"] = json!({"source_url": "https://fb.me/ad", "source_id": "120210000000000",
                    "source_type": "ad", "headline": headline, "body": "", "media_type": "image",
                    "ctwa_clid": format!("ad-{}", self.n)});
            }
            _ => {}
        }
        message
    }

    fn whatsapp_object(&self) -> (&str, Option<Value>) {
        match &self.content {
            Content::Text { body } | Content::AdClick { body, .. } | Content::Album { body, .. } => {
                ("text", Some(json!({"body": body})))
            }
            Content::Media(media) => (&media.kind, Some(self.whatsapp_media(media))),
            Content::Location { latitude, longitude, name, address } => {
                let mut place = json!({"latitude": latitude, "longitude": longitude});
                put(&mut place, "name", name.as_ref());
                put(&mut place, "address", address.as_ref());
                ("location", Some(place))
            }
            Content::Contact { name, phone } => {
                let phones =
                    json!([{"phone": phone, "type": "CELL", "wa_id": phone.trim_start_matches('+')}]);
                let name = json!({"formatted_name": name, "first_name": name});
                ("contacts", Some(json!([{"name": name, "phones": phones}])))
            }
            Content::Reaction { message_id, emoji } => {
                let mut reaction = json!({"message_id": message_id});
                put(&mut reaction, "emoji", Some(emoji).filter(|emoji| !emoji.is_empty()));
                ("reaction", Some(reaction))
            }
            Content::ButtonReply { id, title } => {
                let reply = json!({"id": id, "title": title});
                ("interactive", Some(json!({"type": "button_reply", "button_reply": reply})))
            }
            Content::ListReply { id, title, description } => {
                let mut reply = json!({"id": id, "title": title});
                put(&mut reply, "description", description.as_ref());
                ("interactive", Some(json!({"type": "list_reply", "list_reply": reply})))
            }
            Content::FlowReply { response } => {
                let reply = json!({"name": "flow", "body": "Sent", "response_json": response});
                ("interactive", Some(json!({"type": "nfm_reply", "nfm_reply": reply})))
            }
            Content::TemplateButton { payload, text } => {
                ("button", Some(json!({"payload": payload, "text": text})))
            }
            Content::Unsupported => ("unsupported", None),
            Content::NumberChange { new_wa_id } => {
                let body = format!("User changed to {new_wa_id}");
                ("system", Some(json!({"body": body, "wa_id": new_wa_id, "type": "user_changed_number"})))
            }
            Content::Other { kind, object } => (kind, Some(object.clone())),
        }
    }

    fn whatsapp_media(&self, media: &Media) -> Value {
        let mut object = json!({"mime_type": media.mime_type});
        put(&mut object, "caption", media.caption.as_ref());
        put(&mut object, "filename", media.filename.as_ref());
        if let Some(stored) = self.media.first() {
            object["id"] = stored.id.as_str().into();
            object["sha256"] = stored.sha256.as_str().into();
            put(&mut object, "url", stored.url.as_ref());
        }
        if media.kind == "audio" {
            object["voice"] = json!(false);
        }
        object
    }

    /// The fields of Twilio's webhook.
    pub(super) fn twilio_fields(&self, account_sid: &str) -> Vec<(String, String)> {
        let body = match &self.content {
            Content::Text { body } | Content::AdClick { body, .. } | Content::Album { body, .. } => {
                body.as_str()
            }
            Content::Media(media) => media.caption.as_deref().unwrap_or_default(),
            _ => "",
        };
        let segments = super::segments::count(body).to_string();
        let count = self.media.len().to_string();
        let mut fields: Vec<(String, String)> = [
            ("ToCountry", "US"),
            ("ToState", ""),
            ("SmsMessageSid", &self.id),
            ("NumMedia", &count),
            ("ToCity", ""),
            ("SmsSid", &self.id),
            ("SmsStatus", "received"),
            ("Body", body),
            ("To", &self.number),
            ("NumSegments", &segments),
            ("MessageSid", &self.id),
            ("AccountSid", account_sid),
            ("From", &self.phone),
            ("ApiVersion", "2010-04-01"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(word) = self.opt_out {
            fields.push(("OptOutType".to_owned(), word.to_owned()));
        }
        for (n, (stored, media)) in self.media.iter().zip(self.content.files()).enumerate() {
            fields.push((format!("MediaUrl{n}"), stored.url.clone().unwrap_or_default()));
            fields.push((format!("MediaContentType{n}"), media.mime_type.clone()));
        }
        fields
    }
}

impl Content {
    /// The files in it.
    pub(super) fn files(&self) -> &[Media] {
        match self {
            Content::Media(media) => std::slice::from_ref(media),
            Content::Album { media, .. } => media,
            _ => &[],
        }
    }
}

fn put(object: &mut Value, field: &str, text: Option<&String>) {
    if let Some(text) = text {
        object[field] = text.as_str().into();
    }
}

/// A PNG of one pixel.
fn one_pixel() -> Vec<u8> {
    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    STANDARD.decode(PIXEL).unwrap_or_default()
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

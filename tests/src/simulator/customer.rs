//! Customers who act: they write, send files, react and stop, by WhatsApp or SMS; and the guest platform that replies.
//!
//! ```no_run
//! use tests::simulator::{Media, Simulator, SimulatorConfig};
//!
//! # fn test() {
//! let simulator = Simulator::start(SimulatorConfig::default());
//! let eva = simulator.customer("+41790000001");
//! let id = eva.writes("hello");
//! eva.replying_to(&id).sends(Media::picture().with_caption("the view"));
//! eva.by_sms().writes("STOP");
//! # }
//! ```

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inbound::{Content, Inbound, Media, StoredMedia, Way};
use super::people::Identity;
use super::record::{Provider, phone_form};
use super::{Sim, Simulator, courier};

/// A message of a customer, ordered over HTTP: `POST /_sim/customers/{phone}/messages`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundOrder {
    #[serde(default)]
    pub via: Way,
    /// The phone number id or Twilio number that is written to; the one that wrote last, or the first, unless set.
    pub to: Option<String>,
    /// The provider's id of the message that is answered.
    pub reply_to: Option<String>,
    pub content: Content,
}

/// A customer at their phone.
#[derive(Clone)]
pub struct Customer {
    sim: Arc<Sim>,
    phone: String,
    way: Way,
    to: Option<String>,
    reply_to: Option<String>,
    at: Option<DateTime<Utc>>,
}

impl Simulator {
    /// The customer with this phone, who uses WhatsApp unless told otherwise.
    pub fn customer(&self, phone: &str) -> Customer {
        let (sim, phone) = (self.sim.clone(), phone_form(phone));
        Customer { sim, phone, way: Way::Whatsapp, to: None, reply_to: None, at: None }
    }
}

impl Customer {
    /// The same customer, by SMS.
    #[must_use]
    pub fn by_sms(&self) -> Self {
        Self { way: Way::Sms, to: None, ..self.clone() }
    }

    /// The same customer, writing to this phone number id or Twilio number.
    #[must_use]
    pub fn to(&self, number: &str) -> Self {
        Self { to: Some(number.to_owned()), ..self.clone() }
    }

    /// The same customer, answering the message with this id of the provider.
    #[must_use]
    pub fn replying_to(&self, id: &str) -> Self {
        Self { reply_to: Some(id.to_owned()), ..self.clone() }
    }

    /// The same customer, `ago` earlier: the webhook says so, and the window is counted from then.
    #[must_use]
    pub fn earlier(&self, ago: TimeDelta) -> Self {
        Self { at: Some(Utc::now() - ago), ..self.clone() }
    }

    /// Sends a text; answers the provider's id of the message. Its webhook goes out in the background.
    pub fn writes(&self, text: impl Into<String>) -> String {
        self.says(Content::Text { body: text.into() })
    }

    /// Sends a file.
    pub fn sends(&self, media: Media) -> String {
        self.says(Content::Media(media))
    }

    /// Shares a place.
    pub fn shares_location(&self, latitude: f64, longitude: f64, name: Option<&str>) -> String {
        let name = name.map(str::to_owned);
        self.says(Content::Location { latitude, longitude, name, address: None })
    }

    /// Shares somebody's number.
    pub fn shares_contact(&self, name: &str, phone: &str) -> String {
        self.says(Content::Contact { name: name.to_owned(), phone: phone.to_owned() })
    }

    /// Reacts to a message; an empty emoji takes that back.
    pub fn reacts(&self, message_id: &str, emoji: &str) -> String {
        self.says(Content::Reaction { message_id: message_id.to_owned(), emoji: emoji.to_owned() })
    }

    /// Taps a reply button.
    pub fn taps(&self, id: &str, title: &str) -> String {
        self.says(Content::ButtonReply { id: id.to_owned(), title: title.to_owned() })
    }

    /// Picks a line of a list.
    pub fn picks(&self, id: &str, title: &str) -> String {
        self.says(Content::ListReply { id: id.to_owned(), title: title.to_owned(), description: None })
    }

    /// Writes after a click on an ad: the first answer opens the window for three days.
    pub fn writes_after_an_ad(&self, text: &str) -> String {
        self.says(Content::AdClick { body: text.to_owned(), headline: "Stay with us".to_owned() })
    }

    /// Sends something of a type that nobody knows.
    pub fn sends_unknown(&self, kind: &str, object: Value) -> String {
        self.says(Content::Other { kind: kind.to_owned(), object })
    }

    /// Sends any content; answers the provider's id of the message.
    pub fn says(&self, content: Content) -> String {
        let number = self.number();
        let (n, at) = (self.sim.next_inbound(), self.at.unwrap_or_else(Utc::now));
        let id = self.message_id(n, &content);
        let by_ad = matches!(content, Content::AdClick { .. });
        let mut opt_out = None;
        match (self.way, &content) {
            (Way::Whatsapp, _) => self.sim.people.wrote(&number, &self.phone, at, by_ad),
            (Way::Sms, Content::Text { body }) => {
                opt_out = self.sim.people.hear(&number, &self.phone, body);
            }
            (Way::Sms, _) => {}
        }
        let media = self.store(&id, &content);
        let inbound = Inbound {
            n,
            id: id.clone(),
            way: self.way,
            number,
            phone: self.phone.clone(),
            identity: self.sim.people.identity(&self.phone),
            at,
            content,
            reply_to: self.reply_to.clone(),
            media,
            opt_out,
        };
        courier::bring(&self.sim, inbound);
        id
    }

    /// From now on WhatsApp knows the customer by these names.
    pub fn is_known_as(&self, identity: Identity) {
        self.sim.people.identify(&self.phone, identity);
    }

    /// Wants no more marketing messages of the number, or takes that back.
    pub fn stops_marketing(&self, stop: bool) {
        self.sim.people.stop_marketing(&self.number(), &self.phone, stop);
    }

    /// Whether Twilio refuses messages to them, since they wrote STOP.
    pub fn has_stopped(&self) -> bool {
        self.sim.people.has_stopped(&self.number(), &self.phone)
    }

    /// Until when the number may write to them freely.
    pub fn window(&self) -> Option<DateTime<Utc>> {
        self.sim.people.window(&self.number(), &self.phone, Utc::now())
    }

    /// Ends the window now.
    pub fn lets_the_window_close(&self) {
        self.sim.people.close_window(&self.number(), &self.phone);
    }

    /// The number written to: as told, else the one that wrote to them last, else the first of the simulator.
    fn number(&self) -> String {
        if let Some(to) = &self.to {
            return to.clone();
        }
        let provider = match self.way {
            Way::Whatsapp => Provider::Whatsapp,
            Way::Sms => Provider::Twilio,
        };
        let sent = self.sim.record.to(&self.phone);
        if let Some(last) = sent.iter().rev().find(|sent| sent.provider == provider) {
            return last.from.clone();
        }
        let config = &self.sim.config;
        let whatsapp = || config.whatsapp.first().map(|number| number.phone_number_id.clone());
        let twilio = || config.twilio.first().and_then(|account| account.numbers.first().cloned());
        match self.way {
            Way::Whatsapp => whatsapp().unwrap_or_default(),
            Way::Sms => twilio().unwrap_or_else(|| config.sms_number.clone()),
        }
    }

    fn message_id(&self, n: u64, content: &Content) -> String {
        let run = self.sim.record.run();
        match self.way {
            Way::Whatsapp => super::whatsapp::message_id(run, 50_000_000_000 + n),
            Way::Sms => {
                let prefix = if content.files().is_empty() { "SM" } else { "MM" };
                format!("{prefix}{run}{:016x}", 0xf000_0000_0000_0000_u64 + n)
            }
        }
    }

    /// Keeps the files for the product to fetch.
    fn store(&self, message: &str, content: &Content) -> Vec<StoredMedia> {
        let own = self.sim.own_url.as_str();
        let account = self.sim.config.twilio.first().map_or("", |account| account.account_sid.as_str());
        let keep = |media: &Media| {
            let id = |n: u64| match self.way {
                Way::Whatsapp => format!("{:015}", 500_000_000_000_000 + n),
                Way::Sms => format!("ME{:032x}", n),
            };
            let id = self.sim.media.keep(&media.mime_type, media.content.clone().into(), id);
            let sha256 = self.sim.media.get(&id).map(|medium| medium.sha256).unwrap_or_default();
            let url = match self.way {
                Way::Whatsapp => media.with_url.then(|| self.sim.media.url(own, &id)),
                Way::Sms => {
                    Some(format!("{own}/twilio/2010-04-01/Accounts/{account}/Messages/{message}/Media/{id}"))
                }
            };
            StoredMedia { id, sha256, url }
        };
        content.files().iter().map(keep).collect()
    }
}

impl Sim {
    /// A customer's message by HTTP; answers the provider's id of it.
    pub(super) fn order(self: &Arc<Self>, phone: &str, order: InboundOrder) -> String {
        let customer = Customer {
            sim: self.clone(),
            phone: phone_form(phone),
            way: order.via,
            to: order.to,
            reply_to: order.reply_to,
            at: None,
        };
        customer.says(order.content)
    }
}

/// A reply that the guest platform sends us: `POST /_sim/guest/replies`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuestReply {
    pub thread_id: String,
    /// The platform's id of the message; the same again is the same message.
    pub external_message_id: String,
    pub body: String,
    #[serde(default)]
    pub attachments: Vec<String>,
    /// `{uid, name}` of who wrote it.
    pub author: Option<Value>,
}

impl GuestReply {
    /// A text.
    pub fn new(thread_id: &str, external_message_id: &str, body: &str) -> Self {
        Self {
            thread_id: thread_id.to_owned(),
            external_message_id: external_message_id.to_owned(),
            body: body.to_owned(),
            attachments: Vec::new(),
            author: None,
        }
    }
}

impl Simulator {
    /// The guest platform sends a reply to `/webhooks/guest`, signed by Standard Webhooks; answers its webhook id.
    pub fn guest_replies(&self, reply: GuestReply) -> String {
        courier::bring_reply(&self.sim, reply)
    }
}

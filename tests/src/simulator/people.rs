//! What the customers are and did: their windows, whom they asked to stop, and by which names providers know them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::record::phone_form;

/// How long a customer's message lets a business write freely.
const WINDOW: TimeDelta = TimeDelta::hours(24);
/// The same after an answer to who clicked an ad.
const FREE_ENTRY: TimeDelta = TimeDelta::hours(72);

/// By which names WhatsApp knows a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Identity {
    /// The digits by which WhatsApp knows the phone, where they differ from those that are written to.
    pub wa_id: Option<String>,
    /// The business-scoped user id, such as `US.13491208655302741918`.
    pub user_id: Option<String>,
    /// The business-scoped id of the parent account.
    pub parent_user_id: Option<String>,
    pub username: Option<String>,
    /// The name of the profile.
    pub name: Option<String>,
    /// Webhooks name the user id only: no `from`, no `wa_id`.
    pub hides_phone: bool,
}

/// A business number and a customer's phone.
type Pair = (String, String);

#[derive(Default)]
pub(super) struct People(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    windows: HashMap<Pair, Window>,
    stopped: HashSet<Pair>,
    no_marketing: HashSet<Pair>,
    identities: HashMap<String, Identity>,
}

#[derive(Clone, Copy)]
struct Window {
    until: DateTime<Utc>,
    /// The customer came by an ad, and no business message has followed yet.
    by_ad: bool,
}

fn pair(number: &str, phone: &str) -> Pair {
    (number.to_owned(), phone_form(phone))
}

impl People {
    /// The customer wrote to `number` at `at`, perhaps by way of an ad.
    pub(super) fn wrote(&self, number: &str, phone: &str, at: DateTime<Utc>, by_ad: bool) {
        let mut inner = self.0.lock();
        let window = inner.windows.entry(pair(number, phone)).or_insert(Window { until: at, by_ad });
        window.until = window.until.max(at + WINDOW);
        window.by_ad |= by_ad;
    }

    /// The business wrote to the customer, which opens the free entry of an ad.
    pub(super) fn was_answered(&self, number: &str, phone: &str, at: DateTime<Utc>) {
        if let Some(window) = self.0.lock().windows.get_mut(&pair(number, phone))
            && std::mem::take(&mut window.by_ad)
            && at < window.until
        {
            window.until = window.until.max(at + FREE_ENTRY);
        }
    }

    /// Closes the window now.
    pub(super) fn close_window(&self, number: &str, phone: &str) {
        self.0.lock().windows.remove(&pair(number, phone));
    }

    /// Until when `number` may write to the customer freely, if it may at `now`.
    pub(super) fn window(&self, number: &str, phone: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.0.lock().windows.get(&pair(number, phone))?.until;
        (now < until).then_some(until)
    }

    /// Takes in one of Twilio's words; answers what it did: `STOP`, `START` or `HELP`.
    pub(super) fn hear(&self, number: &str, phone: &str, text: &str) -> Option<&'static str> {
        let word = text.trim().to_ascii_uppercase();
        let mut inner = self.0.lock();
        match word.as_str() {
            "STOP" | "STOPALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "REVOKE" | "OPTOUT" => {
                inner.stopped.insert(pair(number, phone));
                Some("STOP")
            }
            "START" | "UNSTOP" | "YES" => {
                inner.stopped.remove(&pair(number, phone));
                Some("START")
            }
            "HELP" | "INFO" => Some("HELP"),
            _ => None,
        }
    }

    pub(super) fn has_stopped(&self, number: &str, phone: &str) -> bool {
        self.0.lock().stopped.contains(&pair(number, phone))
    }

    /// The customer stops marketing messages of `number`, or takes that back.
    pub(super) fn stop_marketing(&self, number: &str, phone: &str, stop: bool) {
        let mut inner = self.0.lock();
        match stop {
            true => inner.no_marketing.insert(pair(number, phone)),
            false => inner.no_marketing.remove(&pair(number, phone)),
        };
    }

    pub(super) fn refuses_marketing(&self, number: &str, phone: &str) -> bool {
        self.0.lock().no_marketing.contains(&pair(number, phone))
    }

    pub(super) fn identify(&self, phone: &str, identity: Identity) {
        self.0.lock().identities.insert(phone_form(phone), identity);
    }

    pub(super) fn identity(&self, phone: &str) -> Identity {
        self.0.lock().identities.get(&phone_form(phone)).cloned().unwrap_or_default()
    }

    /// The phone behind a business-scoped user id.
    pub(super) fn phone_of(&self, user_id: &str) -> Option<String> {
        let inner = self.0.lock();
        let found = inner.identities.iter().find(|(_, one)| one.user_id.as_deref() == Some(user_id));
        found.map(|(phone, _)| phone.clone())
    }

    /// All of it, for people who look.
    pub(super) fn shown(&self) -> Value {
        let inner = self.0.lock();
        let pairs = |pairs: &HashSet<Pair>| {
            let mut shown: Vec<Value> =
                pairs.iter().map(|(number, phone)| json!({"number": number, "customer": phone})).collect();
            shown.sort_by_key(Value::to_string);
            shown
        };
        let mut windows: Vec<Value> = inner
            .windows
            .iter()
            .map(|((number, phone), window)| {
                json!({"number": number, "customer": phone, "until": window.until, "byAd": window.by_ad})
            })
            .collect();
        windows.sort_by_key(Value::to_string);
        json!({
            "windows": windows, "stopped": pairs(&inner.stopped), "noMarketing": pairs(&inner.no_marketing),
            "identities": inner.identities,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "1";
    const EVA: &str = "+316";

    #[test]
    fn a_message_opens_the_window_for_a_day_and_an_ad_for_three_once_answered() {
        let (people, now) = (People::default(), Utc::now());
        let hours = |hours| now + TimeDelta::hours(hours);
        assert!(people.window(NUMBER, EVA, now).is_none());
        people.wrote(NUMBER, "316", now, false);
        assert!(people.window(NUMBER, EVA, hours(23)).is_some());
        assert!(people.window(NUMBER, EVA, hours(24)).is_none());
        assert!(people.window("2", EVA, now).is_none());
        people.was_answered(NUMBER, EVA, hours(1));
        assert!(people.window(NUMBER, EVA, hours(25)).is_none(), "our own messages extend nothing");
        people.wrote(NUMBER, EVA, now, true);
        assert!(people.window(NUMBER, EVA, hours(25)).is_none());
        people.was_answered(NUMBER, EVA, hours(1));
        assert_eq!(people.window(NUMBER, EVA, hours(72)), Some(hours(73)));
        people.close_window(NUMBER, EVA);
        assert!(people.window(NUMBER, EVA, now).is_none());
    }

    #[test]
    fn stop_and_start_are_words_alone() {
        let people = People::default();
        assert_eq!(people.hear(NUMBER, EVA, " stop "), Some("STOP"));
        assert!(people.has_stopped(NUMBER, "316"));
        assert_eq!(people.hear(NUMBER, EVA, "please stop"), None);
        assert_eq!(people.hear(NUMBER, EVA, "Start"), Some("START"));
        assert!(!people.has_stopped(NUMBER, EVA));
    }
}

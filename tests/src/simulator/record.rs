//! The append-only record of everything a provider accepted: the only judge of duplicates.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::statuses::Step;

/// The three providers that are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Whatsapp,
    Twilio,
    Guest,
}

/// A send as a provider understood it, before it is accepted.
#[derive(Clone, Default)]
pub(super) struct Message {
    pub(super) key: Option<String>,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) body: String,
    pub(super) kind: String,
    pub(super) payload: Option<Value>,
    pub(super) callback: Option<String>,
    /// What the provider's answer needs beyond the fields above.
    pub(super) echo: BTreeMap<&'static str, String>,
    pub(super) headers: BTreeMap<&'static str, String>,
    pub(super) raw: Bytes,
}

/// One send that was accepted. Its `Debug` shows ids only; the record itself holds what was sent.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// 1, 2, 3 … in the order of acceptance.
    pub n: u64,
    /// One start of a simulator; (run, n) is unique in a file that several runs append to.
    #[serde(serialize_with = "as_text")]
    pub run: Arc<str>,
    pub at: DateTime<Utc>,
    pub provider: Provider,
    /// `{job}.{attempt}` from the opaque data or the callback's query; the webhook id at the guest platform.
    pub key: Option<String>,
    /// The job within `key`.
    pub job: Option<String>,
    /// The attempt within `key`.
    pub attempt: Option<u32>,
    /// The recipient as `+digits`; the thread id at the guest platform.
    pub to: String,
    /// The phone number id, the Twilio sender, or the author at the guest platform.
    pub from: String,
    pub body: String,
    /// `text`, `template`, `sms`, `message.created` …
    pub kind: String,
    /// What was sent, whole, where it is more than a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The id the provider answered with.
    pub provider_id: String,
    /// The guest platform had this webhook id before and took it as a repetition.
    pub duplicate: bool,
    /// The request headers that matter, without credentials.
    pub headers: BTreeMap<&'static str, String>,
    /// The body as it came, where it is signed: that of an event at the guest platform; else empty.
    #[serde(skip)]
    pub raw: Bytes,
    #[serde(skip)]
    pub(super) callback: Option<String>,
    #[serde(skip)]
    pub(super) echo: BTreeMap<&'static str, String>,
    #[serde(skip)]
    pub(super) steps: Arc<[Step]>,
}

impl Accepted {
    /// The digits by which WhatsApp knows the recipient.
    pub(super) fn wa_id(&self) -> &str {
        let known = self.echo.get("wa_id").map_or(self.to.as_str(), String::as_str);
        known.trim_start_matches('+')
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("n", &self.n)
            .field("provider", &self.provider)
            .field("key", &self.key)
            .field("provider_id", &self.provider_id)
            .field("duplicate", &self.duplicate)
            .finish_non_exhaustive()
    }
}

/// The record, its indexes and the signal that it grew.
pub(super) struct Record {
    inner: Mutex<Inner>,
    grown: watch::Sender<u64>,
    run: Arc<str>,
}

#[derive(Default)]
struct Inner {
    all: Vec<Arc<Accepted>>,
    by_job: HashMap<(Provider, String), Vec<usize>>,
    by_to: HashMap<String, Vec<usize>>,
    by_provider_id: HashMap<String, usize>,
    file: Option<File>,
}

impl Record {
    /// # Errors
    /// When `file` cannot be opened for appending.
    pub(super) fn open(file: Option<&Path>) -> io::Result<Self> {
        let file = match file {
            Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
            None => None,
        };
        let run = format!("{:016x}", rand::random::<u64>());
        Ok(Self {
            inner: Mutex::new(Inner { file, ..Inner::default() }),
            grown: watch::Sender::new(0),
            run: run.into(),
        })
    }

    /// Sixteen hex digits, different at each start.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Appends one send; the provider's id is made from its number.
    ///
    /// # Errors
    /// When the file does not take the line; then nothing was accepted.
    pub(super) fn append(
        &self,
        provider: Provider,
        message: Message,
        steps: Arc<[Step]>,
        provider_id: impl FnOnce(u64, &Message) -> String,
    ) -> io::Result<Arc<Accepted>> {
        let mut inner = self.inner.lock();
        let index = inner.all.len();
        let n = index as u64 + 1;
        let (job, attempt) = split_key(provider, message.key.as_deref());
        let repeated = job.as_ref().and_then(|job| inner.by_job.get(&(provider, job.clone())));
        let accepted = Arc::new(Accepted {
            n,
            run: self.run.clone(),
            at: Utc::now(),
            provider,
            provider_id: provider_id(n, &message),
            duplicate: provider == Provider::Guest && repeated.is_some(),
            key: message.key,
            job,
            attempt,
            to: message.to,
            from: message.from,
            body: message.body,
            kind: message.kind,
            payload: message.payload,
            headers: message.headers,
            raw: message.raw,
            callback: message.callback,
            echo: message.echo,
            steps,
        });
        if let Some(file) = &mut inner.file {
            let mut line = serde_json::to_vec(&*accepted)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        inner.index(index, &accepted);
        inner.all.push(accepted.clone());
        drop(inner);
        self.grown.send_replace(n);
        Ok(accepted)
    }

    pub(super) fn all(&self) -> Vec<Arc<Accepted>> {
        self.inner.lock().all.clone()
    }

    /// Those with a number above `after`, at most `limit`.
    pub(super) fn after(&self, after: u64, limit: usize) -> Vec<Arc<Accepted>> {
        let inner = self.inner.lock();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(inner.all.len());
        inner.all[from..].iter().take(limit).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.inner.lock().all.len()
    }

    /// All sends of one job, in order.
    pub(super) fn of_job(&self, provider: Provider, job: &str) -> Vec<Arc<Accepted>> {
        let inner = self.inner.lock();
        let found = inner.by_job.get(&(provider, job.to_owned()));
        found.map(|found| found.iter().map(|index| inner.all[*index].clone()).collect()).unwrap_or_default()
    }

    /// All sends to one recipient, in order; `to` may be written with or without its plus.
    pub(super) fn to(&self, to: &str) -> Vec<Arc<Accepted>> {
        let inner = self.inner.lock();
        let found = inner.by_to.get(&phone_form(to));
        found.map(|found| found.iter().map(|index| inner.all[*index].clone()).collect()).unwrap_or_default()
    }

    pub(super) fn by_provider_id(&self, id: &str) -> Option<Arc<Accepted>> {
        let inner = self.inner.lock();
        inner.by_provider_id.get(id).map(|index| inner.all[*index].clone())
    }

    /// Jobs that were accepted more than once, with their sends.
    pub(super) fn repeated(&self) -> Vec<Repeated> {
        let inner = self.inner.lock();
        let mut repeated: Vec<Repeated> = inner
            .by_job
            .iter()
            .filter(|(_, found)| found.len() > 1)
            .map(|((provider, job), found)| Repeated {
                provider: *provider,
                job: job.clone(),
                numbers: found.iter().map(|index| inner.all[*index].n).collect(),
            })
            .collect();
        repeated.sort_by(|a, b| a.numbers.cmp(&b.numbers));
        repeated
    }

    /// A receiver that changes whenever the record grew.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

/// A job whose message a provider accepted more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repeated {
    pub provider: Provider,
    pub job: String,
    /// The numbers of its sends in the record.
    pub numbers: Vec<u64>,
}

impl Inner {
    fn index(&mut self, index: usize, accepted: &Accepted) {
        if let Some(job) = &accepted.job {
            self.by_job.entry((accepted.provider, job.clone())).or_default().push(index);
        }
        self.by_to.entry(accepted.to.clone()).or_default().push(index);
        self.by_provider_id.insert(accepted.provider_id.clone(), index);
    }
}

/// `{job}.{attempt}` in its two parts; a key without an attempt is the job itself.
fn split_key(provider: Provider, key: Option<&str>) -> (Option<String>, Option<u32>) {
    let Some(key) = key else { return (None, None) };
    if provider != Provider::Guest
        && let Some((job, attempt)) = key.rsplit_once('.')
        && let Ok(attempt) = attempt.parse()
    {
        return (Some(job.to_owned()), Some(attempt));
    }
    (Some(key.to_owned()), None)
}

fn as_text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// One spelling for a phone: `+digits`; anything else stays as it is.
pub(super) fn phone_form(text: &str) -> String {
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix('+').unwrap_or(trimmed);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("+{digits}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_at_its_attempt() {
        let both = (Some("01J".to_owned()), Some(3));
        assert_eq!(split_key(Provider::Whatsapp, Some("01J.3")), both);
        assert_eq!(split_key(Provider::Whatsapp, Some("01J")), (Some("01J".to_owned()), None));
        assert_eq!(split_key(Provider::Guest, Some("01J.3")), (Some("01J.3".to_owned()), None));
    }

    #[test]
    fn phones_have_one_spelling() {
        assert_eq!(phone_form("31612345678"), "+31612345678");
        assert_eq!(phone_form(" 31612345678"), "+31612345678");
        assert_eq!(phone_form("whatsapp:+316"), "whatsapp:+316");
    }
}

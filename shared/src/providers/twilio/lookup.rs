//! Finds messages that Twilio did take, after an answer was lost.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Client, MessageStatus, TwilioChannel, is_service, messages_url};
use crate::providers::phone::Phone;
use crate::providers::transport::Lost;

/// Messages per page, and pages: far more than one phone gets in the time we look back.
const PAGE_SIZE: usize = 100;
const PAGES_MAX: usize = 5;
/// Trial accounts put this before every text.
const TRIAL_PREFIX: &str = "Sent from your Twilio trial account - ";

/// A message in Twilio's list.
#[derive(Clone, PartialEq, Eq)]
pub struct SentMessage {
    pub sid: String,
    pub from: String,
    pub body: String,
    pub status: MessageStatus,
    pub error_code: Option<String>,
    pub date_created: DateTime<Utc>,
}

/// The messages to one phone since some time, newest first.
#[derive(Debug, Clone)]
pub struct Listing {
    pub messages: Vec<SentMessage>,
    /// The list reached back to the wanted time: only then is absence a proof.
    pub complete: bool,
}

/// The list could not be read; it may be asked for again at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No answer, or not a readable one.
    #[error("twilio list: no readable answer")]
    Unreadable,
    /// Another status than 200.
    #[error("twilio list: status {0}")]
    Status(u16),
    /// The channel's address is not allowed.
    #[error("twilio list: address refused")]
    Blocked,
}

impl Listing {
    /// Those that `channel` sent with the text `body`. A messaging service picks the sender itself.
    pub fn matching<'a>(
        &'a self,
        channel: &'a TwilioChannel,
        body: &'a str,
    ) -> impl Iterator<Item = &'a SentMessage> {
        let from = (!is_service(&channel.from)).then_some(channel.from.as_str());
        self.messages.iter().filter(move |message| {
            let sent = message.body.strip_prefix(TRIAL_PREFIX).unwrap_or(&message.body);
            from.is_none_or(|from| message.from == from) && sent.trim() == body.trim()
        })
    }
}

impl Client {
    /// Lists the messages to `to` created at or after `since`.
    ///
    /// The query has no `DateSent`: a message that still waits at Twilio has none, and must not look absent.
    pub async fn find_recent(
        &self,
        channel: &TwilioChannel,
        to: &Phone,
        since: DateTime<Utc>,
    ) -> Result<Listing, LookupError> {
        let mut listing = Listing { messages: Vec::new(), complete: false };
        let mut token: Option<(usize, String)> = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(channel, to, token.as_ref()).await?;
            let rows = page.get("messages").and_then(Value::as_array).ok_or(LookupError::Unreadable)?;
            let found: Option<Vec<_>> = rows.iter().map(SentMessage::read).collect();
            let found = found.ok_or(LookupError::Unreadable)?;
            let reached = found.last().is_none_or(|oldest| oldest.date_created < since);
            listing.messages.extend(found.into_iter().filter(|message| message.date_created >= since));
            if reached || page.get("next_page_uri").is_none_or(Value::is_null) {
                listing.complete = true;
                break;
            }
            token = Some(next_page(&page).ok_or(LookupError::Unreadable)?);
        }
        Ok(listing)
    }

    async fn page(
        &self,
        channel: &TwilioChannel,
        to: &Phone,
        token: Option<&(usize, String)>,
    ) -> Result<Value, LookupError> {
        let mut url = messages_url(channel).ok_or(LookupError::Blocked)?;
        let size = PAGE_SIZE.to_string();
        url.query_pairs_mut().append_pair("To", to.expose()).append_pair("PageSize", &size);
        if let Some((page, token)) = token {
            url.query_pairs_mut().append_pair("Page", &page.to_string()).append_pair("PageToken", token);
        }
        let request = self.transport.client(channel.trust).get(url);
        let request = request.basic_auth(&channel.account_sid, Some(channel.auth_token.expose()));
        let reply = self.transport.exchange(channel.trust, request).await.map_err(|lost| match lost {
            Lost::Blocked(_) => LookupError::Blocked,
            Lost::NotSent | Lost::AfterWrite(_) => LookupError::Unreadable,
        })?;
        if reply.status != 200 {
            return Err(LookupError::Status(reply.status));
        }
        reply.json().ok_or(LookupError::Unreadable)
    }
}

impl SentMessage {
    fn read(row: &Value) -> Option<Self> {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let error_code = row.get("error_code").filter(|code| !code.is_null());
        Some(Self {
            sid: text("sid")?.to_owned(),
            from: text("from").unwrap_or_default().to_owned(),
            body: text("body").unwrap_or_default().to_owned(),
            status: MessageStatus::parse(text("status").unwrap_or_default()),
            error_code: error_code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned)),
            date_created: DateTime::parse_from_rfc2822(text("date_created")?).ok()?.to_utc(),
        })
    }
}

/// The page number and token of `next_page_uri`. Only they are taken: the address stays the configured one.
fn next_page(page: &Value) -> Option<(usize, String)> {
    let (_, query) = page.get("next_page_uri")?.as_str()?.split_once('?')?;
    let pairs = super::parse_form(query.as_bytes());
    let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    Some((get("Page")?.parse().ok()?, get("PageToken")?))
}

impl fmt::Debug for SentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentMessage")
            .field("sid", &self.sid)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

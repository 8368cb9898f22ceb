//! What a provider makes of a request, whichever provider it is.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method};

use super::record::Message;
use super::reply::Reply;

/// Request headers that are kept in the record.
const HEADERS_KEPT: &[&str] = &[
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-request-id",
    "traceparent",
    "i-twilio-idempotency-token",
];

/// A request that was read to its end.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// The text of a header, when it is there once and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The headers that the record keeps.
    pub(super) fn kept_headers(&self) -> BTreeMap<&'static str, String> {
        let kept = HEADERS_KEPT.iter();
        kept.filter_map(|name| Some((*name, self.header(name)?.to_owned()))).collect()
    }
}

/// A verdict: the message as far as it could be read, and why it is not accepted, if it is not.
pub(super) struct Judged {
    pub(super) message: Message,
    pub(super) refusal: Option<Refusal>,
    /// An answer that is no acceptance and no error, such as that to a read mark.
    pub(super) aside: Option<Reply>,
}

impl Judged {
    pub(super) fn new(message: Message, refusal: Option<Refusal>) -> Self {
        Self { message, refusal, aside: None }
    }
}

/// An error that a provider answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Without it: the status that belongs to the code.
    pub(super) status: Option<u16>,
    pub(super) code: Option<u32>,
    /// The provider's words; its title of the code when empty.
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn code(code: u32, detail: impl Into<String>) -> Self {
        Self { status: None, code: Some(code), detail: detail.into() }
    }
}

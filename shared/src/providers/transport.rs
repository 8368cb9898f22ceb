//! One HTTP exchange with a provider: what was certainly not sent, what was answered, what is lost.
//!
//! The rule that everything else rests on: **only an error of connecting proves that nothing was sent.**
//! hyper repeats a request by itself only when it takes it back unread from the queue of a reused
//! connection that the peer had closed, thus before its first byte (hyper `client/dispatch.rs`, `Envelope`;
//! hyper-util `TrySendError::Retryable`). reqwest's own retries (HTTP/2 only) are off, as are redirects.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, redirect, retry};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::outcome::UnknownCause;
use super::{retry_after, ssrf};

/// Limits of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct TransportOptions {
    /// From the start to the last byte of the answer.
    pub deadline: Duration,
    /// For DNS, TCP and TLS together; kept below half the deadline so that it ends as "not sent".
    pub connect_timeout: Duration,
    /// The longest answer that is read.
    pub reply_bytes_max: usize,
    /// Private addresses and plain http in URLs of clients (tests).
    pub allow_private: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            reply_bytes_max: 256 * 1024,
            allow_private: false,
        }
    }
}

/// Who set a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The operator's configuration: any address.
    Configured,
    /// A client of the API: passes the address guard.
    FromClient,
}

/// The connections of one process to the providers; clones share them.
#[derive(Debug, Clone)]
pub struct Transport {
    configured: Client,
    guarded: Client,
    options: TransportOptions,
}

/// An answer; `body` may have been lost on the way.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Vec<u8>, UnknownCause>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing was written: name, connection or TLS failed.
    NotSent,
    /// Nothing was written: the address guard or the URL itself forbids it.
    Blocked(&'static str),
    /// The request may have been read.
    AfterWrite(UnknownCause),
}

impl Transport {
    /// Builds both pools. Fails only when TLS cannot be set up.
    pub fn new(options: TransportOptions) -> Result<Self, reqwest::Error> {
        let options = TransportOptions {
            connect_timeout: options.connect_timeout.min(options.deadline / 2),
            ..options
        };
        let guard = Arc::new(ssrf::GuardedResolver::new(options.allow_private));
        Ok(Self {
            configured: builder(&options).build()?,
            guarded: builder(&options).dns_resolver(guard).build()?,
            options,
        })
    }

    /// The limits in force.
    pub fn options(&self) -> &TransportOptions {
        &self.options
    }

    pub(super) fn client(&self, trust: Trust) -> &Client {
        match trust {
            Trust::Configured => &self.configured,
            Trust::FromClient => &self.guarded,
        }
    }

    /// Sends `request` and reads the answer, all within the deadline.
    pub(super) async fn exchange(&self, trust: Trust, request: RequestBuilder) -> Result<Reply, Lost> {
        let deadline = Instant::now() + self.options.deadline;
        let request = request.build().map_err(|_| Lost::Blocked("invalid request"))?;
        self.check_address(trust, &request)?;
        let sent = timeout_at(deadline, self.client(trust).execute(request)).await;
        let response = match sent {
            Err(_) => return Err(Lost::AfterWrite(UnknownCause::Timeout)),
            Ok(Err(error)) => return Err(lost(&error)),
            Ok(Ok(response)) => response,
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = timeout_at(deadline, read(response, self.options.reply_bytes_max)).await;
        Ok(Reply { status, headers, body: body.unwrap_or(Err(UnknownCause::Timeout)) })
    }

    /// Literal addresses never reach the resolver, so they are looked at here.
    fn check_address(&self, trust: Trust, request: &Request) -> Result<(), Lost> {
        match trust {
            Trust::Configured => Ok(()),
            Trust::FromClient => ssrf::check(request.url(), self.options.allow_private)
                .map_err(|why| Lost::Blocked(why.as_str())),
        }
    }
}

impl Reply {
    /// The wish of the `Retry-After` header.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after::parse(self.headers.get(RETRY_AFTER)?.to_str().ok()?, Utc::now())
    }

    /// The body as JSON, if it is whole and is JSON.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.body.as_ref().ok()?).ok()
    }

    /// 2xx.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// `base` with `segments` appended to its path, whether or not it ends in a slash.
pub(super) fn join(base: &Url, segments: &[&str]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
    Some(url)
}

fn builder(options: &TransportOptions) -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("bellhop/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        // A proxy would connect for us, past the guard.
        .no_proxy()
        .http1_only()
        // Other crates of the tree turn decompression on: a small answer must not become a large one.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .tcp_nodelay(true)
        .connect_timeout(options.connect_timeout)
        // Below the usual 60 s of load balancers: an idle connection closed under a request is an unknown outcome.
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(64)
}

fn lost(error: &reqwest::Error) -> Lost {
    if let Some(why) = ssrf::blocked(error) {
        Lost::Blocked(why.as_str())
    } else if error.is_connect() || error.is_builder() {
        Lost::NotSent
    } else if error.is_timeout() {
        Lost::AfterWrite(UnknownCause::Timeout)
    } else {
        Lost::AfterWrite(UnknownCause::ConnectionLost)
    }
}

async fn read(mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, UnknownCause> {
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(UnknownCause::UnreadableAnswer);
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > bytes_max => {
                return Err(UnknownCause::UnreadableAnswer);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err(UnknownCause::UnreadableAnswer),
        }
    }
}

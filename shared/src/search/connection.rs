//! The handle and its one way of asking: every request has a time limit, and every failure a class.

use std::sync::Arc;
use std::time::Duration;

use elasticsearch::Elasticsearch;
use elasticsearch::auth::Credentials;
use elasticsearch::http::Method;
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::error::{SearchDown, safe_kind};
use super::mapping::IndexKind;

/// How indices are made and how long to wait.
#[derive(Debug, Clone)]
pub struct IndexSettings {
    /// Primary shards of a new index. Default 1.
    pub shards: u16,
    /// Replicas of a new index where there are nodes to hold them. Default 1.
    pub replicas: u16,
    /// Limit for one bulk or index change. Default 10 s.
    pub write_timeout: Duration,
    /// Limit for one search. Default 3 s.
    pub search_timeout: Duration,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            shards: 1,
            replicas: 1,
            write_timeout: Duration::from_secs(10),
            search_timeout: Duration::from_secs(3),
        }
    }
}

/// The search indices of one installation. Cheap to clone; holds no connection until it is used.
#[derive(Clone)]
pub struct SearchIndex {
    client: Elasticsearch,
    prefix: Arc<str>,
    pub(super) settings: IndexSettings,
    /// One repair of the indices at a time in this process.
    pub(super) repair: Arc<Mutex<()>>,
}

/// Shows the prefix; the URL may hold credentials.
impl std::fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchIndex").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl SearchIndex {
    /// Prepares a handle; nothing is asked yet, so it succeeds with Elasticsearch away.
    ///
    /// `url` may carry `user:password@`. `prefix` stands before all names: `[a-z0-9][a-z0-9_-]*`, at most 100, or empty.
    ///
    /// # Errors
    /// When `url` or `prefix` is malformed; the text names neither credentials nor host.
    pub fn new(url: &str, prefix: &str) -> anyhow::Result<Self> {
        let mut url =
            Url::parse(url).map_err(|_| anyhow::anyhow!("the elasticsearch url cannot be parsed"))?;
        anyhow::ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "the elasticsearch url must be http:// or https://"
        );
        anyhow::ensure!(
            is_prefix(prefix),
            "an index prefix is lower case letters, digits, - and _, at most 100"
        );
        let credentials = take_credentials(&mut url)?;
        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(url))
            .disable_proxy() // a proxy for the internet must not see what is searched
            .request_body_compression(false);
        if let Some(credentials) = credentials {
            transport = transport.auth(credentials);
        }
        let transport =
            transport.build().map_err(|_| anyhow::anyhow!("the elasticsearch client cannot be built"))?;
        Ok(Self {
            client: Elasticsearch::new(transport),
            prefix: prefix.into(),
            settings: IndexSettings::default(),
            repair: Arc::default(),
        })
    }

    /// The same handle with other settings.
    #[must_use]
    pub fn with_settings(mut self, settings: IndexSettings) -> Self {
        self.settings = settings;
        self
    }

    /// How long a search may take.
    pub fn search_timeout(&self) -> Duration {
        self.settings.search_timeout
    }

    /// The alias of one index, `{prefix}threads` or `{prefix}messages`.
    pub fn alias(&self, kind: IndexKind) -> String {
        format!("{}{}", self.prefix, kind.name())
    }

    pub(super) async fn read(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, SearchDown> {
        let body = serde_json::to_vec(body).map_err(|_| SearchDown::Unreadable)?;
        self.call(Method::Post, path, query, Some(body), self.settings.search_timeout).await
    }

    /// Sends one request. 2xx, 400, 404 and 413 are answers, everything else is [`SearchDown`].
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Answer, SearchDown> {
        let response = self
            .client
            .send(method, path, HeaderMap::new(), Some(query), body, Some(timeout))
            .await
            .map_err(|error| unsent(&error))?;
        let status = response.status_code().as_u16();
        let body = response.bytes().await.map_err(|error| unsent(&error))?;
        let answer = Answer { status, body: body.to_vec() };
        match status {
            200..=299 | 400 | 404 | 413 => Ok(answer),
            401 | 403 => Err(SearchDown::Refused { status }),
            408 | 504 => Err(SearchDown::Timeout),
            429 => Err(SearchDown::Overloaded),
            _ => Err(answer.failed()),
        }
    }
}

fn unsent(error: &elasticsearch::Error) -> SearchDown {
    if error.is_timeout() { SearchDown::Timeout } else { SearchDown::Unreachable }
}

/// An answer whose meaning depends on the question.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reason {
    Named {
        #[serde(rename = "type")]
        kind: String,
    },
    Text(serde::de::IgnoredAny),
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Elasticsearch's name for the error.
    pub(super) fn kind(&self) -> String {
        match serde_json::from_slice::<Refusal>(&self.body) {
            Ok(Refusal { error: Reason::Named { kind } }) => safe_kind(&kind),
            Ok(Refusal { error: Reason::Text(_) }) | Err(_) => "unnamed".to_owned(),
        }
    }

    pub(super) fn failed(&self) -> SearchDown {
        SearchDown::Failed { status: self.status, kind: self.kind() }
    }

    /// The body of a 2xx.
    pub(super) fn accepted<T: DeserializeOwned>(&self) -> Result<T, SearchDown> {
        if !self.is_success() {
            return Err(self.failed());
        }
        serde_json::from_slice(&self.body).map_err(|_| SearchDown::Unreadable)
    }
}

fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= 100
        && !prefix.starts_with(['-', '_'])
        && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn take_credentials(url: &mut Url) -> anyhow::Result<Option<Credentials>> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let password = url.password().unwrap_or_default();
    let credentials = Credentials::Basic(percent_decoded(url.username())?, percent_decoded(password)?);
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| anyhow::anyhow!("the elasticsearch url cannot carry credentials"))?;
    Ok(Some(credentials))
}

fn percent_decoded(text: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        bytes.extend(escaped.as_deref().unwrap_or(&[*first]));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("the elasticsearch credentials are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_address_or_prefix_is_refused_without_repeating_it() {
        for (url, prefix) in [
            ("127.0.0.1:9200", ""),
            ("ftp://u:hunter2@h", ""),
            ("http://u:hunter2@h:99999999", ""),
            ("http://h", "Hunter2"),
            ("http://h", "-x"),
            ("http://h", "a*"),
            ("http://h", "a,b"),
        ] {
            let error = format!("{:#}", SearchIndex::new(url, prefix).expect_err("refused"));
            assert!(!error.to_lowercase().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn credentials_leave_the_url() {
        let mut url = Url::parse("https://me%40x:a%26b+%C3%A9@host:9200/es").expect("a url");
        let Some(Credentials::Basic(user, password)) = take_credentials(&mut url).expect("taken") else {
            panic!("no credentials")
        };
        assert_eq!((user.as_str(), password.as_str()), ("me@x", "a&b+é"));
        assert_eq!(url.as_str(), "https://host:9200/es");
        let index = SearchIndex::new("http://u:hunter2@h", "p-").expect("a handle");
        assert!(!format!("{index:?}").contains("hunter2"));
    }
}

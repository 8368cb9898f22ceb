//! The JWKS of a file or URL: read at start, again every few minutes, and when a token names a key that
//! is not in it (at most once per [`PAUSE`]). While it cannot be read, the old keys go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::keys::KeySet;
use super::token::Token;

/// How often the set is read again.
const PERIOD: Duration = Duration::from_secs(300);
/// How often while there is no set yet.
const PERIOD_WITHOUT: Duration = Duration::from_secs(5);
/// Least time between two readings that unknown key ids cause.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest reading.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Largest document, in bytes.
const DOCUMENT_MAX: usize = 256 * 1024;

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file or URL gave nothing.
    #[error("cannot read the JWKS: {0}")]
    Unreadable(String),
    /// It is no JWKS, or has no key for RS256, ES256 or EdDSA.
    #[error("the JWKS has no key for RS256, ES256 or EdDSA")]
    NoKey,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url { url: String, client: reqwest::Client },
}

impl Source {
    fn new(source: &str) -> Result<Self, JwksError> {
        if !source.contains("://") {
            return Ok(Self::File(source.into()));
        }
        let builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        let client = builder.build().map_err(|e| JwksError::Unreadable(e.without_url().to_string()))?;
        Ok(Self::Url { url: source.to_owned(), client })
    }

    async fn read(&self) -> Result<KeySet, JwksError> {
        let unreadable = |e: reqwest::Error| JwksError::Unreadable(e.without_url().to_string());
        let text = match self {
            Self::File(path) => {
                tokio::fs::read(path).await.map_err(|e| JwksError::Unreadable(e.kind().to_string()))?
            }
            Self::Url { url, client } => {
                let answer = client.get(url).send().await.and_then(|answer| answer.error_for_status());
                let mut answer = answer.map_err(unreadable)?;
                let mut text = Vec::new();
                while let Some(chunk) = answer.chunk().await.map_err(unreadable)? {
                    text.extend_from_slice(&chunk);
                    if text.len() > DOCUMENT_MAX {
                        return Err(JwksError::Unreadable("larger than 256 KiB".into()));
                    }
                }
                text
            }
        };
        KeySet::from_json(&text).ok_or(JwksError::NoKey)
    }
}

/// The current keys and where they come from.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Source,
    keys: ArcSwap<KeySet>,
    /// When a token last made us read; one reads at a time.
    asked: Mutex<Option<Instant>>,
}

impl Jwks {
    pub(super) async fn start(source: &str) -> Result<Arc<Self>, JwksError> {
        let source = Source::new(source)?;
        let keys = match (source.read().await, &source) {
            (Ok(keys), _) => keys,
            (Err(error), Source::File(_)) => return Err(error),
            (Err(error), Source::Url { .. }) => {
                tracing::warn!(%error, "no jwks yet; asking again");
                KeySet::new(Vec::new())
            }
        };
        let jwks = Arc::new(Self { source, keys: ArcSwap::from_pointee(keys), asked: Mutex::new(None) });
        let weak = Arc::downgrade(&jwks);
        shared::task::spawn("auth.jwks", async move {
            loop {
                let Some(jwks) = weak.upgrade() else { return };
                let period = if jwks.keys.load().len() == 0 { PERIOD_WITHOUT } else { PERIOD };
                drop(jwks);
                tokio::time::sleep(period).await;
                let Some(jwks) = weak.upgrade() else { return };
                jwks.reload().await;
            }
        });
        Ok(jwks)
    }

    /// The keys to verify `token` with; read again first when none of them can be meant.
    pub(super) async fn keys_for(&self, token: &Token<'_>) -> Arc<KeySet> {
        let keys = self.keys.load_full();
        if keys.knows(token) {
            return keys;
        }
        let mut asked = self.asked.lock().await;
        let keys = self.keys.load_full();
        if keys.knows(token) || asked.is_some_and(|at| at.elapsed() < PAUSE) {
            return keys;
        }
        *asked = Some(Instant::now());
        self.reload().await;
        self.keys.load_full()
    }

    async fn reload(&self) {
        let outcome = match self.source.read().await {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                "ok"
            }
            Err(error) => {
                tracing::warn!(%error, "jwks not read; the old keys go on");
                "error"
            }
        };
        metrics::counter!("auth_jwks_reads_total", "outcome" => outcome).increment(1);
    }
}

//! Sessions that were found valid lately, so that the edge can count a customer's requests by its session instead
//! of by an address that it may share with a whole hotel.
//!
//! Only a bucket is chosen by this, never an entitlement: each request is authenticated by what is stored.

use std::sync::Arc;

use poem::Request;
use shared::credentials;

/// Sessions kept; who is pushed out is counted by its address once more.
const KNOWN_MAX: usize = 50_000;

/// Session ids by the digest of their secret. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct KnownSessions(Arc<quick_cache::sync::Cache<String, Arc<str>>>);

impl Default for KnownSessions {
    fn default() -> Self {
        Self(Arc::new(quick_cache::sync::Cache::new(KNOWN_MAX)))
    }
}

impl KnownSessions {
    /// The session that `request` names, if it was valid lately. Whoever opens one is counted by its address.
    pub(crate) fn of(&self, request: &Request) -> Option<Arc<str>> {
        if !request.uri().path().starts_with("/api/conversation-v2/support/user/") {
            return None;
        }
        let digest = credentials::digest_of_ours(session_header(request)?)?;
        self.0.get(&digest)
    }

    pub(super) fn note(&self, digest: String, session_id: &str) {
        if self.0.get(&digest).is_none() {
            self.0.insert(digest, Arc::from(session_id));
        }
    }
}

/// The session's secret: `support_session`, or `support-session` where a proxy drops names with an underscore.
pub(super) fn session_header(request: &Request) -> Option<&str> {
    request.header("support_session").or_else(|| request.header("support-session"))
}

//! The three servers: MongoDB, Redis, Elasticsearch.

use super::reader::Reader;
use super::sections::WEB;
use super::values::Secret;

/// Where everything is stored.
#[derive(Debug, Clone)]
pub struct Mongodb {
    /// Connection string; it may hold a password.
    pub uri: Secret,
    /// Database name.
    pub database: String,
}

impl Mongodb {
    pub(super) fn read(r: &mut Reader) -> Self {
        let uri = r.required("mongodb.uri");
        let known = ["mongodb://", "mongodb+srv://"].iter().any(|scheme| uri.starts_with(scheme));
        if !known && !uri.is_empty() {
            r.problem("mongodb.uri", "must begin with mongodb:// or mongodb+srv://");
        }
        let database = r.required("mongodb.database");
        if database.len() > 63 || database.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            r.problem("mongodb.database", "must be a database name of at most 63 letters, digits, _ and -");
        }
        Self { uri: Secret::new(uri), database }
    }
}

/// The queues' wake-up.
#[derive(Debug, Clone)]
pub struct Redis {
    /// URL; it may hold a password.
    pub url: Secret,
    /// Every key begins with it.
    pub prefix: String,
    /// Entries per stream before jobs wait in MongoDB only.
    pub stream_cap: usize,
}

impl Redis {
    pub(super) fn read(r: &mut Reader) -> Self {
        let url = r.required_url("redis.url", &["redis", "rediss"]);
        Self {
            url: Secret::new(url.as_str()),
            prefix: prefix(r, "redis.prefix"),
            stream_cap: r.number("redis.stream_cap", 1..=10_000_000) as usize,
        }
    }
}

/// The search engine.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    /// URL; it may hold a password.
    pub url: Secret,
    /// Every index and alias begins with it.
    pub prefix: String,
}

impl Elasticsearch {
    pub(super) fn read(r: &mut Reader) -> Self {
        let url = r.required_url("elasticsearch.url", WEB);
        Self { url: Secret::new(url.as_str()), prefix: prefix(r, "elasticsearch.prefix") }
    }
}

/// A prefix of keys and indices: what both servers take without quoting.
fn prefix(r: &mut Reader, key: &str) -> String {
    let text = r.required(key);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if text.len() > 64 || !text.chars().all(plain) || text.starts_with(['_', '-']) {
        r.problem(key, "must be at most 64 of a-z, 0-9, _ and -, and begin with a letter or digit");
    }
    text
}

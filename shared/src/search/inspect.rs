//! Looking at the indices: health for `/readyz`, counts and refresh for verification and tests.

use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::json;

use super::connection::SearchIndex;
use super::error::SearchDown;
use super::mapping::IndexKind;

/// How Elasticsearch and our indices stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Of the cluster.
    pub status: HealthStatus,
    /// Both aliases are served, so that writing and searching work.
    pub indices_ready: bool,
}

/// Elasticsearch's traffic light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All shards are served.
    Green,
    /// All data is served, some replicas are not.
    Yellow,
    /// Some data is not served.
    Red,
}

#[derive(Deserialize)]
struct ClusterHealth {
    status: HealthStatus,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

impl SearchIndex {
    /// Asks for the cluster's state and whether both aliases exist.
    pub async fn health(&self) -> Result<Health, SearchDown> {
        let timeout = self.settings.search_timeout;
        let cluster = self.call(Method::Get, "_cluster/health", &[("timeout", "1s")], None, timeout).await?;
        let ClusterHealth { status } = cluster.accepted()?;
        let aliases = IndexKind::ALL.map(|kind| self.alias(kind)).join(",");
        let answer = self.call(Method::Get, &format!("_alias/{aliases}"), &[], None, timeout).await?;
        Ok(Health { status, indices_ready: answer.is_success() })
    }

    /// Documents of one account that a search can find now.
    pub async fn count(&self, account: &str, kind: IndexKind) -> Result<u64, SearchDown> {
        let body = json!({ "query": { "term": { "accountId": account } } });
        let path = format!("{}/_count", self.alias(kind));
        let Count { count } = self.read(&path, &[("routing", account)], &body).await?.accepted()?;
        Ok(count)
    }

    /// Makes everything written so far findable at once. For tests and verification; costs a segment.
    pub async fn refresh(&self) -> Result<(), SearchDown> {
        let aliases = IndexKind::ALL.map(|kind| self.alias(kind)).join(",");
        let path = format!("{aliases}/_refresh");
        let answer = self.call(Method::Post, &path, &[], None, self.settings.write_timeout).await?;
        if answer.is_success() { Ok(()) } else { Err(answer.failed()) }
    }
}

//! Making the indices and aliases, as often and by as many processes at once as may be.

use std::collections::BTreeMap;

use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::SearchIndex;
use super::error::SearchDown;
use super::mapping::IndexKind;

/// Rounds of look-and-act per index; each lost race costs one.
const ROUNDS_MAX: usize = 8;

#[derive(Deserialize)]
pub(super) struct Found {
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, AliasFlags>,
}

#[derive(Deserialize)]
pub(super) struct AliasFlags {
    #[serde(default)]
    pub(super) is_write_index: bool,
}

/// How an alias stands.
enum Standing {
    /// It points to an index that takes writes.
    Served,
    /// An index is there, its alias is gone.
    Detached(String),
    Absent,
}

impl SearchIndex {
    /// Makes whatever is missing of both indices and their aliases, and adds new fields to existing ones.
    ///
    /// Idempotent; processes may race. Returns the indices that were made: they are empty and want a rebuild from
    /// MongoDB when it already holds messages.
    ///
    /// # Errors
    /// [`SearchDown`]; `Misplaced` when an index stands where the alias belongs or the alias has no index to write to;
    /// `Failed` with `illegal_argument_exception` when a field's type differs, which needs a rebuild.
    pub async fn ensure(&self) -> Result<Vec<IndexKind>, SearchDown> {
        let _alone = self.repair.lock().await;
        let mut made = Vec::new();
        for kind in IndexKind::ALL {
            if self.ensure_one(kind).await? {
                tracing::warn!(search.index = kind.name(), "made an empty search index");
                metrics::counter!("search_indices_made_total", "index" => kind.name()).increment(1);
                made.push(kind);
            }
        }
        Ok(made)
    }

    async fn ensure_one(&self, kind: IndexKind) -> Result<bool, SearchDown> {
        let mut made = false;
        for _ in 0..ROUNDS_MAX {
            match self.standing(kind).await? {
                Standing::Served => {
                    if self.widen(kind).await? {
                        return Ok(made);
                    }
                }
                Standing::Detached(index) => self.attach(kind, &index).await?,
                Standing::Absent => made = self.make(kind).await? || made,
            }
        }
        Err(SearchDown::Misplaced {
            alias: self.alias(kind),
            problem: "the index vanishes as soon as it is made",
        })
    }

    /// Deletes all indices of this prefix, by their full names. For tests and operators.
    pub async fn drop_all(&self) -> Result<(), SearchDown> {
        for kind in IndexKind::ALL {
            for index in self.numbered(kind).await?.into_keys() {
                let answer = self.change(Method::Delete, &index, &[], None).await?;
                if !answer.is_success() && answer.status != 404 {
                    return Err(answer.failed());
                }
            }
        }
        Ok(())
    }

    async fn standing(&self, kind: IndexKind) -> Result<Standing, SearchDown> {
        let alias = self.alias(kind);
        let found = self.numbered(kind).await?;
        let serving: Vec<bool> = found
            .values()
            .filter_map(|index| index.aliases.get(&alias))
            .map(|flags| flags.is_write_index)
            .collect();
        if serving.len() == 1 || serving.iter().filter(|writes| **writes).count() == 1 {
            return Ok(Standing::Served);
        }
        if !serving.is_empty() {
            return Err(SearchDown::Misplaced {
                alias,
                problem: "it has several indices and none to write to",
            });
        }
        Ok(found.into_keys().next_back().map_or(Standing::Absent, Standing::Detached))
    }

    /// The numbered indices of one kind, lowest first.
    pub(super) async fn numbered(&self, kind: IndexKind) -> Result<BTreeMap<String, Found>, SearchDown> {
        let alias = self.alias(kind);
        let query =
            [("expand_wildcards", "all"), ("ignore_unavailable", "true"), ("filter_path", "*.aliases")];
        let answer = self.change(Method::Get, &format!("{alias},{alias}-*"), &query, None).await?;
        if answer.status == 404 {
            return Ok(BTreeMap::new());
        }
        let mut found: BTreeMap<String, Found> = answer.accepted()?;
        if found.contains_key(&alias) {
            return Err(SearchDown::Misplaced { alias, problem: "an index has the alias's name" });
        }
        found.retain(|index, about| is_numbered(index, &alias) || about.aliases.contains_key(&alias));
        Ok(found)
    }

    async fn make(&self, kind: IndexKind) -> Result<bool, SearchDown> {
        let alias = self.alias(kind);
        self.make_named(kind, &format!("{alias}-000001"), &json!({ &alias: { "is_write_index": true } }))
            .await
    }

    /// True when this call made it, false when another was faster.
    pub(super) async fn make_named(
        &self,
        kind: IndexKind,
        name: &str,
        aliases: &Value,
    ) -> Result<bool, SearchDown> {
        let body = json!({
            "aliases": aliases,
            "settings": {
                "number_of_shards": self.settings.shards,
                // As many as there are other nodes to hold them: a single node stays green.
                "auto_expand_replicas": format!("0-{}", self.settings.replicas),
                // Said explicitly, or an index nobody searched for a while would not show new documents at all.
                "refresh_interval": "1s",
            },
            "mappings": kind.mapping(),
        });
        let answer = self.change(Method::Put, name, &[("timeout", "5s")], Some(&body)).await?;
        match answer.kind().as_str() {
            _ if answer.is_success() => Ok(true),
            "resource_already_exists_exception" => Ok(false),
            // The alias was made by another process in between, as an alias or as an index.
            "invalid_alias_name_exception" | "illegal_state_exception" => Ok(false),
            _ => Err(answer.failed()),
        }
    }

    async fn attach(&self, kind: IndexKind, index: &str) -> Result<(), SearchDown> {
        let alias = self.alias(kind);
        let add = json!({ "index": index, "alias": alias, "is_write_index": true });
        let answer =
            self.change(Method::Post, "_aliases", &[], Some(&json!({ "actions": [{ "add": add }] }))).await?;
        if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(answer.failed()) }
    }

    /// Adds fields that this program knows and the index does not; false when it has vanished meanwhile.
    async fn widen(&self, kind: IndexKind) -> Result<bool, SearchDown> {
        let path = format!("{}/_mapping", self.alias(kind));
        let answer = self.change(Method::Put, &path, &[], Some(&kind.mapping())).await?;
        if answer.status == 404 {
            return Ok(false);
        }
        if answer.is_success() { Ok(true) } else { Err(answer.failed()) }
    }

    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<super::connection::Answer, SearchDown> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|_| SearchDown::Unreadable)?;
        self.call(method, path, query, body, self.settings.write_timeout).await
    }
}

/// `{alias}-000001`: a wildcard alone would also meet the indices of a longer prefix.
fn is_numbered(index: &str, alias: &str) -> bool {
    number_of(index, alias).is_some()
}

/// The 1 of `{alias}-000001`.
pub(super) fn number_of(index: &str, alias: &str) -> Option<u32> {
    let number = index.strip_prefix(alias)?.strip_prefix('-')?;
    let digits = number.len() == 6 && number.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| number.parse().ok()).flatten()
}

//! A new index beside the one that serves: writes move to it first, searches read both, the old one leaves last.
//!
//! Whatever is written after [`SearchIndex::begin_rebuild`] has returned goes to the new index, and whatever was
//! written before was read from MongoDB earlier. So a copy of MongoDB that begins then misses nothing, and no
//! writer needs to know of the rebuild. Until [`SearchIndex::finish_rebuild`] a search finds what either index
//! holds, each thread once; a thread renamed meanwhile may still be found by its former title.

use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::SearchIndex;
use super::ensure::number_of;
use super::error::SearchDown;
use super::mapping::IndexKind;

/// The index to be filled and those that it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildPlan {
    /// `{alias}-000002`: not there yet.
    pub target: String,
    /// Behind the alias now.
    pub old: Vec<String>,
}

#[derive(Deserialize)]
struct Acknowledged {
    acknowledged: bool,
}

/// An index behind an alias.
struct Serving {
    index: String,
    takes_writes: bool,
}

impl SearchIndex {
    /// Chooses a name for a new index of `kind`. Makes the present one if there is none.
    ///
    /// # Errors
    /// As [`SearchIndex::ensure`].
    pub async fn plan_rebuild(&self, kind: IndexKind) -> Result<RebuildPlan, SearchDown> {
        self.ensure().await?;
        let alias = self.alias(kind);
        let found = self.numbered(kind).await?;
        let highest = found.keys().filter_map(|index| number_of(index, &alias)).max().unwrap_or(0);
        let old = found.into_iter().filter(|(_, about)| about.aliases.contains_key(&alias));
        Ok(RebuildPlan {
            target: format!("{alias}-{:06}", highest + 1),
            old: old.map(|(name, _)| name).collect(),
        })
    }

    /// Makes the index `target` and moves all writes of `kind` to it, in one step for every process. May be repeated.
    ///
    /// # Errors
    /// [`SearchDown`]; `Timeout` when not every node has confirmed the move.
    pub async fn begin_rebuild(&self, kind: IndexKind, target: &str) -> Result<(), SearchDown> {
        let _alone = self.repair.lock().await;
        self.make_named(kind, target, &json!({})).await?;
        let alias = self.alias(kind);
        let add = |index: &str, writes: bool| json!({ "add": { "index": index, "alias": alias, "is_write_index": writes } });
        let others = self.serving(kind).await?.into_iter().filter(|serving| serving.index != target);
        let mut actions: Vec<Value> = others.map(|serving| add(&serving.index, false)).collect();
        actions.push(add(target, true));
        self.change_aliases(actions).await
    }

    /// Lets searches read `target` alone, in one step. May be repeated. The old indices stay; see
    /// [`SearchIndex::drop_index`].
    ///
    /// # Errors
    /// [`SearchDown`]; `Misplaced` when writes of `kind` do not go to `target`: then it does not hold everything.
    pub async fn finish_rebuild(&self, kind: IndexKind, target: &str) -> Result<(), SearchDown> {
        let _alone = self.repair.lock().await;
        let alias = self.alias(kind);
        let serving = self.serving(kind).await?;
        if !serving.iter().any(|serving| serving.index == target && serving.takes_writes) {
            return Err(SearchDown::Misplaced {
                alias,
                problem: "the index being filled is gone or takes no writes",
            });
        }
        // The last of what was copied must be found at once: the old index showed it.
        let refreshed = self.change(Method::Post, &format!("{target}/_refresh"), &[], None).await?;
        if !refreshed.is_success() {
            return Err(refreshed.failed());
        }
        let others = serving.into_iter().filter(|serving| serving.index != target);
        let actions: Vec<Value> =
            others.map(|serving| json!({ "remove": { "index": serving.index, "alias": alias } })).collect();
        if actions.is_empty() { Ok(()) } else { self.change_aliases(actions).await }
    }

    /// Deletes one index of `kind` that serves no more; nothing happens when it is gone or serves.
    ///
    /// # Errors
    /// [`SearchDown`].
    pub async fn drop_index(&self, kind: IndexKind, index: &str) -> Result<(), SearchDown> {
        if self.serving(kind).await?.iter().any(|serving| serving.index == index) {
            return Ok(());
        }
        let answer = self.change(Method::Delete, index, &[], None).await?;
        if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(answer.failed()) }
    }

    async fn serving(&self, kind: IndexKind) -> Result<Vec<Serving>, SearchDown> {
        let alias = self.alias(kind);
        let found = self.numbered(kind).await?;
        let alone = found.values().filter(|about| about.aliases.contains_key(&alias)).count() == 1;
        let serving = found.into_iter().filter_map(|(index, about)| {
            let flags = about.aliases.get(&alias)?;
            // The only index of an alias takes its writes, flagged or not.
            Some(Serving { index, takes_writes: flags.is_write_index || alone })
        });
        Ok(serving.collect())
    }

    async fn change_aliases(&self, actions: Vec<Value>) -> Result<(), SearchDown> {
        let body = json!({ "actions": actions });
        let answer = self.change(Method::Post, "_aliases", &[("timeout", "9s")], Some(&body)).await?;
        let Acknowledged { acknowledged } = answer.accepted()?;
        // A node that has not heard of it may still write to the old index.
        if acknowledged { Ok(()) } else { Err(SearchDown::Timeout) }
    }
}

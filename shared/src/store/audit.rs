//! The audit trail: who did what, with which outcome. Rows are written once and never changed.

use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::{StoreError, duplicate_index};
use crate::domain::ids::AccountId;
use crate::domain::time::Time;

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// At most 256 bytes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The personal fields of a row, kept together so that erasure can drop them and leave the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    pub actor_id: String,
    #[serde(flatten)]
    pub origin: Origin,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    Failure,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// Says what happened to what, so that the same event is one row: `{action}:{accountId}/{targetId}` for
    /// successes, `{action}:{requestId}` for failures.
    #[serde(rename = "_id")]
    pub audit_id: String,
    pub account_id: AccountId,
    pub action: String,
    pub outcome: Outcome,
    pub subject: Subject,
    pub target_type: String,
    pub target_id: String,
    pub metadata: Document,
    /// The code of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    pub created_at: Time,
}

/// Which rows are asked for.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// `None` for operators, who see every account.
    pub account: Option<AccountId>,
    pub action: Option<String>,
    pub target_id: Option<String>,
    pub outcome: Option<Outcome>,
    /// 1–100.
    pub limit: i64,
}

/// The trail.
#[derive(Debug, Clone)]
pub struct Audit {
    rows: Collection<AuditRow>,
}

impl Audit {
    pub(super) fn new(rows: Collection<AuditRow>) -> Self {
        Self { rows }
    }

    /// Writes rows; those already there stay as they are.
    ///
    /// # Errors
    /// [`StoreError`] when a row could not be written for another reason than being there.
    pub async fn append(&self, rows: &[AuditRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        match self.rows.insert_many(rows).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if only_duplicates(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Rows, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        let mut query = Document::new();
        if let Some(account) = &filter.account {
            query.insert("accountId", account.as_str());
        }
        if let Some(action) = &filter.action {
            query.insert("action", action);
        }
        if let Some(target) = &filter.target_id {
            query.insert("targetId", target);
        }
        if let Some(outcome) = filter.outcome {
            query.insert("outcome", if outcome == Outcome::Success { "success" } else { "failure" });
        }
        let find = self.rows.find(query).sort(doc! { "createdAt": -1 }).limit(filter.limit.clamp(1, 100));
        Ok(find.await?.try_collect().await?)
    }
}

/// Whether every document that was not inserted was there before.
pub(crate) fn only_duplicates(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        mongodb::error::ErrorKind::InsertMany(e) => {
            e.write_concern_error.is_none() && e.write_errors.iter().flatten().all(|e| e.code == 11000)
        }
        _ => duplicate_index(error).is_some(),
    }
}

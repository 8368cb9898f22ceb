//! Releasing what waits for a person, once that person has acted: many lanes at once, in bounded steps.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::Ledger;
use super::outcome::released;
use crate::domain::delivery::Reason;
use crate::domain::ids::AccountId;
use crate::store::StoreError;

/// Jobs of one step.
const STEP: i64 = 500;

impl Ledger {
    /// Lets the jobs of `account` go on that are parked for one of `reasons` in a lane of `channel`
    /// (`whatsapp`, `sms`, `guest`), a bounded number of them. Answers how many were found; 0 when none is left. The
    /// dispatcher pushes them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_parked(
        &self,
        account: &AccountId,
        channel: &str,
        reasons: &[Reason],
    ) -> Result<u64, StoreError> {
        let reasons: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
        // A lane is `{channel}:{accountId}/{threadId}`: those from the slash to the character after it.
        let lanes = doc! { "$gte": format!("{channel}:{account}/"), "$lt": format!("{channel}:{account}0") };
        let filter = doc! { "open": true, "lane": lanes, "state": "parked", "reason": { "$in": &reasons } };
        let found = self.raw().find(filter).projection(doc! { "_id": 1 }).limit(STEP).await?;
        let found: Vec<Document> = found.try_collect().await?;
        let ids: Vec<&str> = found.iter().filter_map(|row| row.get_str("_id").ok()).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        // Named one by one, with their state: a job that was moved meanwhile is nobody's to release.
        let filter = doc! { "_id": { "$in": ids }, "state": "parked", "reason": { "$in": reasons } };
        self.raw().update_many(filter, released()).await?;
        Ok(found.len() as u64)
    }
}

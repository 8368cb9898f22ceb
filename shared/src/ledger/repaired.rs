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

/// One step of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// How many jobs go on.
    pub jobs: u64,
    /// The last of them: the next step begins after it.
    pub last: String,
}

impl Ledger {
    /// Lets the jobs of `account` go on that are parked for one of `reasons` in a lane of `channel` (`whatsapp`, `sms`,
    /// `guest`): up to 500 of those after the id `after`. `None` when none is left. The dispatcher pushes them.
    ///
    /// The order of the ids makes an end: what is parked again meanwhile is not met a second time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_parked(
        &self,
        account: &AccountId,
        channel: &str,
        reasons: &[Reason],
        after: &str,
    ) -> Result<Option<Released>, StoreError> {
        let reasons: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
        // A lane is `{channel}:{accountId}/{threadId}`: those from the slash to the character after it.
        let lanes = doc! { "$gte": format!("{channel}:{account}/"), "$lt": format!("{channel}:{account}0") };
        let filter = doc! {
            "open": true, "lane": lanes, "state": "parked", "reason": { "$in": &reasons },
            "_id": { "$gt": after },
        };
        let rows = self.raw();
        let find = rows.find(filter).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
        let found: Vec<Document> = find.limit(STEP).await?.try_collect().await?;
        let ids: Vec<&str> = found.iter().filter_map(|row| row.get_str("_id").ok()).collect();
        let Some(last) = ids.last().map(|id| (*id).to_owned()) else { return Ok(None) };
        // Named one by one, with their state: a job that was moved meanwhile is nobody's to release.
        let filter = doc! { "_id": { "$in": ids }, "state": "parked", "reason": { "$in": reasons } };
        let jobs = rows.update_many(filter, released()).await?.modified_count;
        Ok(Some(Released { jobs, last }))
    }
}

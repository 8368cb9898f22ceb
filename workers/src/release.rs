//! Letting parked messages of a lane go on: the customer wrote, or a template was taken.

use shared::domain::delivery::{DeliveryState, News};
use shared::domain::time::Time;
use shared::store::StoreError;

use crate::context::Context;

/// Releases what is parked in `lane`, in its order, and shows it as queued again, within the same attempt. Whoever
/// calls wakes the lane's head, unless a job of the lane runs, whose end does. Answers how many there were.
///
/// # Errors
/// [`StoreError`]: some may be released and not shown as it; releasing again changes nothing.
pub async fn release_lane(ctx: &Context, lane: &str) -> Result<usize, StoreError> {
    let parked = ctx.ledger.parked_in_lane(lane).await?;
    if parked.is_empty() {
        return Ok(0);
    }
    ctx.ledger.release_lane(lane).await?;
    for job in &parked {
        ctx.deliver(job, &News::new(job.attempt, DeliveryState::Queued, Time::now()), None).await?;
    }
    Ok(parked.len())
}

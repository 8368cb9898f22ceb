//! Forwards a message to the guest platform as a Standard Webhook. Lane `guest:{thread}`.

use serde_json::json;
use shared::domain::delivery::Reason;
use shared::domain::jobs::{FORWARD_TO_GUEST, JobKind};
use shared::domain::time::rfc3339;
use shared::store::StoreError;

use super::{Effect, Sending};
use crate::context::Context;
use crate::outbound::Ending;

/// See the module.
pub struct ForwardToGuest;

impl Effect for ForwardToGuest {
    const KIND: JobKind = FORWARD_TO_GUEST;
    const ATTEMPTS_MAX: u32 = 15;
    // The platform knows a repeated `webhook-id`.
    const IDEMPOTENT: bool = true;

    async fn run(ctx: &Context, sending: &Sending<'_>) -> Result<Ending, StoreError> {
        let Some(line) = ctx.channels.guest(&sending.job.account_id).await? else {
            return Ok(Ending::park(Reason::ChannelDisabled));
        };
        if line.owner.is_flagged() {
            return Ok(Ending::park(Reason::NeedsOperator));
        }
        sending.turn.sent_by(&line.owner);
        let credential = line.owner.credential_of("guest");
        let permit = match sending.pass_circuit(&credential) {
            Ok(permit) => permit,
            Err(ending) => return Ok(ending),
        };
        let Some(job) = sending.begin().await? else { return Ok(Ending::Overtaken) };
        let now = chrono::Utc::now().timestamp();
        let outcome = ctx.providers.guest.forward(&line.channel, &job.id, now, &envelope(sending)).await;
        sending.learn(&credential, permit, &outcome);
        Ok(Ending::Answered(Box::new(outcome)))
    }
}

/// The body: never cut short, whatever its length.
fn envelope(sending: &Sending<'_>) -> serde_json::Value {
    let message = sending.message;
    let attachments: Vec<&str> = message.attachments.iter().map(|a| a.url.as_str()).collect();
    json!({
        "type": "message.created",
        "timestamp": rfc3339(message.created_at),
        "data": {
            "messageId": message.message_id.as_str(),
            "threadId": message.thread_id.as_str(),
            "body": message.body,
            "attachments": attachments,
            "authorId": message.author_id.as_str(),
            "type": message.kind.as_str(),
            "contentType": message.content_type.as_str(),
            "source": message.source.as_str(),
            "paymentContent": message.payment_content,
            "createdAt": rfc3339(message.created_at),
        }
    })
}

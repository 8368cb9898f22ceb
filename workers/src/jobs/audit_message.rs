//! Writes the audit row of a posted message, once however often it runs. Reads `messages`, writes `audit`.

use mongodb::bson::doc;
use shared::domain::jobs::{AUDIT_MESSAGE, JobKind};
use shared::domain::message::Message;
use shared::ledger::JobRow;
use shared::store::{AuditRow, Outcome, Subject};

use super::index_message::away;
use super::{JobError, Projection};
use crate::context::Context;

/// See the module.
pub struct AuditMessage;

/// The action of the row.
const ACTION: &str = "message.create";

impl Projection for AuditMessage {
    const KIND: JobKind = AUDIT_MESSAGE;
    const ATTEMPTS_MAX: i32 = 1_000; // a trail with holes is worth nothing

    async fn run(ctx: &Context, row: &JobRow) -> Result<(), JobError> {
        let Some(key) = &row.message else { return Err(JobError::give_up("payload", "no message id")) };
        let Some(message) = ctx.reads.message(key).await.map_err(away)? else {
            tracing::info!(message.key = %key, "message is gone, nothing to audit");
            return Ok(());
        };
        ctx.writes.audit(audit_row(&message, row)).await.map_err(away)
    }
}

fn audit_row(message: &Message, row: &JobRow) -> AuditRow {
    let attachments: Vec<&str> = message.attachments.iter().map(|a| a.url.as_str()).collect();
    let subject = row
        .subject
        .clone()
        .unwrap_or_else(|| Subject { actor_id: message.author_id.to_string(), origin: Default::default() });
    AuditRow {
        audit_id: format!("{ACTION}:{}", message.key),
        account_id: message.account_id.clone(),
        action: ACTION.to_owned(),
        outcome: Outcome::Success,
        subject,
        target_type: "message".to_owned(),
        target_id: message.message_id.to_string(),
        metadata: doc! {
            "threadId": message.thread_id.as_str(),
            "type": message.kind.as_str(),
            "source": message.source.as_str(),
            "contentType": message.content_type.as_str(),
            "attachmentCount": attachments.len() as i64,
            "attachments": attachments,
        },
        error: None,
        request_id: row.request_id.clone(),
        created_at: message.created_at,
    }
}

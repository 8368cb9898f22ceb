//! Flagging a channel whose credentials are refused: once, with an audit row and a mail to each admin.
//!
//! Flag, row and mail jobs are one transaction, guarded by the credentials that were refused. A job that is parked
//! because of it is released when they change. So that none is left behind: park first, flag then; where the answer is
//! [`Flagging::Outdated`] the credentials have changed meanwhile, and the parked lane is released at once.

use std::time::Duration;

use mongodb::bson::doc;

use super::{ChannelBook, Owner};
use crate::domain::ids::{AccountId, ChannelId, Uid};
use crate::domain::jobs::NOTIFY_FLAGGED_CHANNEL;
use crate::domain::time::Time;
use crate::ledger::JobRow;
use crate::store::{AuditRow, Flag, Outcome, Scope, StoreError, Subject};

/// Who flags, in the audit trail.
const SYSTEM: &str = "system";
/// Longest code of a provider that is kept, in characters.
const CODE_CHARS_MAX: usize = 64;

/// What became of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flagging {
    /// It is flagged now, and its admins are told.
    New,
    /// It was flagged before, for these credentials.
    Known,
    /// The credentials have changed since the line was read, or the channel is gone: what was refused may be tried
    /// again.
    Outdated,
    /// A default line: the operators are told by log and metric.
    Default,
}

impl ChannelBook {
    /// Flags the channel of `owner`, whose credentials a provider refused with `code`. `reason` is one of the
    /// contract's `delivery.reason`.
    ///
    /// # Errors
    /// [`StoreError`]: it is not flagged; the next refusal will try again.
    pub async fn flag(
        &self,
        owner: &Owner,
        reason: &str,
        code: Option<&str>,
    ) -> Result<Flagging, StoreError> {
        let (Some(accounts), Some(account), Some(channel)) = (&self.accounts, &owner.account, &owner.channel)
        else {
            metrics::counter!("channel_flagged_total", "owner" => "default").increment(1);
            tracing::error!(reason, provider.code = code, "the credentials of a default channel are refused");
            return Ok(Flagging::Default);
        };
        let scope = accounts.store().account(account);
        let flag = Flag {
            reason: reason.to_owned(),
            provider_error_code: code.map(|code| code.chars().take(CODE_CHARS_MAX).collect()),
            since: Time::now(),
        };
        let told = match accounts.told_max() {
            0 => Vec::new(),
            max => scope.admins_with_email(max).await?,
        };
        let jobs: Vec<JobRow> =
            told.iter().map(|user| mail_job(account, channel, &flag, &user.uid)).collect();
        let row = audit_row(account, channel, &flag);
        if !scope.flag_channel(channel, owner.credentials, &flag, &row, &jobs).await? {
            let flagging = still_flagged(&scope, channel, owner.credentials).await?;
            if flagging == Flagging::Outdated {
                // What is tried again must not be refused again for what was kept.
                self.forget();
            }
            return Ok(flagging);
        }
        self.forget();
        metrics::counter!("channel_flagged_total", "owner" => "account").increment(1);
        tracing::warn!(
            account.id = %account, channel.id = %channel, reason, provider.code = code,
            "the credentials of a channel are refused; it waits for new ones"
        );
        Ok(Flagging::New)
    }
}

/// Why the guard did not hold.
async fn still_flagged(scope: &Scope, id: &ChannelId, credentials: i64) -> Result<Flagging, StoreError> {
    let stored = scope.channel(id).await?;
    let same = stored.is_some_and(|channel| channel.credentials == credentials && channel.flag.is_some());
    Ok(if same { Flagging::Known } else { Flagging::Outdated })
}

fn audit_row(account: &AccountId, channel: &ChannelId, flag: &Flag) -> AuditRow {
    const ACTION: &str = "channel.flag";
    AuditRow {
        audit_id: format!("{ACTION}:{account}/{channel}:{}", flag.since.timestamp_millis()),
        account_id: account.clone(),
        action: ACTION.to_owned(),
        outcome: Outcome::Success,
        subject: Subject { actor_id: SYSTEM.to_owned(), origin: Default::default() },
        target_type: "channel".to_owned(),
        target_id: channel.to_string(),
        metadata: doc! { "reason": &flag.reason, "providerErrorCode": &flag.provider_error_code },
        error: None,
        request_id: None,
        created_at: flag.since,
    }
}

/// Tells one admin. Its place in the lane is the time of the flag, by which the job knows its own from a later one.
fn mail_job(account: &AccountId, channel: &ChannelId, flag: &Flag, admin: &Uid) -> JobRow {
    let mut job = JobRow::new(NOTIFY_FLAGGED_CHANNEL, account, flag.since, Duration::ZERO);
    // No account id holds a colon: this lane is no thread's.
    job.lane = Some(format!("{}:channel:{account}/{channel}:{admin}", job.queue));
    job.lane_seq = Some(flag.since.timestamp_millis());
    job.open = Some(true);
    job.recipient = Some(admin.clone());
    job.channel = Some(channel.clone());
    job
}

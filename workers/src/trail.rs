//! `workers audit`: the audit trail, for people and for machines.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use shared::config::Config;
use shared::domain::ids::AccountId;
use shared::domain::time::rfc3339;
use shared::store::{AuditFilter, AuditRow, Outcome, Store};

/// Which rows.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// One account; every account by default.
    #[arg(long)]
    account: Option<String>,
    /// What was done, such as message.create.
    #[arg(long)]
    action: Option<String>,
    /// The message, thread … it was done to.
    #[arg(long, visible_alias = "message")]
    target: Option<String>,
    /// At most this many, 1 to 100.
    #[arg(long, default_value_t = 20)]
    limit: i64,
    /// For machines: `{"rows": […]}`.
    #[arg(long)]
    json: bool,
}

/// Prints rows.
///
/// # Errors
/// When the account is malformed or MongoDB is away.
pub async fn audit(config: &Config, args: AuditArgs) -> anyhow::Result<()> {
    let account = args.account.as_deref().map(AccountId::parse).transpose()?;
    let store = Store::connect(&config.mongodb).await.context("prepare mongodb")?;
    let filter = AuditFilter {
        account,
        action: args.action,
        target_id: args.target,
        outcome: None,
        limit: args.limit,
    };
    let rows = store.audit().find(&filter).await.context("read the audit trail")?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let rows: Vec<_> = rows.iter().map(shown).collect();
        writeln!(out, "{}", json!({ "rows": rows }))?;
        return Ok(());
    }
    for row in rows {
        let outcome = if row.outcome == Outcome::Success { "success" } else { "failure" };
        let (at, error) = (rfc3339(row.created_at), row.error.as_deref().unwrap_or(""));
        writeln!(
            out,
            "{at}  {outcome:7}  {:20}  {}  by {}  {error}",
            row.action, row.target_id, row.subject.actor_id
        )?;
    }
    Ok(())
}

fn shown(row: &AuditRow) -> serde_json::Value {
    json!({
        "auditId": row.audit_id,
        "accountId": row.account_id.as_str(),
        "action": row.action,
        "outcome": row.outcome,
        "actorId": row.subject.actor_id,
        "ipAddress": row.subject.origin.ip_address,
        "userAgent": row.subject.origin.user_agent,
        "targetType": row.target_type,
        "targetId": row.target_id,
        "metadata": row.metadata,
        "error": row.error,
        "createdAt": rfc3339(row.created_at),
    })
}

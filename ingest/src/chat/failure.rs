//! Rows of the audit trail that no job writes, failures above all: written at once, never in the way of the answer.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use shared::domain::Time;
use shared::domain::actor::Actor;
use shared::store::{AuditRow, Outcome, Subject};

use super::{Chat, Trace};
use crate::http::ApiError;

/// How long a row may take to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was attempted.
pub(crate) struct Attempted<'a> {
    pub(crate) action: &'a str,
    pub(crate) target_type: &'a str,
    pub(crate) target_id: &'a str,
    pub(crate) metadata: Document,
}

impl<'a> Attempted<'a> {
    pub(crate) fn new(action: &'a str, target_type: &'a str, target_id: &'a str) -> Self {
        Self { action, target_type, target_id, metadata: doc! {} }
    }

    pub(crate) fn with(mut self, metadata: Document) -> Self {
        self.metadata = metadata;
        self
    }
}

impl Chat {
    /// Writes down a refused attempt, then hands the refusal on.
    pub(crate) async fn audited<T>(
        &self,
        result: Result<T, ApiError>,
        actor: &Actor,
        trace: &Trace,
        attempted: Attempted<'_>,
    ) -> Result<T, ApiError> {
        match result {
            Err(mut error) => {
                self.write_failure(&error, actor, trace, attempted).await;
                error.audited = true;
                Err(error)
            }
            answered => answered,
        }
    }

    /// Writes down how a rare and weighty action ended, whichever way, then hands its result on.
    pub(crate) async fn witnessed<T>(
        &self,
        result: Result<T, ApiError>,
        actor: &Actor,
        trace: &Trace,
        attempted: Attempted<'_>,
    ) -> Result<T, ApiError> {
        if result.is_ok() {
            self.write_row(Outcome::Success, None, actor, trace, &attempted).await;
        }
        self.audited(result, actor, trace, attempted).await
    }

    /// Writes down a write that was refused before its handler ran: by its role, or by the form of its body.
    pub(crate) async fn audit_unheard(
        &self,
        error: &ApiError,
        actor: &Actor,
        trace: &Trace,
        operation: &str,
    ) {
        // The support desk's operations do what those of threads and messages do.
        let operation = match operation {
            "desk.sendMessage" | "desk.sendUserMessage" => "messages.create",
            "desk.read" | "desk.readAsUser" => "threads.read",
            other => other,
        };
        let (resource, verb) = operation.split_once('.').unwrap_or((operation, "write"));
        let target = resource.trim_end_matches('s');
        let action = format!("{target}.{verb}");
        self.write_failure(error, actor, trace, Attempted::new(&action, target, "")).await;
    }

    async fn write_failure(&self, error: &ApiError, actor: &Actor, trace: &Trace, attempted: Attempted<'_>) {
        self.write_row(Outcome::Failure, Some(error.code.as_str()), actor, trace, &attempted).await;
    }

    async fn write_row(
        &self,
        outcome: Outcome,
        code: Option<&str>,
        actor: &Actor,
        trace: &Trace,
        attempted: &Attempted<'_>,
    ) {
        let row = AuditRow {
            audit_id: format!("{}:{}:{}", attempted.action, actor.account, trace.request_id),
            account_id: actor.account.clone(),
            action: attempted.action.to_owned(),
            outcome,
            subject: Subject { actor_id: actor.uid.to_string(), origin: trace.origin.clone() },
            target_type: attempted.target_type.to_owned(),
            target_id: attempted.target_id.to_owned(),
            metadata: attempted.metadata.clone(),
            error: code.map(str::to_owned),
            request_id: Some(trace.request_id.to_string()),
            created_at: Time::now(),
        };
        let written = tokio::time::timeout(PATIENCE, self.store.audit().append(&[row])).await;
        let trouble = match written {
            Ok(Ok(())) => return,
            Ok(Err(trouble)) => trouble.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!("audit_failed_total").increment(1);
        tracing::error!(
            audit.action = attempted.action,
            audit.outcome = ?outcome,
            audit.error = code,
            actor.id = %actor.uid,
            account.id = %actor.account,
            error = %trouble,
            "a row could not be written to the audit trail"
        );
    }
}

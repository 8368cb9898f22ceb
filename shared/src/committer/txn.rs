//! One transaction: threads by guarded update, then messages, jobs and idempotency rows.

use std::time::{Duration, Instant};

use mongodb::bson::RawDocumentBuf;
use mongodb::bson::{Bson, Document, doc, serialize_to_bson, serialize_to_raw_document_buf};
use mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use mongodb::{ClientSession, Collection};
use serde::Serialize;
use tokio::time::timeout;

use super::Inner;
use super::plan::{Plan, Planned};
use super::settle::pause;
use crate::domain::thread::Thread;
use crate::failpoint;
use crate::store::{StoreError, duplicate_index, durable, is_away, is_transient, silence};
use crate::task;

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Ended {
    Committed,
    /// A thread is not at the version that the plan was computed from.
    Moved,
    /// A unique key is taken.
    Duplicate,
    /// Write conflict or a passing fault: nothing was written.
    Transient(mongodb::error::Error),
    /// The commit was sent and its result is not known.
    InDoubt(mongodb::error::Error),
    Failed(StoreError),
}

/// How long a transaction that could not be ended is looked after; the server's own limit is 60 s by default.
const LOOKED_AFTER: Duration = Duration::from_secs(60);
/// How often the server is asked meanwhile.
const LOOK: Duration = Duration::from_millis(250);

impl Inner {
    /// Writes `plan` or nothing of it.
    pub(super) async fn transact(&self, plan: &Plan) -> Ended {
        failpoint::hit("commit.before_txn").await;
        let mut session = match self.store.client().start_session().await {
            Ok(session) => session,
            Err(error) => return judged(error),
        };
        let written = timeout(self.patience, self.write(&mut session, plan)).await;
        match written.unwrap_or_else(|_| Err(silence())) {
            Ok(true) => {}
            Ok(false) => {
                self.abort(session).await;
                return Ended::Moved;
            }
            Err(error) if is_away(&error) => {
                self.end_later(session, false);
                return judged(error);
            }
            Err(error) => {
                self.abort(session).await;
                return judged(error);
            }
        }
        failpoint::hit("commit.inside_txn").await;
        let until = plan.members.iter().map(|(member, _)| member.deadline).max();
        self.commit(session, until.unwrap_or_else(Instant::now)).await
    }

    /// Answers `false` when a thread has moved.
    async fn write(&self, session: &mut ClientSession, plan: &Plan) -> mongodb::error::Result<bool> {
        session.start_transaction().write_concern(durable()).await?;
        let mut updates: Vec<&Planned> = plan.threads.values().collect();
        // One order for all processes, so that batches which share threads meet in it.
        updates.sort_by(|a, b| a.after.key.cmp(&b.after.key));
        let expected = updates.len() as i64;
        let statements: Vec<Bson> =
            updates.iter().map(|planned| statement(planned).map(Bson::Document)).collect::<Result<_, _>>()?;
        let command = doc! { "update": "threads", "updates": statements, "ordered": true };
        let answer = self.store.db().run_command(command).session(&mut *session).await?;
        if let Ok(errors) = answer.get_array("writeErrors") {
            return Err(mongodb::error::Error::custom(format!(
                "thread update refused: {} errors",
                errors.len()
            )));
        }
        let matched = answer.get_i32("n").map(i64::from).or_else(|_| answer.get_i64("n")).unwrap_or(0);
        if matched != expected {
            return Ok(false);
        }
        insert(&self.store.collection("messages"), plan.members.iter().map(|(_, c)| &c.message), session)
            .await?;
        insert(&self.store.collection("jobs"), plan.jobs.iter(), session).await?;
        if !plan.idempotency.is_empty() {
            insert(&self.store.collection("idempotency"), plan.idempotency.iter(), session).await?;
        }
        Ok(true)
    }

    /// Asks for the commit until its result is known or `until` has passed. Even a refusal leaves doubt: it may
    /// answer a repeated request (the driver's own, too) by a server that has forgotten the first.
    async fn commit(&self, mut session: ClientSession, until: Instant) -> Ended {
        let mut tries = 0;
        loop {
            let answer = timeout(self.patience, session.commit_transaction()).await;
            let error = match answer.unwrap_or_else(|_| Err(silence())) {
                Ok(()) => return Ended::Committed,
                Err(error) => error,
            };
            if !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && !is_away(&error) {
                return Ended::InDoubt(error);
            }
            tries += 1;
            let rest = pause(tries);
            if Instant::now() + rest >= until {
                self.end_later(session, true);
                return Ended::InDoubt(error);
            }
            tokio::time::sleep(rest).await;
        }
    }

    async fn abort(&self, mut session: ClientSession) {
        if timeout(self.patience, session.abort_transaction()).await.is_err() {
            tracing::debug!("abort was not answered; the server ends the transaction by itself");
        }
    }

    /// Ends a transaction when the server answers again: while it is open, nobody else can write its threads.
    /// One whose commit was asked for can only be committed.
    fn end_later(&self, mut session: ClientSession, commit: bool) {
        let (db, patience) = (self.store.db().clone(), self.patience);
        task::spawn("end transaction", async move {
            let until = Instant::now() + LOOKED_AFTER;
            while Instant::now() < until {
                if let Ok(Ok(_)) = timeout(patience, db.run_command(doc! { "ping": 1 })).await {
                    let end = async {
                        if commit {
                            session.commit_transaction().await
                        } else {
                            session.abort_transaction().await
                        }
                    };
                    // Either way nothing more can be done: the callers have their answers.
                    let _ = timeout(patience, end).await;
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
    }
}

fn judged(error: mongodb::error::Error) -> Ended {
    if duplicate_index(&error).is_some() {
        Ended::Duplicate
    } else if is_transient(&error) || is_away(&error) {
        Ended::Transient(error)
    } else {
        Ended::Failed(error.into())
    }
}

async fn insert<'a, T: Serialize + 'a>(
    into: &Collection<RawDocumentBuf>,
    documents: impl Iterator<Item = &'a T>,
    session: &mut ClientSession,
) -> mongodb::error::Result<()> {
    let documents: Vec<RawDocumentBuf> =
        documents.map(serialize_to_raw_document_buf).collect::<Result<_, _>>()?;
    into.insert_many(documents).session(session).await?;
    Ok(())
}

/// The update of one thread: only the commit's own fields, only where the version is the one planned from.
fn statement(planned: &Planned) -> Result<Document, mongodb::bson::error::Error> {
    let Planned { before, after } = planned;
    let mut set = doc! { "version": after.version, "seq": after.seq, "updatedAt": after.updated_at };
    let mut max = Document::new();
    changed(&mut set, before, after)?;
    if after.last_whatsapp_message_sent_at != before.last_whatsapp_message_sent_at {
        max.insert("lastWhatsappMessageSentAt", after.last_whatsapp_message_sent_at);
    }
    if after.last_whatsapp_inbound_at != before.last_whatsapp_inbound_at {
        max.insert("lastWhatsappInboundAt", after.last_whatsapp_inbound_at);
    }
    let mut update = doc! { "$set": set };
    if !max.is_empty() {
        update.insert("$max", max);
    }
    Ok(doc! { "q": { "_id": &after.key, "version": before.version }, "u": update })
}

/// Sets what differs: an index whose fields stay is not written.
fn changed(set: &mut Document, before: &Thread, after: &Thread) -> Result<(), mongodb::bson::error::Error> {
    macro_rules! set_changed {
        ($($field:ident => $name:literal),* $(,)?) => {
            $(if before.$field != after.$field {
                set.insert($name, serialize_to_bson(&after.$field)?);
            })*
        };
    }
    set_changed! {
        public_seq => "publicSeq",
        customer_seq => "customerSeq",
        public_updated_at => "publicUpdatedAt",
        last_message => "lastMessage",
        last_public_message => "lastPublicMessage",
        participant_ids => "participantIds",
        public_participant_ids => "publicParticipantIds",
        assigned_agent_ids => "assignedAgentIds",
        attention => "attention",
        needs_attention => "needsAttention",
        needs_attention_map => "needsAttentionMap",
        read_marks => "readMarks",
        awaiting_first_reply => "awaitingFirstReply",
        staff_viewers => "staffViewers",
        guest_viewers => "guestViewers",
    }
    Ok(())
}

//! Sending again what failed, waits or is in doubt.

use shared::domain::actor::{Actor, Role};
use shared::domain::delivery::{Channel, Delivery, DeliveryState, News};
use shared::domain::ids::{MessageId, ThreadId};
use shared::domain::jobs::{DELIVER_SMS, DELIVER_WHATSAPP, FORWARD_TO_GUEST, JobDraft, JobKind};
use shared::domain::message::Message;
use shared::domain::time::Time;
use shared::ledger::JobRow;
use shared::live::LiveEvent;
use shared::store::IdempotencyRow;

use super::failure::Attempted;
use super::{Chat, KeyForm, MessageView, Trace};
use crate::http::{ApiError, Code};

impl Chat {
    /// Has message `id` sent again; answers it as it stands then, and whether the same request had done so before.
    pub(crate) async fn resend(
        &self,
        actor: &Actor,
        trace: &Trace,
        thread: &ThreadId,
        id: &MessageId,
        key: Option<KeyForm>,
    ) -> Result<(MessageView, bool), ApiError> {
        let result = self.try_resend(actor, trace, thread, id, key).await;
        let attempted = Attempted::new("message.resend", "message", id.as_str());
        self.witnessed(result, actor, trace, attempted).await
    }

    async fn try_resend(
        &self,
        actor: &Actor,
        trace: &Trace,
        thread: &ThreadId,
        id: &MessageId,
        key: Option<KeyForm>,
    ) -> Result<(MessageView, bool), ApiError> {
        if actor.role == Role::Guest {
            return Err(ApiError::new(Code::Forbidden, "only staff may have messages sent again"));
        }
        let thread = self.entitled_thread(actor, thread).await?;
        let scope = self.store.account(&actor.account);
        let message = scope.message(id).await?.filter(|message| message.thread == thread.key);
        let message = message.ok_or_else(|| ApiError::not_found("message"))?;
        let key = key.map(|key| key.scoped(actor, &format!("messages/{id}/resend"), ""));
        if let Some(key) = &key
            && scope.idempotency(key).await?.is_some()
        {
            return Ok((shown(message, actor)?, true));
        }
        let Some(delivery) = message.delivery.clone().filter(may_be_sent_again) else {
            return Err(not_resendable());
        };
        let job = self.released(actor, trace, &message, &delivery).await?;
        let news = News::new(job.attempt + 1, DeliveryState::Queued, Time::now());
        scope.deliver(&message.key, &news, None).await?;
        if let Some(key) = key {
            let (scope_name, content_hash) = (key.scope, key.content_hash);
            let (resource_id, created_at) = (id.to_string(), Time::now());
            let row =
                IdempotencyRow { scope: scope_name, content_hash, resource_id, status: 202, created_at };
            scope.note_idempotency(&row).await?;
        }
        self.push([job]);
        let (account, thread) = (actor.account.clone(), thread.thread_id);
        self.live.publish(LiveEvent::MessageUpdated { account, thread, message: id.clone() });
        let message = scope.message(id).await?.ok_or_else(|| ApiError::not_found("message"))?;
        Ok((shown(message, actor)?, false))
    }

    /// The job that sends `message`, let go on, or made anew where its row has long been deleted.
    async fn released(
        &self,
        actor: &Actor,
        trace: &Trace,
        message: &Message,
        delivery: &Delivery,
    ) -> Result<JobRow, ApiError> {
        let kind = kind_of(delivery.channel);
        let jobs = self.ledger.jobs_of_message(&message.key).await?;
        if let Some(job) = jobs.into_iter().find(|job| job.name == kind.name) {
            return match self.ledger.release(&job, Some(actor.uid.as_str())).await? {
                true => Ok(job),
                false => Err(not_resendable()),
            };
        }
        let draft = JobDraft {
            kind,
            lane: Some(format!("{}:{}", delivery.channel.as_str(), message.thread)),
            lane_seq: message.seq,
            overtakes: message.template.is_some(),
        };
        let mut job = JobRow::of(&draft, message, self.push_grace);
        job.attempt = delivery.attempt;
        job.replay_by = Some(actor.uid.to_string());
        job.request_id = Some(trace.request_id.to_string());
        self.ledger.add(&job).await?;
        Ok(job)
    }
}

fn may_be_sent_again(delivery: &Delivery) -> bool {
    matches!(delivery.state, DeliveryState::Failed | DeliveryState::Parked | DeliveryState::Unknown)
}

fn kind_of(channel: Channel) -> JobKind {
    match channel {
        Channel::Whatsapp => DELIVER_WHATSAPP,
        Channel::Sms => DELIVER_SMS,
        Channel::Guest => FORWARD_TO_GUEST,
    }
}

fn shown(message: Message, actor: &Actor) -> Result<MessageView, ApiError> {
    MessageView::of(message, actor.role).ok_or_else(|| ApiError::not_found("message"))
}

fn not_resendable() -> ApiError {
    ApiError::new(Code::NotResendable, "only a message that failed, is parked or in doubt is sent again")
}

//! News of a delivery: written to the message, then told to those who watch.

use shared::domain::delivery::{Delivery, News};
use shared::domain::ids::{MessageId, ThreadId};
use shared::domain::message::Message;
use shared::ledger::JobRow;
use shared::live::LiveEvent;
use shared::queue::Queue;
use shared::store::StoreError;

use crate::context::Context;

impl Context {
    /// Applies `news` to the message of `job`; answers its delivery, or `None` when the news was late, repeated or
    /// beaten. `provider_id` is kept where the message has none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliver(
        &self,
        job: &JobRow,
        news: &News,
        provider_id: Option<&str>,
    ) -> Result<Option<Delivery>, StoreError> {
        // A mail about a message says nothing of its delivery.
        let Some(key) = job.message.as_ref().filter(|_| job.queue != Queue::Email) else {
            return Ok(None);
        };
        match self.reads.message(key).await? {
            Some(message) => self.deliver_to(job, message, news, provider_id).await,
            None => Ok(None),
        }
    }

    /// As [`Context::deliver`], for the job's message as it was just read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliver_to(
        &self,
        job: &JobRow,
        message: Message,
        news: &News,
        provider_id: Option<&str>,
    ) -> Result<Option<Delivery>, StoreError> {
        if job.queue == Queue::Email {
            return Ok(None);
        }
        let key = message.key.clone();
        let applied = self.store.account(&job.account_id).deliver_to(message, news, provider_id).await?;
        if applied.is_some() {
            self.tell(job, &key);
        }
        Ok(applied)
    }

    fn tell(&self, job: &JobRow, message: &str) {
        let id = |key: &str| key.split_once('/').map(|(_, id)| id.to_owned());
        let thread = job.thread.as_deref().and_then(id).and_then(|id| ThreadId::parse(&id).ok());
        let message = id(message).and_then(|id| MessageId::parse(&id).ok());
        if let (Some(thread), Some(message)) = (thread, message) {
            let account = job.account_id.clone();
            self.live.publish(LiveEvent::MessageUpdated { account, thread, message });
        }
    }
}

//! What the endpoints of `/chat` do: one call per operation, over the pure core and the store.
//!
//! Every refusal of a write is a failure row of the audit trail, written before the error is answered.

mod announce;
mod failure;
mod key;
mod lag;
mod messages;
mod people;
mod preview;
mod resend;
mod search;
mod templates;
mod threads;
mod views;

use poem::{FromRequest, Request, RequestBody};
use shared::channels::ChannelBook;
use shared::committer::{Committer, Directory, Pusher};
use shared::domain::actor::Actor;
use shared::domain::ids::ThreadId;
use shared::domain::thread::Thread;
use shared::domain::{Time, access};
use shared::ledger::{JobRow, Ledger};
use shared::live::LivePublisher;
use shared::search::SearchIndex;
use shared::store::{Origin, Store, StoreError};
use shared::telemetry::RequestId;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Credentials;
use crate::http::{ApiError, ClientAddress};
use crate::services::Services;

pub(crate) use failure::Attempted;
pub(crate) use key::KeyForm;
pub(crate) use lag::IndexLag;
pub(crate) use messages::{ListQuery, Listed, Story};
pub(crate) use people::{ReservationPut, UserPut, check_email};
pub(crate) use preview::Preview;
pub(crate) use search::Found;
pub(crate) use templates::Catalogued;
pub(crate) use views::{MessageView, ThreadView, last_message_keys};

/// Longest user agent that is kept, in bytes.
const USER_AGENT_MAX: usize = 256;

/// The conversations.
#[derive(Clone)]
pub(crate) struct Chat {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) search: SearchIndex,
    pub(crate) lag: IndexLag,
    pub(crate) committer: Committer,
    pub(crate) directory: Directory,
    pub(crate) pusher: Pusher,
    /// Tells those who watch.
    pub(crate) live: LivePublisher,
    /// By which number or address an account sends.
    pub(crate) channels: ChannelBook,
    pub(crate) push_grace: Duration,
    /// Links may lead to private addresses: in tests.
    pub(crate) allow_private: bool,
}

/// Where a request came from and what it is called. Taking it notes the caller's name and role, by which staff is
/// known among participants.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) origin: Origin,
    pub(crate) request_id: RequestId,
}

impl<'a> FromRequest<'a> for Trace {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        if let (Some(services), Some(Credentials::Valid(identity))) =
            (request.data::<Arc<Services>>(), request.data::<Credentials>())
        {
            let noted = services.chat.note_caller(&identity.actor, identity.name.as_deref()).await;
            noted.map_err(ApiError::from)?;
        }
        Ok(Self::of(request))
    }
}

impl Trace {
    /// What did not come through the edge.
    pub(crate) fn unknown() -> Self {
        Self { origin: Origin::default(), request_id: RequestId::new() }
    }

    /// What the edge has left in `request`.
    pub(crate) fn of(request: &Request) -> Self {
        let agent = request.header("user-agent").map(|agent| {
            let end = (0..=agent.len().min(USER_AGENT_MAX)).rev().find(|i| agent.is_char_boundary(*i));
            agent[..end.unwrap_or(0)].to_owned()
        });
        let address = request.data::<ClientAddress>().map(|address| address.0.to_string());
        Self {
            origin: Origin { ip_address: address, user_agent: agent },
            request_id: request.data::<RequestId>().cloned().unwrap_or_else(RequestId::new),
        }
    }
}

impl Chat {
    /// Thread `id`, if `actor` may see it.
    pub(crate) async fn entitled_thread(&self, actor: &Actor, id: &ThreadId) -> Result<Thread, ApiError> {
        let thread = self.store.account(&actor.account).thread(id).await?;
        let thread = thread.ok_or_else(|| ApiError::not_found("thread"))?;
        access::check_entitled(&thread, actor)?;
        Ok(thread)
    }

    /// A job that indexes `thread` alone.
    pub(crate) fn index_job(&self, thread: &Thread, trace: &Trace) -> JobRow {
        let kind = shared::domain::jobs::INDEX_THREAD;
        let mut job = JobRow::new(kind, &thread.account_id, Time::now(), self.push_grace);
        job.thread = Some(thread.key.clone());
        job.request_id = Some(trace.request_id.to_string());
        job
    }

    /// Tells Redis about jobs that are committed.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = JobRow>) {
        self.pusher.push(jobs);
    }

    /// Notes name and role of a caller, by which staff is known among participants.
    pub(crate) async fn note_caller(&self, actor: &Actor, name: Option<&str>) -> Result<(), StoreError> {
        self.directory.note_caller(&actor.account, &actor.uid, actor.role, name).await
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_away() { ApiError::unavailable(error) } else { ApiError::internal(error) }
    }
}

//! The door through which customers of the support desk come: who checks their session is not the sockets' matter.

use std::fmt;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use shared::domain::Time;
use shared::domain::actor::Actor;
use shared::domain::ids::ThreadId;

use crate::http::{ApiError, Code};

/// What a widget connects with.
#[derive(Clone)]
pub struct CustomerCredentials {
    /// The account's widget token.
    pub support_token: String,
    /// The session's secret.
    pub support_session: String,
    /// The device the session is bound to.
    pub device_id: String,
    /// The page's origin, when a browser named one.
    pub origin: Option<String>,
}

impl fmt::Debug for CustomerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerCredentials").finish_non_exhaustive()
    }
}

/// A customer whose session is valid.
#[derive(Debug, Clone)]
pub struct CustomerCaller {
    /// A guest whose uid is the conversation's id.
    pub actor: Actor,
    /// The customer's room.
    pub room: ThreadId,
    /// Names the session, so that revoking it closes its sockets.
    pub session_id: String,
    /// When the session ends.
    pub expires_at: Time,
}

/// Checks customers' sessions.
pub trait CustomerDoor: Send + Sync + 'static {
    /// The customer behind `credentials`.
    ///
    /// # Errors
    /// The same [`ApiError`] as the desk's endpoints answer.
    fn authenticate(
        &self,
        credentials: CustomerCredentials,
    ) -> BoxFuture<'_, Result<CustomerCaller, ApiError>>;
}

/// Lets nobody in.
#[derive(Debug, Clone, Copy)]
pub struct NoCustomers;

impl CustomerDoor for NoCustomers {
    fn authenticate(&self, _: CustomerCredentials) -> BoxFuture<'_, Result<CustomerCaller, ApiError>> {
        let refused = ApiError::new(Code::Unauthenticated, "the support session is not valid");
        futures::future::ready(Err(refused)).boxed()
    }
}

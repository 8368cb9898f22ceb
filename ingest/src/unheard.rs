//! Failure rows for writes that were refused before their handler ran: an operator in a conversation, a field
//! past its limit. Handlers write the rows of their own refusals.

use std::sync::Arc;

use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};

use crate::auth::Credentials;
use crate::chat::Trace;
use crate::http::{ApiError, Operation};
use crate::services::Services;

/// The endpoints, overheard.
pub(crate) struct Unheard<E> {
    pub(crate) services: Arc<Services>,
    pub(crate) inner: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Unheard<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let (Some(Credentials::Valid(identity)), Some(operation), false) =
            (request.data::<Credentials>(), request.data::<Operation>(), reads)
        else {
            return self.inner.call(request).await;
        };
        let (actor, operation, trace) = (identity.actor.clone(), operation.clone(), Trace::of(&request));
        match self.inner.call(request).await {
            Err(error) => {
                if let Some(refused) = error.downcast_ref::<ApiError>().filter(|error| is_due(error)) {
                    self.services.chat.audit_unheard(refused, &actor, &trace, &operation.0).await;
                }
                Err(error)
            }
            answered => answered,
        }
    }
}

/// Whether the refusal belongs into the trail and is not there yet.
fn is_due(error: &ApiError) -> bool {
    let refusals = [
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::CONFLICT,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    !error.audited && refusals.contains(&error.http_status())
}

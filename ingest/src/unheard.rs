//! Failure rows for writes that were refused before their handler ran: an operator in a conversation, a field
//! past its limit. Handlers write the rows of their own refusals.

use std::sync::{Arc, OnceLock};

use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};
use shared::domain::actor::Actor;

use crate::auth::Credentials;
use crate::chat::Trace;
use crate::http::{ApiError, DeskError, Operation};
use crate::services::Services;

/// Where the customer of a request is noted once its session was found valid, which happens behind the edge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recognised(Arc<OnceLock<Actor>>);

impl Recognised {
    /// Notes `customer`.
    pub(crate) fn note(&self, customer: &Actor) {
        // A request has one customer; a second look finds the same.
        let _ = self.0.set(customer.clone());
    }
}

/// The endpoints, overheard.
pub(crate) struct Unheard<E> {
    pub(crate) services: Arc<Services>,
    pub(crate) inner: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Unheard<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let (Some(operation), false) = (request.data::<Operation>().cloned(), reads) else {
            return self.inner.call(request).await;
        };
        let user = match request.data::<Credentials>() {
            Some(Credentials::Valid(identity)) => Some(identity.actor.clone()),
            _ => None,
        };
        let (customer, trace) = (Recognised::default(), Trace::of(&request));
        request.set_data(customer.clone());
        match self.inner.call(request).await {
            Err(error) => {
                let refused = refusal(&error).filter(|error| is_due(error));
                if let (Some(refused), Some(actor)) = (refused, customer.0.get().or(user.as_ref())) {
                    self.services.chat.audit_unheard(refused, actor, &trace, &operation.0).await;
                }
                Err(error)
            }
            answered => answered,
        }
    }
}

fn refusal(error: &poem::Error) -> Option<&ApiError> {
    error.downcast_ref::<ApiError>().or_else(|| error.downcast_ref::<DeskError>().map(|desk| &desk.0))
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

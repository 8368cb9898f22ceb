//! The endpoints, one file per resource. `crate::http` tells how one is written.

mod health;
mod messages;
mod reservations;
pub(crate) mod shapes;
mod sources;
mod threads;
mod users;
mod webhooks;

use poem_openapi::{OpenApi, Tags};

/// The groups of operations in the document.
#[derive(Debug, Tags)]
pub(crate) enum Tag {
    /// Conversations.
    Threads,
    /// What is said in them.
    Messages,
    /// Stays, which lead to a guest's phone.
    Reservations,
    /// People and programs of an account.
    Users,
    /// What providers report.
    Webhooks,
    /// Whether the program is well.
    Health,
}

/// Every endpoint; a new resource is one line here.
pub(crate) fn all() -> impl OpenApi + Send + Sync + 'static {
    (
        threads::ThreadsApi,
        messages::MessagesApi,
        reservations::ReservationsApi,
        users::UsersApi,
        webhooks::WebhooksApi,
        health::HealthApi,
    )
}

//! The endpoints, one file per resource. `crate::http` tells how one is written.

mod channel_shapes;
mod channels;
pub(crate) mod desk;
mod email;
mod health;
mod messages;
mod reservations;
pub(crate) mod shapes;
mod sources;
mod support_tokens;
mod templates;
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
    /// Rooms in which customers of a widget are answered.
    Desk,
    /// What a widget's embed carries.
    SupportTokens,
    /// The numbers and addresses of an account.
    Channels,
    /// Stays, which lead to a guest's phone.
    Reservations,
    /// People and programs of an account.
    Users,
    /// What providers report.
    Webhooks,
    /// E-mail notifications.
    Email,
    /// Whether the program is well.
    Health,
}

/// Every endpoint; a new resource is one line here.
pub(crate) fn all() -> impl OpenApi + Send + Sync + 'static {
    (
        threads::ThreadsApi,
        messages::MessagesApi,
        templates::TemplatesApi,
        reservations::ReservationsApi,
        users::UsersApi,
        desk::all(),
        (support_tokens::SupportTokensApi, channels::ChannelsApi),
        webhooks::WebhooksApi,
        email::EmailApi,
        health::HealthApi,
    )
}

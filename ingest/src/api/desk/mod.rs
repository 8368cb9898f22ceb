//! `/api/conversation-v2/support/`: the support desk, for agents and for the customers of a widget.

mod examples;
mod messages;
mod paging;
mod reading;
mod rooms;
mod session;
mod shapes;
mod user_messages;

use poem_openapi::OpenApi;

pub(crate) use shapes::DeskMessageOut;

/// Every endpoint of the desk.
pub(super) fn all() -> impl OpenApi + Send + Sync + 'static {
    (
        messages::DeskMessagesApi,
        user_messages::DeskUserMessagesApi,
        reading::DeskReadingApi,
        rooms::DeskRoomsApi,
        session::DeskSessionApi,
    )
}

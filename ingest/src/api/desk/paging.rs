//! Which page of a room is asked for: the same words for agents and customers.

use poem_openapi::Enum;
use shared::domain::ids::MessageId;

use crate::chat::ListQuery;
use crate::http::Id;

/// Messages or rooms of a page when the client names no number.
pub(super) const LIMIT: u32 = 20;

/// The order within a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", rename = "DeskSort")]
pub(super) enum SortIn {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// The page that the query parameters ask for.
pub(super) fn page(
    upper_ref: Option<Id<MessageId>>,
    lower_ref: Option<Id<MessageId>>,
    limit: Option<u32>,
    sort: Option<SortIn>,
    search: Option<String>,
) -> ListQuery {
    ListQuery {
        upper_ref: upper_ref.map(|id| id.0),
        lower_ref: lower_ref.map(|id| id.0),
        limit: limit.unwrap_or(LIMIT) as usize,
        ascending: sort == Some(SortIn::Asc),
        search,
    }
}

//! The functional core: every rule of a message, a thread and a delivery, without I/O.
//!
//! [`post`](post::post) turns a draft into a [`Commit`]: the stored message, the thread's
//! next state and the list of follow-up jobs. The store only persists it. Clocks, roles and ids are arguments.

pub mod access;
pub mod actor;
pub mod contact;
pub mod delivery;
pub mod desk;
pub mod ids;
pub mod jobs;
pub mod media;
pub mod message;
pub mod post;
pub mod reading;
pub mod rejection;
pub mod sms;
pub mod template;
pub mod thread;
pub mod time;
pub mod window;

#[cfg(test)]
mod desk_tests;
#[cfg(test)]
mod post_tests;
#[cfg(test)]
pub(crate) mod samples;

pub use actor::{Actor, Role, Roles};
pub use delivery::{Channel, Delivery, DeliveryState};
pub use desk::{DeskType, SenderType};
pub use ids::{AccountId, MessageId, ThreadId, Uid};
pub use jobs::{JobDraft, JobKind, JobState};
pub use message::{Attachment, ContentType, Draft, Message, MessageType, Source};
pub use post::{Commit, post};
pub use rejection::Rejection;
pub use thread::{Thread, ThreadKind, ThreadStatus};
pub use time::{Time, rfc3339};

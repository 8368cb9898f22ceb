//! E-mail notifications against a real mail server: who is told of what, when nobody is, and what goes wrong.

mod agents;
mod customers;
mod doubt;
pub(crate) mod rig;
mod server;
mod unsubscribe;

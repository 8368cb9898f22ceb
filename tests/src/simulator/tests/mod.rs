//! The simulator tested over real sockets, by a client and a receiver of its webhooks.

mod accepting;
mod control;
mod faults;
mod rig;
mod webhooks;

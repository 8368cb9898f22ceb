//! The simulator tested over real sockets, by a client and a receiver of its webhooks.

mod accepting;
mod control;
mod customers;
mod faults;
mod handbook;
mod plans;
mod rig;
mod strictness;
mod webhooks;

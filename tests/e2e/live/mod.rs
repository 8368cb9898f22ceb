//! Live sockets with real Socket.IO clients: who is let in, what they hear, how they catch up, what they survive.

mod catching_up;
mod customers;
mod entry;
mod events;
mod limits;
mod notes;
mod pubsub;
mod replicas;

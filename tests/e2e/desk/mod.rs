//! The support desk over HTTP on real servers: agents, customers at widgets, and what each may see.

mod both_apis;
mod canary;
mod canary_beyond;
mod errors;
mod identity;
mod isolation;
mod new_rooms;
mod reading;
mod seed;
mod sending;
mod sessions;
mod tokens;
mod unread_model;
mod walk;

//! Real servers that a test starts, breaks and throws away.

pub mod elasticsearch;
pub mod mongodb;
mod redis;
mod smtp;

pub use redis::RedisServer;
pub use smtp::{ReceivedMail, SmtpServer};

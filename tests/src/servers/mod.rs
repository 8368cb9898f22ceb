//! Real servers that a test starts, breaks and throws away.

pub mod elasticsearch;
pub mod mongodb;
mod redis;

pub use redis::RedisServer;

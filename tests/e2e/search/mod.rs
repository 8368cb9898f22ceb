//! The search door on a real Elasticsearch: each test has a prefix of its own there.

mod batching;
mod finding;
mod fixture;
mod indices;
mod outage;
mod rebuilding;
mod writing;

//! Faults that tests inject between the product and its servers.

mod proxy;

pub use proxy::{Direction, Fault, FaultProxy, Moment};

//! Faults that tests inject between the product and its servers, and storms of them over the whole product.

mod proxy;
pub mod storm;
mod verdict;

pub use proxy::{Direction, Fault, FaultProxy, Moment};

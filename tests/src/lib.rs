//! What the tests, the development tools and the benchmarks share: the provider simulator.

pub mod app;
pub mod chaos;
pub mod servers;
pub mod simulator;
pub mod validators;

//! Conformance of the Redis Streams backend: each test has a Redis of its own and says what a worker may rely on.

mod crash;
mod delivery;
mod faults;
mod rig;
mod shutdown;
mod wakeups;

//! The job ledger on a real server: lanes, leases, fencing, the dispatcher's sweeps, and a model of all of it.

mod bench;
mod claims;
mod interleaving;
mod lanes;
mod model;
mod outcomes;
mod release;
mod sweeps;
mod together;

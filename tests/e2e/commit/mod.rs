//! The commit path on a real server: order, repeats, batches, faults of the network and of MongoDB itself.

mod batches;
mod crash;
mod desk;
mod faults;
mod load;
mod order;
mod repeats;

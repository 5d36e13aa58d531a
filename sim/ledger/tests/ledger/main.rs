//! The simulated ledger's behaviour: the network's rules one by one, its laws over random
//! traffic, the faults, the checker, and Horizon's shapes over HTTP.

mod checker;
mod closing;
mod faults;
mod http;
mod laws;
mod operations;
mod queue;
mod support;
mod validity;

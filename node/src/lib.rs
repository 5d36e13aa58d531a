//! The node: everything between the network and the replicated machine.

pub mod executor;
pub mod ports;

//! The durable half of the node: the Raft log, the state rows, snapshots.
//!
//! openraft's storage traits are implemented here over an ordered key-value
//! engine; which engine (`RocksDB`, or memory with faults) is the caller's choice.

pub mod engine;
pub mod snapshot;
pub mod types;

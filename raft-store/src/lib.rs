//! The durable half of the node: the Raft log, the state rows, snapshots.
//!
//! openraft's storage traits are implemented here over an ordered key-value
//! engine; which engine (`RocksDB`, or memory with faults) is the caller's choice.

pub mod apply;
pub mod codec;
pub mod engine;
mod error;
pub mod log;
mod private;
mod rows;
pub mod snapshot;
pub mod types;
pub mod view;

//! The ordered engine over `RocksDB`: the only crate that sees it.
//!
//! `RocksDisk` is a data folder that one process holds. A `Log` engine commits
//! through one writer thread that syncs waiting batches together; a `State` engine
//! has no write-ahead log and flushes all its rows atomically.

mod disk;
mod engine;
mod error;
mod files;
mod options;
mod store;
mod wal;
mod watermark;
mod writer;

pub use disk::{RocksConfig, RocksDisk};
pub use engine::{RocksEngine, Waiting};

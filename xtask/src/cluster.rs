//! A ledger and three regions on this machine: what the demo shows and the benchmark measures.

pub mod accounts;
pub mod binaries;
pub mod cli;
mod error;
pub mod fleet;
pub mod http;
pub mod layout;
pub mod ledger;
pub mod nodes;
pub mod settings;
pub mod strkey;

pub use error::ClusterError;

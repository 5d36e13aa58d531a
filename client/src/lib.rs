//! The Rust SDK: one method per call of the public API, over gRPC.
//!
//! A [`Client`] is shared by all tasks of a process. It knows several endpoints, learns the
//! others from the cluster, and repeats what may be repeated: a payment keeps one idempotency
//! key through every attempt and every node, so it is accepted once. What decides (the
//! schedule of retries, the choice of an endpoint, the meaning of an error) does no I/O.

mod batches;
mod builder;
mod bulk;
mod bulk_driver;
mod client;
mod cluster;
mod entropy;
mod error;
mod fees;
mod frame;
mod paging;
mod payments;
mod policy;
mod transport;
mod watch;

pub mod classify;
pub mod endpoints;
pub mod retry;
pub mod surroundings;

pub use builder::{ClientBuilder, Discovery};
pub use bulk::{BulkAnswer, BulkOptions, BulkSubmitter};
pub use client::Client;
pub use error::ClientError;
pub use payments::Accepted;
pub use retry::RetryPolicy;
pub use watch::{Watch, WatchOptions};

/// The messages of the contract.
pub use stellara_proto::v1 as api;

//! The node: one region's process. Takes commands in, replicates them, settles them, serves the API.
//!
//! The outside world is behind `ports`; whatever runs as a task takes time and spawning from one runtime interface.

pub mod api;
pub mod certs;
pub mod config;
pub mod executor;
pub mod gate;
pub mod gateway;
#[cfg(test)]
mod golden;
pub mod http;
pub mod ingress;
pub mod node;
pub mod ports;
pub mod reads;
pub mod transport;

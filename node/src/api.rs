//! The public API: parses what callers send, hands it to the gateway, and formats what comes back.
//!
//! A handler decides nothing. Whatever is refused here was never proposed, so it changed nothing.

pub mod batches;
pub mod cluster;
pub mod errors;
pub mod fees;
pub mod format;
mod incoming;
pub(crate) mod meter;
pub mod parse;
pub mod payments;
pub mod policy;
pub mod readiness;
mod reads;
pub mod serve;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod too_large;
mod watch;

pub use errors::ApiError;
pub use serve::{ApiOptions, Health, ServeError, Services, serve, services};

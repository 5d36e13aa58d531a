//! The SDK and the CLI against a scripted cluster on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bulk;
mod cli;
mod fake;
mod fake_api;
mod golden;
mod sdk;
mod watch;

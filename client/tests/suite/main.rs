//! The SDK and the CLI against a scripted cluster on loopback.

mod bulk;
mod cli;
mod fake;
mod fake_api;
mod golden;
mod sdk;
mod watch;

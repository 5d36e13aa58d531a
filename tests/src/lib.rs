//! End-to-end tests of whole processes: the harness that starts a ledger and three nodes on one
//! machine, breaks them, and holds what is left to the promises. The tests are in `tests/e2e`.

pub mod accounts;
pub mod binaries;
pub mod cluster;
pub mod http;
pub mod ledger;
pub mod load;
pub mod ports;
pub mod process;
pub mod sandbox;
pub mod settings;
pub mod wait;

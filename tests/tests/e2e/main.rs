//! Whole processes: a ledger and three nodes, broken in every way that a machine breaks. Clusters
//! run one after the other, whatever the test runner does.

mod bad_input;
mod bad_start;
mod failover;
mod full_disk;
mod garbage;
mod intents;
mod ledger_faults;
mod partition;
mod rebuild;
mod rolling;
mod shutdown;

/// Prints why a test cannot run on this machine.
fn skip(test: &str, why: &str) {
    eprintln!("{test}: skipped, {why}");
}

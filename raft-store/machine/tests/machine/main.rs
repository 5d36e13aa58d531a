//! Tests of the machine: each command by cases, the whole by laws over random histories.
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
#![expect(clippy::indexing_slicing, reason = "a test may stop at a wrong index")]
#![expect(clippy::panic, reason = "a failed test panics")]

mod accounts;
mod attempts;
mod bench;
mod canon;
mod fees;
mod form;
mod laws;
mod ledger;
mod outcomes;
mod payments;
mod world;

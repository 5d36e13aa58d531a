//! The replicated machine: a pure function from the log to the state.
//!
//! It holds no clock, no I/O, no thread and no hash map, so every replica that
//! applies the same entries holds the same state, bit for bit.
#![no_std]

extern crate alloc;

pub mod accounts;
pub mod audit;
pub mod batches;
pub mod canon;
pub mod command;
pub mod decision;
pub mod fees;
mod fields;
pub mod ids;
pub mod limits;
pub mod payments;
pub mod policy;
pub mod rows;
pub mod state;
pub mod step;
pub mod units;

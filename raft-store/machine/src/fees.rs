//! Fees: what the network asks, what to bid for a lane, what a payment will cost, and what was saved.
//!
//! Everything here is computed from replicated samples and the policy, so each bid, each delay and each prediction is
//! the same on every node and can be explained afterwards.

pub mod bid;
pub mod book;
pub mod charge;
pub mod market;
pub mod predict;
pub mod quote;
pub mod record;

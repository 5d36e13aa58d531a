//! Batches: formed from a group, attempted on the ledger, ended exactly once.

pub mod form;
pub mod record_attempt;
pub mod record_outcome;

pub(crate) mod back_off;
pub(crate) mod ending;

//! t
pub mod envelope;
pub mod outcome;

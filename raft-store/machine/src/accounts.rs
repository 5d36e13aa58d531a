//! Accounts of ours: treasuries, channels, fee accounts.

pub mod register;

//! A simulated Stellar ledger in two layers that never mix: a pure, deterministic core
//! ([`Network`]) that is handed time and bytes, and an HTTP server ([`http`]) that speaks
//! Horizon's subset and acts out the faults which the core decides.
//! Invariants: the core holds no clock, thread, task or I/O; same seed and same calls, same
//! journal; stroops are conserved (balances plus fee pool) by everything but set-up.

mod account;
mod apply;
mod asset;
mod book;
mod checker;
mod close;
mod codes;
mod config;
mod envelope;
mod faults;
mod fee_stats;
mod foreign;
pub mod http;
mod journal;
mod network;
mod queue;
mod rng;
mod setup;
mod validity;

pub use account::{Account, TrustLine};
pub use asset::{AssetError, asset_name, parse_asset};
pub use checker::{CheckReport, Intent, IntentCount, PaidKey, check};
pub use codes::{operation_code, operation_results, transaction_code};
pub use config::{Config, ConfigError};
pub use envelope::TxHash;
pub use faults::{Fault, FaultKind, FaultPlan, FaultPlanError, FaultRule, FaultTarget};
pub use fee_stats::{Distribution, FeeStats};
pub use foreign::{BidWeight, Burst, ForeignError, ForeignTraffic};
pub use journal::{JournalEntry, JournalOperation, OperationKind, memo_name};
pub use network::{LedgerRecord, Network, SubmitAnswer, SubmitOutcome, TransactionRecord};
pub use setup::{AccountSetup, Setup, SetupError, TrustLineSetup};

/// The passphrase of Stellar's test network.
pub const TEST_PASSPHRASE: &str = "Test SDF Network ; September 2015";

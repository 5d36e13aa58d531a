//! The rules' parameters, with the public network's values as defaults.

use crate::foreign::{ForeignError, ForeignTraffic};

/// Parameters of a network. `Config::default()` is the public network's rules under the test
/// passphrase, seed 1, starting at Unix time 0, with no foreign traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The network passphrase; its SHA-256 is the network id.
    pub passphrase: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Unix time in ms at which the first ledger counts as closed.
    pub start_ms: u64,
    /// Time between two closes, in ms; above 0.
    pub close_ms: u64,
    /// Sequence of the ledger that is closed at the start; above 0.
    pub first_ledger: u32,
    /// Operations in one ledger; a fee bump counts as one more operation.
    pub ledger_ops_max: u32,
    /// Size of the queue in full ledgers; beyond it the lowest bids are evicted.
    pub queue_ledgers: u32,
    /// Lowest fee for one operation, in stroops.
    pub base_fee_stroops: i64,
    /// Reserve for one entry, in stroops.
    pub base_reserve_stroops: i64,
    /// Ledgers after which a pending transaction is dropped and banned.
    pub pending_ledgers: u32,
    /// Ledgers for which a hash stays banned.
    pub ban_ledgers: u32,
    /// Traffic of others.
    pub foreign: ForeignTraffic,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            passphrase: crate::TEST_PASSPHRASE.to_owned(),
            seed: 1,
            start_ms: 0,
            close_ms: 5_000,
            first_ledger: 2,
            ledger_ops_max: 1_000,
            queue_ledgers: 2,
            base_fee_stroops: 100,
            base_reserve_stroops: 5_000_000,
            pending_ledgers: 4,
            ban_ledgers: 10,
            foreign: ForeignTraffic::default(),
        }
    }
}

/// Which parameter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A parameter that must be above zero is not.
    #[error("{0} must be above 0")]
    NotPositive(&'static str),
    /// The foreign traffic is malformed.
    #[error("foreign traffic: {0}")]
    Foreign(#[from] ForeignError),
}

impl Config {
    /// Checks every parameter.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("close_ms", self.close_ms > 0),
            ("first_ledger", self.first_ledger > 0),
            ("ledger_ops_max", self.ledger_ops_max > 0),
            ("queue_ledgers", self.queue_ledgers > 0),
            ("base_fee_stroops", self.base_fee_stroops > 0),
            ("base_reserve_stroops", self.base_reserve_stroops > 0),
            ("pending_ledgers", self.pending_ledgers > 0),
            ("ban_ledgers", self.ban_ledgers > 0),
        ];
        for (name, holds) in positive {
            if !holds {
                return Err(ConfigError::NotPositive(name));
            }
        }
        self.foreign.validate()?;
        Ok(())
    }
}

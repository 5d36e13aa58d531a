//! Traffic of others: how many operations they offer each ledger and what they bid, so that
//! surges can be produced. Every draw comes from the seeded stream.

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Most foreign operations that may be offered for one ledger.
pub(crate) const OPS_PER_LEDGER_MAX: u32 = 100_000;

/// One bid and how often it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BidWeight {
    /// Bid for one operation, in stroops.
    pub bid_stroops: i64,
    /// Relative frequency, above 0.
    pub weight: u32,
}

/// A surge that comes back: in the first `length_ledgers` of every `every_ledgers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Period in ledgers, above 0.
    pub every_ledgers: u32,
    /// Length of the surge in ledgers.
    pub length_ledgers: u32,
    /// Operations offered for a ledger of the surge.
    pub ops_per_ledger: u32,
}

/// What others offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForeignTraffic {
    /// Operations offered for each ledger; at most 100,000.
    pub ops_per_ledger: u32,
    /// Largest foreign transaction, in operations: sizes are even over 1 to this; 1 to 100.
    pub tx_ops_max: u32,
    /// The distribution of bids; not empty.
    pub bids: Vec<BidWeight>,
    /// A periodic surge, if any.
    pub burst: Option<Burst>,
}

impl Default for ForeignTraffic {
    fn default() -> Self {
        let bid = |bid_stroops, weight| BidWeight {
            bid_stroops,
            weight,
        };
        Self {
            ops_per_ledger: 0,
            tx_ops_max: 1,
            bids: vec![
                bid(100, 50),
                bid(200, 20),
                bid(500, 15),
                bid(2_000, 10),
                bid(10_000, 5),
            ],
            burst: None,
        }
    }
}

/// Which part of the foreign traffic cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// Too many operations.
    #[error("ops_per_ledger {0} is above 100000")]
    TooManyOps(u32),
    /// A size outside 1 to 100.
    #[error("tx_ops_max {0} is not 1 to 100")]
    TxOps(u32),
    /// No bid at all.
    #[error("bids is empty, expected at least one bid with a weight")]
    NoBids,
    /// More bids than are sensible.
    #[error("bids has {0} entries, at most 1000 are accepted")]
    TooManyBids(usize),
    /// A bid below 1 stroop or above 1,000,000,000, or a weight of 0.
    #[error("bids[{0}] must have bid_stroops 1 to 1000000000 and weight above 0")]
    Bid(usize),
    /// A burst without a period.
    #[error("burst.every_ledgers must be above 0")]
    BurstPeriod,
}

impl ForeignTraffic {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), ForeignError> {
        let burst_ops = self.burst.map_or(0, |b| b.ops_per_ledger);
        for ops in [self.ops_per_ledger, burst_ops] {
            if ops > OPS_PER_LEDGER_MAX {
                return Err(ForeignError::TooManyOps(ops));
            }
        }
        if !(1..=100).contains(&self.tx_ops_max) {
            return Err(ForeignError::TxOps(self.tx_ops_max));
        }
        if self.bids.is_empty() {
            return Err(ForeignError::NoBids);
        }
        if self.bids.len() > 1_000 {
            return Err(ForeignError::TooManyBids(self.bids.len()));
        }
        for (index, bid) in self.bids.iter().enumerate() {
            if !(1..=1_000_000_000).contains(&bid.bid_stroops) || bid.weight == 0 {
                return Err(ForeignError::Bid(index));
            }
        }
        if self.burst.is_some_and(|b| b.every_ledgers == 0) {
            return Err(ForeignError::BurstPeriod);
        }
        Ok(())
    }

    /// The transactions offered for ledger `sequence`, as (bid per operation, operations).
    pub(crate) fn offer(&self, sequence: u32, rng: &mut Rng) -> Vec<(i64, u32)> {
        let mut left = self.ops_for(sequence);
        let total_weight: u64 = self.bids.iter().map(|b| u64::from(b.weight)).sum();
        let mut offered = Vec::new();
        while left > 0 {
            let mut draw = rng.below(total_weight);
            let mut bid_stroops = self.bids[0].bid_stroops;
            for bid in &self.bids {
                bid_stroops = bid.bid_stroops;
                match draw.checked_sub(u64::from(bid.weight)) {
                    Some(rest) => draw = rest,
                    None => break,
                }
            }
            let size = 1 + rng.below(u64::from(self.tx_ops_max));
            let ops = u32::try_from(size).unwrap_or(1).min(left);
            left -= ops;
            offered.push((bid_stroops, ops));
        }
        offered
    }

    fn ops_for(&self, sequence: u32) -> u32 {
        match self.burst {
            Some(b) if sequence % b.every_ledgers < b.length_ledgers => b.ops_per_ledger,
            Some(_) | None => self.ops_per_ledger,
        }
    }
}

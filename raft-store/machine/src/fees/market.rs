//! What is known of the network's fees: the last sample of a ledger endpoint, and what refusals told since.
//!
//! Stellar prices a full ledger by a uniform-price auction: everyone included pays the lowest bid included. So a charge
//! above the base fee is the proof of a full ledger, and a refusal's `feeCharged` the price of the next one.

use crate::units::{LedgerSeq, Stroops, UnixMs};

/// Ledgers for which a refusal's price counts: the sample of the endpoint lags behind it.
const NEEDED_LEDGERS: u32 = 3;
/// How full the last ledgers are when the network counts as busy, in thousandths.
const BUSY_PERMILLE: u16 = 750;

/// A distribution of fees per operation, in stroops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeLevels {
    /// Half are at or below.
    pub p50: Stroops,
    /// 90 % are at or below.
    pub p90: Stroops,
    /// 95 % are at or below.
    pub p95: Stroops,
    /// 99 % are at or below.
    pub p99: Stroops,
    /// The highest.
    pub max: Stroops,
}

/// What an endpoint told of the fees of its last ledgers (Horizon, `fee_stats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeSample {
    /// The last ledger counted.
    pub ledger: LedgerSeq,
    /// The least fee per operation.
    pub base_fee: Stroops,
    /// How full the ledgers were, in thousandths.
    pub usage_permille: u16,
    /// What was bid per operation.
    pub bid: FeeLevels,
    /// What was charged per operation.
    pub charged: FeeLevels,
}

/// How hard it is to get into a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Congestion {
    /// There is room: everyone pays the base fee.
    #[default]
    Calm,
    /// Ledgers are nearly full, or one of them was.
    Busy,
    /// Ledgers are full: room is auctioned.
    Surge,
}

impl Congestion {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Busy => "busy",
            Self::Surge => "surge",
        }
    }
}

/// The network's fees as the cluster knows them. Replicated: it decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Market {
    /// The last sample; all zero before the first.
    pub sample: FeeSample,
    /// When it was taken over.
    pub at: UnixMs,
    /// The highest price per operation that a refusal told lately; 0 for none.
    pub needed: Stroops,
    /// The last ledger for which `needed` counts.
    pub needed_until: LedgerSeq,
}

impl Market {
    /// The market after a newer sample.
    #[must_use]
    pub fn sampled(self, sample: FeeSample, at: UnixMs) -> Self {
        let forgotten = sample.ledger > self.needed_until;
        Self {
            sample,
            at,
            needed: if forgotten { Stroops(0) } else { self.needed },
            needed_until: self.needed_until,
        }
    }

    /// The market after a refusal that would have needed `price` per operation.
    #[must_use]
    pub fn refused(self, price: Stroops) -> Self {
        Self {
            needed: self.needed.max(price),
            needed_until: LedgerSeq(self.sample.ledger.0.saturating_add(NEEDED_LEDGERS)),
            ..self
        }
    }

    /// How hard it is to get into a ledger now.
    #[must_use]
    pub fn congestion(&self) -> Congestion {
        let FeeSample {
            base_fee,
            usage_permille,
            charged,
            ..
        } = self.sample;
        if self.needed > base_fee || charged.p50 > base_fee {
            Congestion::Surge
        } else if usage_permille >= BUSY_PERMILLE || charged.max > base_fee {
            Congestion::Busy
        } else {
            Congestion::Calm
        }
    }

    /// What an operation is likely to cost in the next ledger: the base fee while there is room, the last known price
    /// of a full one otherwise.
    #[must_use]
    pub fn price(&self, base: Stroops) -> Stroops {
        let base = base.max(self.sample.base_fee);
        match self.congestion() {
            Congestion::Calm | Congestion::Busy => base,
            Congestion::Surge => base.max(self.needed).max(self.sample.charged.p50),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ledger: u32, usage_permille: u16, charged: (i64, i64)) -> FeeSample {
        FeeSample {
            ledger: LedgerSeq(ledger),
            base_fee: Stroops(100),
            usage_permille,
            bid: FeeLevels::default(),
            charged: FeeLevels {
                p50: Stroops(charged.0),
                max: Stroops(charged.1),
                ..FeeLevels::default()
            },
        }
    }

    #[test]
    fn a_charge_above_the_base_fee_proves_a_full_ledger() {
        let check = |sample, expected| {
            let market = Market::default().sampled(sample, UnixMs(1));
            assert_eq!(market.congestion(), expected, "{market:?}");
        };
        check(sample(5, 200, (100, 100)), Congestion::Calm);
        check(sample(5, 750, (100, 100)), Congestion::Busy);
        check(sample(5, 200, (100, 400)), Congestion::Busy);
        check(sample(5, 200, (101, 400)), Congestion::Surge);
        assert_eq!(Market::default().congestion(), Congestion::Calm);
    }

    #[test]
    fn a_refusal_counts_for_three_ledgers() {
        let market = Market::default().sampled(sample(5, 0, (100, 100)), UnixMs(1));
        let refused = market.refused(Stroops(900));
        assert_eq!(refused.congestion(), Congestion::Surge);
        assert_eq!(refused.price(Stroops(100)), Stroops(900));
        let later = refused.sampled(sample(8, 0, (100, 100)), UnixMs(2));
        assert_eq!(later.price(Stroops(100)), Stroops(900));
        let after = later.sampled(sample(9, 0, (100, 100)), UnixMs(3));
        assert_eq!(after.congestion(), Congestion::Calm);
        assert_eq!(after.price(Stroops(100)), Stroops(100));
    }
}

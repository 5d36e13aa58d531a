//! What to bid for an operation: by lane, from what others bid and what refusals told, within the caps.
//!
//! A bid is the most that is paid, not what is paid: while there is room everyone pays the base fee, so a high bid costs
//! nothing in a calm network and keeps an urgent payment out of a queue when the calm ends.

use crate::command::Policy;
use crate::fees::market::{Congestion, Market};
use crate::units::{Lane, Stroops};

/// Why a bid is what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BidReason {
    /// The base fee: there is room.
    #[default]
    Base,
    /// A percentile of what others bid lately.
    Percentile,
    /// The price that the last refusals told, with a tenth on top.
    Needed,
    /// The cap: more was needed.
    Cap,
}

impl BidReason {
    /// Its stable number in rows.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Base => 0,
            Self::Percentile => 1,
            Self::Needed => 2,
            Self::Cap => 3,
        }
    }

    /// The reason with that number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Base),
            1 => Some(Self::Percentile),
            2 => Some(Self::Needed),
            3 => Some(Self::Cap),
            _ => None,
        }
    }
}

/// A bid per operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bid {
    /// The first bid.
    pub per_operation: Stroops,
    /// The highest it may rise to.
    pub cap: Stroops,
    /// Why.
    pub reason: BidReason,
}

/// The lane that a payment of `lane` counts for after it waited `age_ms`: the next one once nine tenths of its lane's
/// deadline are over. One step, so that nobody's bulk ever competes with what is critical.
#[must_use]
pub fn aged(policy: &Policy, lane: Lane, age_ms: u64) -> Lane {
    if age_ms < policy.lane(lane).urgent_after_ms() {
        return lane;
    }
    match lane {
        Lane::Low => Lane::Medium,
        Lane::Medium => Lane::High,
        Lane::High | Lane::Critical => Lane::Critical,
    }
}

/// What to bid for an operation of a payment in `lane`, already aged; `own_cap` is the payment's.
#[must_use]
pub fn bid(policy: &Policy, market: &Market, lane: Lane, own_cap: Option<Stroops>) -> Bid {
    let base = policy.fee_base.max(market.sample.base_fee);
    let cap = policy.lane(lane).fee_cap.min(policy.fee_cap);
    let cap = own_cap.map_or(cap, |own| own.min(cap)).max(policy.fee_base);
    let others = market.sample.bid;
    let percentile = match (lane, market.congestion()) {
        (Lane::Low, _) | (Lane::Medium, Congestion::Calm) => base,
        (Lane::Medium, Congestion::Busy | Congestion::Surge) => others.p50,
        (Lane::High, _) => others.p90,
        (Lane::Critical, _) => tenth_more(others.p99),
    };
    let needed = tenth_more(market.needed);
    let wanted = base.max(percentile).max(needed);
    let reason = if wanted > cap {
        BidReason::Cap
    } else if wanted == base {
        BidReason::Base
    } else if wanted == needed {
        BidReason::Needed
    } else {
        BidReason::Percentile
    };
    Bid {
        per_operation: wanted.min(cap),
        cap,
        reason,
    }
}

/// A tenth on top, rounded up.
#[must_use]
pub fn tenth_more(fee: Stroops) -> Stroops {
    let tenth = fee.0.max(0).saturating_add(9).checked_div(10).unwrap_or(0);
    Stroops(fee.0.saturating_add(tenth))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fees::market::{FeeLevels, FeeSample};
    use crate::units::{LedgerSeq, UnixMs};

    fn market(charged_p50: i64) -> Market {
        let sample = FeeSample {
            ledger: LedgerSeq(7),
            base_fee: Stroops(100),
            usage_permille: 300,
            bid: FeeLevels {
                p50: Stroops(300),
                p90: Stroops(2_000),
                p95: Stroops(3_000),
                p99: Stroops(10_000),
                max: Stroops(90_000),
            },
            charged: FeeLevels {
                p50: Stroops(charged_p50),
                max: Stroops(charged_p50),
                ..FeeLevels::default()
            },
        };
        Market::default().sampled(sample, UnixMs(1))
    }

    fn check(market: &Market, lane: Lane, stroops: i64, reason: BidReason) {
        let found = bid(&Policy::default(), market, lane, None);
        assert_eq!(
            (found.per_operation.0, found.reason),
            (stroops, reason),
            "{lane:?}"
        );
    }

    #[test]
    fn in_a_calm_network_only_the_urgent_bid_more() {
        check(&market(100), Lane::Low, 100, BidReason::Base);
        check(&market(100), Lane::Medium, 100, BidReason::Base);
        check(&market(100), Lane::High, 2_000, BidReason::Percentile);
        check(&market(100), Lane::Critical, 11_000, BidReason::Percentile);
    }

    #[test]
    fn in_a_surge_each_lane_bids_within_its_cap() {
        let surge = market(900).refused(Stroops(5_000));
        check(&surge, Lane::Low, 150, BidReason::Cap);
        check(&surge, Lane::Medium, 5_500, BidReason::Needed);
        check(&surge, Lane::Critical, 11_000, BidReason::Percentile);
        let own = bid(
            &Policy::default(),
            &surge,
            Lane::Medium,
            Some(Stroops(1_000)),
        );
        assert_eq!(
            (own.per_operation, own.cap),
            (Stroops(1_000), Stroops(1_000))
        );
    }

    #[test]
    fn a_lane_ages_once() {
        let policy = Policy::default();
        let deadline_ms = policy.lane(Lane::Low).deadline_ms;
        assert_eq!(aged(&policy, Lane::Low, 0), Lane::Low);
        assert_eq!(aged(&policy, Lane::Low, deadline_ms), Lane::Medium);
        assert_eq!(aged(&policy, Lane::Low, u64::MAX), Lane::Medium);
        assert_eq!(aged(&policy, Lane::Critical, u64::MAX), Lane::Critical);
    }
}

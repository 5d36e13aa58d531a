//! What a batch will cost and when it settles, told before it is sent; the fact stands beside it afterwards.
//!
//! The upper bound is a promise: a batch never bids above its cap, and at most one of its transactions applies.

use crate::fees::bid::Bid;
use crate::fees::market::{Congestion, Market};
use crate::units::{LedgerSeq, Stroops, UnixMs};

/// The usual time from ledger to ledger, in milliseconds (Stellar protocol: about 5 s).
pub const LEDGER_MS: u64 = 5_000;

/// What a batch is expected to cost, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// What the fee account is likely to pay for the whole batch.
    pub fee_expected: Stroops,
    /// The most it can pay.
    pub fee_max: Stroops,
    /// The ledger it is expected in; 0 when no ledger is known yet.
    pub ledger: LedgerSeq,
    /// How likely it is in that ledger or an earlier one, in thousandths.
    pub probability_permille: u16,
}

/// The fee of a bump with `payments` operations at a price per operation; the bump counts as one more.
#[must_use]
pub fn fee_of(price: Stroops, payments: usize) -> Stroops {
    let operations = i64::try_from(payments)
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    Stroops(price.0.saturating_mul(operations))
}

/// What a batch of so many payments with this bid will cost if it is sent at `now`.
#[must_use]
pub fn predict(
    market: &Market,
    bid: Bid,
    base: Stroops,
    payments: usize,
    now: UnixMs,
) -> Prediction {
    let price = market.price(base);
    let (ledgers, probability_permille) = chance(market, bid.per_operation);
    Prediction {
        // A bid below the price waits until the price is back at it.
        fee_expected: fee_of(price.min(bid.per_operation), payments),
        fee_max: fee_of(bid.cap, payments),
        ledger: next_ledger(market, now, ledgers),
        probability_permille,
    }
}

/// How many ledgers a bid waits, and how sure that is: by its rank among what others bid while room is auctioned.
fn chance(market: &Market, bid: Stroops) -> (u32, u16) {
    let others = market.sample.bid;
    match market.congestion() {
        Congestion::Calm => (1, 970),
        Congestion::Busy => (1, 900),
        Congestion::Surge if bid < market.price(market.sample.base_fee) => (12, 500),
        Congestion::Surge if bid >= others.p99 => (1, 950),
        Congestion::Surge if bid >= others.p90 => (1, 850),
        Congestion::Surge if bid >= others.p50 => (2, 700),
        Congestion::Surge => (3, 600),
    }
}

/// The ledger that is `ahead` of the one open now, as far as the last sample tells.
fn next_ledger(market: &Market, now: UnixMs, ahead: u32) -> LedgerSeq {
    let known = market.sample.ledger;
    if known == LedgerSeq(0) {
        return known;
    }
    let closed = now.since(market.at).checked_div(LEDGER_MS).unwrap_or(0);
    let closed = u32::try_from(closed).unwrap_or(u32::MAX);
    LedgerSeq(
        known
            .0
            .saturating_add(closed)
            .saturating_add(1)
            .saturating_add(ahead),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Policy;
    use crate::fees::bid::bid;
    use crate::fees::market::{FeeLevels, FeeSample};
    use crate::units::Lane;

    #[test]
    fn a_batch_pays_for_its_bump_and_never_above_the_bound() {
        let policy = Policy::default();
        let calm = Market::default();
        let first = bid(&policy, &calm, Lane::Medium, None);
        let told = predict(&calm, first, policy.fee_base, 100, UnixMs(0));
        assert_eq!(told.fee_expected, Stroops(10_100));
        assert_eq!(told.fee_max, fee_of(policy.lane(Lane::Medium).fee_cap, 100));
        assert_eq!(told.ledger, LedgerSeq(0));
    }

    #[test]
    fn a_bid_below_the_price_is_told_to_wait() {
        let policy = Policy::default();
        let sample = FeeSample {
            ledger: LedgerSeq(40),
            base_fee: Stroops(100),
            usage_permille: 1_000,
            bid: FeeLevels::default(),
            charged: FeeLevels {
                p50: Stroops(2_100),
                ..FeeLevels::default()
            },
        };
        let surge = Market::default().sampled(sample, UnixMs(1_000));
        let low = bid(&policy, &surge, Lane::Low, None);
        let told = predict(&surge, low, policy.fee_base, 1, UnixMs(11_000));
        assert_eq!(told.fee_expected, Stroops(200));
        assert_eq!(told.ledger, LedgerSeq(40 + 2 + 1 + 12));
        assert!(told.probability_permille <= 500);
    }
}

//! What payments would cost, and when they would settle, if they were submitted now.

use crate::command::Policy;
use crate::fees::bid::{Bid, BidReason, aged, bid};
use crate::fees::charge::{Charge, charge};
use crate::fees::market::{Congestion, Market};
use crate::fees::predict::{LEDGER_MS, Prediction, fee_of, predict};
use crate::units::{Lane, LedgerSeq, Stroops, UnixMs};

/// Full transactions that a ledger of 1,000 operations holds without an auction among ourselves.
const BATCHES_PER_LEDGER: usize = 9;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In which lane.
    pub lane: Lane,
    /// How many payments, submitted together; none is taken for one.
    pub payments: usize,
    /// Their own cap for a bid per operation.
    pub own_cap: Option<Stroops>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// In how many transactions.
    pub batches: usize,
    /// The first bid per operation.
    pub bid: Stroops,
    /// Why.
    pub reason: BidReason,
    /// What they are likely to cost, and the most, together; the ledger of the last one.
    pub prediction: Prediction,
    /// How long they wait before they are sent, at most, in milliseconds.
    pub wait_ms: u64,
    /// What each alone in a fee bump would pay at the same price, together.
    pub list: Stroops,
    /// What would be charged for them.
    pub charged: Stroops,
}

/// What all transactions of a quote come to.
#[derive(Default)]
struct Sum {
    expected: Stroops,
    max: Stroops,
    list: Stroops,
    charged: Stroops,
}

impl Sum {
    fn add(&mut self, count: usize, told: &Prediction, charge: Charge) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        for (total, fee) in [
            (&mut self.expected, told.fee_expected),
            (&mut self.max, told.fee_max),
            (&mut self.list, charge.list),
            (&mut self.charged, charge.charged),
        ] {
            total.0 = total.0.saturating_add(fee.0.saturating_mul(count));
        }
    }
}

/// Answers from the policy and the market alone: what else waits is not looked at.
#[must_use]
pub fn quote(policy: &Policy, market: &Market, asked: Asked, now: UnixMs) -> Quote {
    let Asked {
        lane,
        payments,
        own_cap,
    } = asked;
    let payments = payments.max(1);
    let surge = market.congestion() == Congestion::Surge;
    let size_max = if surge {
        policy.surge_size_max.min(policy.batch_size_max)
    } else {
        policy.batch_size_max
    };
    let size_max = usize::from(size_max).max(1);
    let full = payments.checked_div(size_max).unwrap_or(0);
    let rest = payments.checked_rem(size_max).unwrap_or(0);
    let first = bid(policy, market, lane, own_cap);
    // Who waits past nine tenths of the deadline counts for the next lane, with its cap.
    let late = bid(policy, market, aged(policy, lane, u64::MAX), own_cap);
    let bound = Bid {
        cap: first.cap.max(late.cap),
        ..first
    };
    let told = predict(market, bound, policy.fee_base, size_max, now);
    let mut sum = Sum::default();
    for (size, count) in [(size_max, full), (rest, usize::from(rest > 0))] {
        let told = predict(market, bound, policy.fee_base, size, now);
        let price = market.price(policy.fee_base).min(first.per_operation);
        sum.add(count, &told, charge(policy, size, fee_of(price, size)));
    }
    let batches = full.saturating_add(usize::from(rest > 0));
    let wait_ms = wait_ms(
        policy,
        lane,
        if full > 0 && rest == 0 {
            size_max
        } else {
            rest
        },
        surge,
    );
    let later = wait_ms.checked_div(LEDGER_MS).unwrap_or(0);
    let queue = batches.saturating_sub(1).checked_div(BATCHES_PER_LEDGER);
    let later = u32::try_from(later)
        .unwrap_or(u32::MAX)
        .saturating_add(u32::try_from(queue.unwrap_or(0)).unwrap_or(u32::MAX));
    let ledger = match told.ledger {
        LedgerSeq(0) => LedgerSeq(0),
        LedgerSeq(next) => LedgerSeq(next.saturating_add(later)),
    };
    Quote {
        batches,
        bid: first.per_operation,
        reason: first.reason,
        prediction: Prediction {
            fee_expected: sum.expected,
            fee_max: sum.max,
            ledger,
            probability_permille: told.probability_permille,
        },
        wait_ms,
        list: sum.list,
        charged: sum.charged,
    }
}

/// How long a batch of so many payments waits for company or for a cheaper ledger.
fn wait_ms(policy: &Policy, lane: Lane, size: usize, surge: bool) -> u64 {
    let company_ms = if lane >= policy.immediate_from || size >= usize::from(policy.batch_size_max)
    {
        0
    } else if size >= usize::from(policy.batch_size_min) {
        policy.batch_timeout_ms
    } else {
        policy.batch_timeout_ms.saturating_mul(2)
    };
    let deferred = surge && policy.defer_up_to.is_some_and(|up_to| lane <= up_to);
    if deferred {
        company_ms.max(policy.lane(lane).urgent_after_ms())
    } else {
        company_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fees::market::{FeeLevels, FeeSample};

    fn ask(market: &Market, lane: Lane, payments: usize) -> Quote {
        let asked = Asked {
            lane,
            payments,
            own_cap: None,
        };
        quote(&Policy::default(), market, asked, UnixMs(0))
    }

    #[test]
    fn a_calm_network_is_quoted_at_the_base_fee() {
        let calm = Market::default();
        let check = |payments, batches, expected, list| {
            let told = ask(&calm, Lane::Medium, payments);
            assert_eq!(told.batches, batches);
            assert_eq!(told.prediction.fee_expected, Stroops(expected));
            assert_eq!(told.list, Stroops(list));
        };
        check(0, 1, 200, 200);
        check(1, 1, 200, 200);
        check(100, 1, 10_100, 20_000);
        check(250, 3, 25_300, 50_000);
        assert_eq!(ask(&calm, Lane::Medium, 1).wait_ms, 10_000);
        assert_eq!(ask(&calm, Lane::Medium, 5).wait_ms, 5_000);
        assert_eq!(ask(&calm, Lane::Critical, 1).wait_ms, 0);
    }

    #[test]
    fn in_a_surge_low_is_told_to_wait_and_what_it_may_cost_then() {
        let charged = FeeLevels {
            p50: Stroops(2_100),
            ..FeeLevels::default()
        };
        let sample = FeeSample {
            ledger: LedgerSeq(9),
            base_fee: Stroops(100),
            charged,
            ..FeeSample::default()
        };
        let surge = Market::default().sampled(sample, UnixMs(0));
        let told = ask(&surge, Lane::Low, 1);
        let policy = Policy::default();
        assert_eq!(told.wait_ms, policy.low.urgent_after_ms());
        assert_eq!(told.prediction.fee_max, fee_of(policy.medium.fee_cap, 1));
        assert!(told.prediction.ledger > LedgerSeq(600));
    }
}

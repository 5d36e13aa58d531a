//! Replacing the policy: every number is checked, and only the version last read can be replaced.

use alloc::string::ToString;
use alloc::vec;

use crate::command::{LanePolicy, Policy, SetPolicy};
use crate::decision::{Change, Decision, Rejection, Reply};
use crate::fees::charge::{DiscountTier, TIERS_MAX};
use crate::fields::{refused, within};
use crate::state::State;
use crate::step::Context;
use crate::units::Stroops;

/// Longest wait a policy may ask for: one day, in milliseconds.
const WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Shortest deadline of a lane: two ledgers, in milliseconds.
const DEADLINE_MS_MIN: u64 = 10_000;
/// Longest deadline of a lane: a week, in milliseconds.
const DEADLINE_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Least fee per operation the network takes (Stellar protocol).
const FEE_STROOPS_MIN: i64 = 100;
/// Highest bid per operation a policy may allow: 10 lumens, far above any surge so far.
const FEE_STROOPS_MAX: i64 = 100_000_000;

/// Decides a change of policy.
///
/// # Errors
/// `PolicyVersion` when somebody else changed it first, `Field`, `PolicyStrands`.
pub fn decide(
    state: &State,
    _ctx: &Context<'_, '_>,
    set: &SetPolicy,
) -> Result<Decision, Rejection> {
    let actual = state.policy().version;
    if set.version_seen != actual {
        return Err(Rejection::PolicyVersion { actual });
    }
    check(&set.policy)?;
    strands_nobody(state, &set.policy)?;
    let version = actual.saturating_add(1);
    let policy = Policy {
        version,
        ..set.policy.clone()
    };
    Ok(Decision {
        changes: vec![Change::PutPolicy(policy)],
        reply: Reply::PolicySet { version },
    })
}

/// Checks every number of a policy, for the machine and for those who want to know beforehand.
///
/// # Errors
/// `Field` for the first one out of its bounds.
pub fn check(policy: &Policy) -> Result<(), Rejection> {
    let Policy {
        version: _,
        batch_size_max,
        batch_size_min,
        batch_timeout_ms,
        immediate_from: _,
        retries_max,
        backoff_base_ms,
        backoff_max_ms,
        fee_base: _,
        fee_cap: _,
        low: _,
        medium: _,
        high: _,
        critical: _,
        defer_up_to: _,
        surge_size_max,
        discounts,
        below_cost: _,
    } = policy;
    within(
        "batch_size_max",
        batch_size_max,
        (1, 100),
        "1 to 100 payments",
    )?;
    let sizes = (1, *batch_size_max);
    within(
        "batch_size_min",
        batch_size_min,
        sizes,
        "1 to batch_size_max payments",
    )?;
    let waits = (1, WAIT_MS_MAX);
    within(
        "batch_timeout_ms",
        batch_timeout_ms,
        waits,
        "1 to 86400000 ms",
    )?;
    within("retries_max", retries_max, (0, 1_000), "0 to 1000 retries")?;
    within(
        "backoff_base_ms",
        backoff_base_ms,
        waits,
        "1 to 86400000 ms",
    )?;
    let waits = (*backoff_base_ms, WAIT_MS_MAX);
    within(
        "backoff_max_ms",
        backoff_max_ms,
        waits,
        "backoff_base_ms to 86400000 ms",
    )?;
    check_fees(policy)?;
    check_lanes(policy)?;
    within(
        "surge_size_max",
        surge_size_max,
        (1, 100),
        "1 to 100 payments",
    )?;
    check_discounts(discounts)
}

fn check_fees(policy: &Policy) -> Result<(), Rejection> {
    let fees = (FEE_STROOPS_MIN, FEE_STROOPS_MAX);
    within(
        "fee_base_stroops",
        &policy.fee_base.0,
        fees,
        "100 to 100000000 stroops",
    )?;
    let fees = (policy.fee_base.0, FEE_STROOPS_MAX);
    within(
        "fee_cap_stroops",
        &policy.fee_cap.0,
        fees,
        "fee_base_stroops to 100000000 stroops",
    )
}

fn check_lanes(policy: &Policy) -> Result<(), Rejection> {
    let lanes = [
        (("low.deadline_ms", "low.fee_cap_stroops"), &policy.low),
        (
            ("medium.deadline_ms", "medium.fee_cap_stroops"),
            &policy.medium,
        ),
        (("high.deadline_ms", "high.fee_cap_stroops"), &policy.high),
        (
            ("critical.deadline_ms", "critical.fee_cap_stroops"),
            &policy.critical,
        ),
    ];
    for (fields, lane) in lanes {
        check_lane(fields, lane, (policy.fee_base, policy.fee_cap))?;
    }
    Ok(())
}

fn check_lane(
    (deadline, cap): (&'static str, &'static str),
    lane: &LanePolicy,
    (fee_base, fee_cap): (Stroops, Stroops),
) -> Result<(), Rejection> {
    let LanePolicy {
        deadline_ms,
        fee_cap: lane_cap,
    } = lane;
    within(
        deadline,
        deadline_ms,
        (DEADLINE_MS_MIN, DEADLINE_MS_MAX),
        "10000 to 604800000 ms",
    )?;
    within(
        cap,
        &lane_cap.0,
        (fee_base.0, fee_cap.0),
        "fee_base_stroops to fee_cap_stroops",
    )
}

fn check_discounts(discounts: &[DiscountTier]) -> Result<(), Rejection> {
    within(
        "discounts",
        &discounts.len(),
        (0, TIERS_MAX),
        "at most 8 tiers",
    )?;
    for tier in discounts {
        let DiscountTier {
            from_payments,
            discount_permille,
        } = tier;
        within(
            "discounts.from_payments",
            from_payments,
            (1, 100),
            "1 to 100 payments",
        )?;
        within(
            "discounts.discount_permille",
            discount_permille,
            (0, 1_000),
            "0 to 1000 thousandths",
        )?;
    }
    let rising = discounts.windows(2).all(|pair| match pair {
        [lower, higher] => {
            lower.from_payments < higher.from_payments
                && lower.discount_permille <= higher.discount_permille
        }
        _ => true,
    });
    if rising {
        Ok(())
    } else {
        let value = discounts.len().to_string();
        let expected = "tiers in rising order of size and discount";
        Err(refused("discounts", &value, expected))
    }
}

/// Payments that allow less than the first bid would wait for ever.
fn strands_nobody(state: &State, policy: &Policy) -> Result<(), Rejection> {
    let stranded = state.groups().iter().filter_map(|(key, group)| {
        let cap = key.fee_cap.filter(|cap| *cap < policy.fee_base)?;
        Some((cap, u64::try_from(group.len()).unwrap_or(u64::MAX)))
    });
    let (caps, payments) = stranded.fold((None, 0_u64), |(caps, payments), (cap, count)| {
        let highest = caps.map_or(cap, |known: Stroops| known.max(cap));
        (Some(highest), payments.saturating_add(count))
    });
    match caps {
        None => Ok(()),
        Some(fee_cap) => Err(Rejection::PolicyStrands {
            payments,
            fee_cap,
            fee_base: policy.fee_base,
        }),
    }
}

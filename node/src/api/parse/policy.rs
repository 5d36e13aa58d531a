//! A policy of the API as the machine has it; whether its bounds make sense the machine decides, for every door.

use stellara_machine::command::{LanePolicy, Policy};
use stellara_machine::fees::charge::{BelowCost, DiscountTier};
use stellara_machine::units::{Lane, Stroops};
use stellara_proto::v1;

use super::{Invalid, lane, refused};

/// The whole policy; its version is not looked at.
///
/// # Errors
/// The first field that is absent or does not fit its type.
pub fn policy(policy: Option<v1::Policy>) -> Result<Policy, Invalid> {
    let policy = policy.ok_or_else(|| refused("policy", "", "the whole policy"))?;
    let lane_of = |field: &'static str, found: Option<v1::LanePolicy>| {
        let found = found.ok_or_else(|| refused(field, "", "the lane's deadline and cap"))?;
        Ok(LanePolicy {
            deadline_ms: found.deadline_ms,
            fee_cap: Stroops(found.fee_cap_stroops),
        })
    };
    Ok(Policy {
        version: 0,
        batch_size_max: small("policy.batch_size_max", policy.batch_size_max)?,
        batch_size_min: small("policy.batch_size_min", policy.batch_size_min)?,
        batch_timeout_ms: policy.batch_timeout_ms,
        immediate_from: named_lane("policy.immediate_from", policy.immediate_from)?,
        retries_max: small("policy.retries_max", policy.retries_max)?,
        backoff_base_ms: policy.backoff_base_ms,
        backoff_max_ms: policy.backoff_max_ms,
        fee_base: Stroops(policy.fee_base_stroops),
        fee_cap: Stroops(policy.fee_cap_stroops),
        low: lane_of("policy.low", policy.low)?,
        medium: lane_of("policy.medium", policy.medium)?,
        high: lane_of("policy.high", policy.high)?,
        critical: lane_of("policy.critical", policy.critical)?,
        defer_up_to: match policy.defer_up_to {
            0 => None,
            priority => Some(lane("policy.defer_up_to", priority)?),
        },
        surge_size_max: small("policy.surge_size_max", policy.surge_size_max)?,
        discounts: policy
            .discounts
            .iter()
            .map(|tier| {
                Ok(DiscountTier {
                    from_payments: small("policy.discounts.from_payments", tier.from_payments)?,
                    discount_permille: small(
                        "policy.discounts.discount_permille",
                        tier.discount_permille,
                    )?,
                })
            })
            .collect::<Result<_, Invalid>>()?,
        below_cost: if policy.below_cost_allowed {
            BelowCost::Allowed
        } else {
            BelowCost::Raised
        },
    })
}

fn small(field: &'static str, number: u32) -> Result<u16, Invalid> {
    u16::try_from(number).map_err(|_| refused(field, &number.to_string(), "0 to 65535"))
}

/// A priority that must be told.
fn named_lane(field: &'static str, priority: i32) -> Result<Lane, Invalid> {
    match priority {
        0 => Err(refused(field, "", "low, medium, high or critical")),
        priority => lane(field, priority),
    }
}

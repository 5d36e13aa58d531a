//! The policy as the log and the rows keep it.

use stellara_machine::command::{LanePolicy, Policy};
use stellara_machine::fees::charge::{BelowCost, DiscountTier};
use stellara_machine::units::Stroops;
use stellara_proto::v1::log;

use super::{DecodeError, lane, small};

/// The policy in a message.
#[must_use]
pub fn policy_to_proto(policy: &Policy) -> log::Policy {
    log::Policy {
        version: policy.version,
        batch_size_max: u32::from(policy.batch_size_max),
        batch_size_min: u32::from(policy.batch_size_min),
        batch_timeout_ms: policy.batch_timeout_ms,
        immediate_from: u32::from(policy.immediate_from.number()),
        retries_max: u32::from(policy.retries_max),
        backoff_base_ms: policy.backoff_base_ms,
        backoff_max_ms: policy.backoff_max_ms,
        fee_base_stroops: policy.fee_base.0,
        fee_cap_stroops: policy.fee_cap.0,
        low: Some(lane_to_proto(&policy.low)),
        medium: Some(lane_to_proto(&policy.medium)),
        high: Some(lane_to_proto(&policy.high)),
        critical: Some(lane_to_proto(&policy.critical)),
        defer_up_to: policy
            .defer_up_to
            .map_or(0, |lane| u32::from(lane.number())),
        surge_size_max: u32::from(policy.surge_size_max),
        discounts: policy
            .discounts
            .iter()
            .map(|tier| log::DiscountTier {
                from_payments: u32::from(tier.from_payments),
                discount_permille: u32::from(tier.discount_permille),
            })
            .collect(),
        below_cost_allowed: match policy.below_cost {
            BelowCost::Raised => false,
            BelowCost::Allowed => true,
        },
    }
}

/// The policy of a message; lanes that are absent are those of the built-in policy.
///
/// # Errors
/// `DecodeError` names the field at fault; whether the bounds make sense the machine decides.
pub fn policy_from_proto(policy: log::Policy) -> Result<Policy, DecodeError> {
    let built_in = Policy::default();
    let lane_of = |found: Option<log::LanePolicy>, built_in: LanePolicy| {
        found.map_or(built_in, |found| LanePolicy {
            deadline_ms: found.deadline_ms,
            fee_cap: Stroops(found.fee_cap_stroops),
        })
    };
    Ok(Policy {
        version: policy.version,
        batch_size_max: small("batch_size_max", policy.batch_size_max)?,
        batch_size_min: small("batch_size_min", policy.batch_size_min)?,
        batch_timeout_ms: policy.batch_timeout_ms,
        immediate_from: lane(policy.immediate_from)?,
        retries_max: small("retries_max", policy.retries_max)?,
        backoff_base_ms: policy.backoff_base_ms,
        backoff_max_ms: policy.backoff_max_ms,
        fee_base: Stroops(policy.fee_base_stroops),
        fee_cap: Stroops(policy.fee_cap_stroops),
        low: lane_of(policy.low, built_in.low),
        medium: lane_of(policy.medium, built_in.medium),
        high: lane_of(policy.high, built_in.high),
        critical: lane_of(policy.critical, built_in.critical),
        defer_up_to: match policy.defer_up_to {
            0 => None,
            number => Some(lane(number)?),
        },
        surge_size_max: small("surge_size_max", policy.surge_size_max)?,
        discounts: policy
            .discounts
            .iter()
            .map(|tier| {
                Ok(DiscountTier {
                    from_payments: small("from_payments", tier.from_payments)?,
                    discount_permille: small("discount_permille", tier.discount_permille)?,
                })
            })
            .collect::<Result<_, DecodeError>>()?,
        below_cost: if policy.below_cost_allowed {
            BelowCost::Allowed
        } else {
            BelowCost::Raised
        },
    })
}

fn lane_to_proto(lane: &LanePolicy) -> log::LanePolicy {
    log::LanePolicy {
        deadline_ms: lane.deadline_ms,
        fee_cap_stroops: lane.fee_cap.0,
    }
}

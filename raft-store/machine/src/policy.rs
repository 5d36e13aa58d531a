//! Replacing the policy: every number is checked, and only the version last read can be replaced.

use alloc::vec;

use crate::command::{Policy, SetPolicy};
use crate::decision::{Change, Decision, Rejection, Reply};
use crate::fields::within;
use crate::state::State;
use crate::step::Context;

/// Longest wait a policy may ask for: one day, in milliseconds.
const WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Least fee per operation the network takes (Stellar protocol).
const FEE_STROOPS_MIN: i64 = 100;
/// Highest bid per operation a policy may allow: 10 lumens, far above any surge so far.
const FEE_STROOPS_MAX: i64 = 100_000_000;

/// Decides a change of policy.
///
/// # Errors
/// `PolicyVersion` when somebody else changed it first, `Field`.
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
        fee_base,
        fee_cap,
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
    let fees = (FEE_STROOPS_MIN, FEE_STROOPS_MAX);
    within(
        "fee_base_stroops",
        &fee_base.0,
        fees,
        "100 to 100000000 stroops",
    )?;
    let fees = (fee_base.0, FEE_STROOPS_MAX);
    within(
        "fee_cap_stroops",
        &fee_cap.0,
        fees,
        "fee_base_stroops to 100000000 stroops",
    )
}

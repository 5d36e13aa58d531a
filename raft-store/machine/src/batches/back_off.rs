//! How long to wait after a failure: doubling, bounded, spread by a draw from the log index.

use crate::command::Policy;
use crate::step::Context;
use crate::units::UnixMs;

/// The moment until which to wait after the failure number `failures`, counted from 1.
///
/// Between half of the doubled wait and all of it, and at least a millisecond.
pub(crate) fn until(ctx: &Context<'_, '_>, policy: &Policy, failures: u16) -> UnixMs {
    let doublings = u32::from(failures.saturating_sub(1)).min(63);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let wait_ms = policy
        .backoff_base_ms
        .saturating_mul(factor)
        .min(policy.backoff_max_ms);
    let half_ms = wait_ms >> 1;
    let choices = wait_ms.saturating_sub(half_ms).saturating_add(1);
    let jitter_ms = draw(ctx).checked_rem(choices).unwrap_or(0);
    ctx.now.plus(half_ms.saturating_add(jitter_ms).max(1))
}

/// A number that every replica draws alike: splitmix64 over the command's place in the log.
fn draw(ctx: &Context<'_, '_>) -> u64 {
    let place = (ctx.index.0 << 16) | u64::from(ctx.offset);
    let mut mixed = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

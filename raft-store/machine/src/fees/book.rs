//! The book of fees: for each hour and lane what was settled, what it cost, what was predicted and how long it took.
//!
//! Baselines of a saving are named: *bumped singles* is each payment alone in a fee bump at the same price (what
//! sponsored submission services send), *plain singles* each alone and unbumped.

use crate::decision::{Batch, BatchStage};
use crate::fees::charge::Charge;
use crate::units::{Lane, Stroops, UnixMs};

/// An hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;
/// Classes of waits: two for each doubling from `WAIT_MS_FIRST` on.
pub const WAITS: usize = 40;
/// The upper bound of the first class of waits, in milliseconds.
const WAIT_MS_FIRST: u64 = 64;

/// What one lane did in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneHour {
    /// Payments settled.
    pub payments: u64,
    /// Batches settled.
    pub batches: u64,
    /// What the network took for them.
    pub fee_charged: Stroops,
    /// What it took for transactions that failed and were rolled back.
    pub fee_lost: Stroops,
    /// What bumped singles would have paid at the same price.
    pub bumped_singles: Stroops,
    /// What was charged to developers.
    pub charged: Stroops,
    /// What the predictions had told for the settled batches.
    pub fee_predicted: Stroops,
    /// The sum of what each prediction was off, whichever way.
    pub fee_error: Stroops,
    /// Settled payments by how long they took from acceptance.
    pub waits: [u32; WAITS],
}

impl Default for LaneHour {
    fn default() -> Self {
        Self {
            payments: 0,
            batches: 0,
            fee_charged: Stroops(0),
            fee_lost: Stroops(0),
            bumped_singles: Stroops(0),
            charged: Stroops(0),
            fee_predicted: Stroops(0),
            fee_error: Stroops(0),
            waits: [0; WAITS],
        }
    }
}

/// What happened in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeHour {
    /// Hours since the Unix epoch.
    pub hour: u32,
    /// By lane, from low to critical.
    pub lanes: [LaneHour; 4],
}

/// The place of a lane in `FeeHour::lanes`.
#[must_use]
pub const fn place(lane: Lane) -> usize {
    match lane {
        Lane::Low => 0,
        Lane::Medium => 1,
        Lane::High => 2,
        Lane::Critical => 3,
    }
}

/// The hour of a moment.
#[must_use]
pub fn hour_of(at: UnixMs) -> u32 {
    u32::try_from(at.0.checked_div(HOUR_MS).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// The class of a wait.
#[must_use]
pub fn wait_class(wait_ms: u64) -> usize {
    (0..WAITS)
        .find(|class| wait_ms <= wait_bound_ms(*class))
        .unwrap_or(WAITS.saturating_sub(1))
}

/// The longest wait of a class, in milliseconds: 64, 96, 128, 192, 256, ...
#[must_use]
pub fn wait_bound_ms(class: usize) -> u64 {
    let doublings = u32::try_from(class.checked_div(2).unwrap_or(0)).unwrap_or(u32::MAX);
    let whole = WAIT_MS_FIRST.checked_shl(doublings).unwrap_or(u64::MAX);
    let half = whole.checked_div(2).unwrap_or(0);
    match class.checked_rem(2) {
        Some(1) => whole.saturating_add(half),
        Some(_) | None => whole,
    }
}

impl FeeHour {
    /// The same hour, or an empty one if `at` is in another.
    #[must_use]
    pub fn at(self, at: UnixMs) -> Self {
        let hour = hour_of(at);
        if hour == self.hour {
            self
        } else {
            Self {
                hour,
                ..Self::default()
            }
        }
    }

    /// The hour with a batch that ended at `now` written in.
    #[must_use]
    pub fn with(mut self, batch: &Batch, stage: &BatchStage, charge: Charge, now: UnixMs) -> Self {
        let Some(lane) = self.lanes.get_mut(place(batch.group.lane)) else {
            return self;
        };
        match stage {
            BatchStage::Settled {
                ledger: _,
                fee_charged,
            } => {
                let payments = u64::try_from(batch.payments.len()).unwrap_or(u64::MAX);
                lane.payments = lane.payments.saturating_add(payments);
                lane.batches = lane.batches.saturating_add(1);
                add(&mut lane.fee_charged, *fee_charged);
                add(&mut lane.bumped_singles, charge.list);
                add(&mut lane.charged, charge.charged);
                let told = batch.prediction.fee_expected;
                add(&mut lane.fee_predicted, told);
                let off = fee_charged.0.saturating_sub(told.0).saturating_abs();
                add(&mut lane.fee_error, Stroops(off));
                for place in &batch.payments {
                    let class = wait_class(now.since(place.queued_at));
                    if let Some(count) = lane.waits.get_mut(class) {
                        *count = count.saturating_add(1);
                    }
                }
            }
            BatchStage::RolledBack {
                ledger: _,
                fee_charged,
            } => add(&mut lane.fee_lost, *fee_charged),
            BatchStage::Building | BatchStage::InFlight | BatchStage::Abandoned { .. } => {}
        }
        self
    }
}

impl LaneHour {
    /// Adds what another hour, or another lane, did.
    pub fn add(&mut self, other: &Self) {
        let Self {
            payments,
            batches,
            fee_charged,
            fee_lost,
            bumped_singles,
            charged,
            fee_predicted,
            fee_error,
            waits,
        } = other;
        self.payments = self.payments.saturating_add(*payments);
        self.batches = self.batches.saturating_add(*batches);
        add(&mut self.fee_charged, *fee_charged);
        add(&mut self.fee_lost, *fee_lost);
        add(&mut self.bumped_singles, *bumped_singles);
        add(&mut self.charged, *charged);
        add(&mut self.fee_predicted, *fee_predicted);
        add(&mut self.fee_error, *fee_error);
        for (sum, count) in self.waits.iter_mut().zip(waits) {
            *sum = sum.saturating_add(*count);
        }
    }
}

fn add(sum: &mut Stroops, fee: Stroops) {
    sum.0 = sum.0.saturating_add(fee.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_every_second_class() {
        assert_eq!(wait_bound_ms(0), 64);
        assert_eq!(wait_bound_ms(1), 96);
        assert_eq!(wait_bound_ms(2), 128);
        assert_eq!(wait_bound_ms(39), 64 * (1 << 19) * 3 / 2);
        assert_eq!(wait_class(0), 0);
        assert_eq!(wait_class(64), 0);
        assert_eq!(wait_class(65), 1);
        assert_eq!(wait_class(u64::MAX), WAITS - 1);
    }

    #[test]
    fn an_hour_begins_empty() {
        let mut hour = FeeHour::default().at(UnixMs(HOUR_MS));
        assert_eq!(hour.hour, 1);
        hour.lanes[0].payments = 4;
        assert_eq!(hour.at(UnixMs(2 * HOUR_MS - 1)).lanes[0].payments, 4);
        assert_eq!(hour.at(UnixMs(2 * HOUR_MS)).lanes[0].payments, 0);
    }
}

//! Clocks: the true virtual time, and what each node believes.
//!
//! True time is nanoseconds since the start of the run. A node's monotonic
//! clock runs at its own rate from true time and never steps; its wall clock
//! is the monotonic clock plus an offset, and may be made to jump. All sums
//! are integers, and a deadline is never met early on the clock it was set by.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use super::core::with_core;

/// True virtual time: nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(u64);

impl SimTime {
    /// The start of the run.
    pub const ZERO: SimTime = SimTime(0);

    /// The time that many nanoseconds after the start.
    pub const fn from_ns(ns: u64) -> Self {
        SimTime(ns)
    }

    /// The time that many milliseconds after the start.
    pub const fn from_ms(ms: u64) -> Self {
        SimTime(ms.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the start.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl fmt::Display for SimTime {
    /// Seconds with nine digits: `12.000350000`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}.{:09}",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

impl Add<Duration> for SimTime {
    type Output = SimTime;

    fn add(self, span: Duration) -> SimTime {
        SimTime(self.0.saturating_add(span_ns(span)))
    }
}

impl Sub for SimTime {
    type Output = Duration;

    /// The time from `earlier` to here, or zero if it is later.
    fn sub(self, earlier: SimTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

pub(super) fn span_ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A reading of one node's monotonic clock, in nanoseconds.
///
/// Only comparable with readings of the same node. Arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimInstant(pub(super) u64);

/// Monotonic clocks read one day at the start of the run, so that subtracting
/// a lease or an interval from an early reading does not saturate.
const MONOTONIC_START_NS: u64 = 86_400_000_000_000;

impl openraft_rt::Instant for SimInstant {
    fn now() -> Self {
        with_core(|core| core.local_now())
    }
}

impl Add<Duration> for SimInstant {
    type Output = SimInstant;

    fn add(self, span: Duration) -> SimInstant {
        SimInstant(self.0.saturating_add(span_ns(span)))
    }
}

impl AddAssign<Duration> for SimInstant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for SimInstant {
    type Output = SimInstant;

    fn sub(self, span: Duration) -> SimInstant {
        SimInstant(self.0.saturating_sub(span_ns(span)))
    }
}

impl SubAssign<Duration> for SimInstant {
    fn sub_assign(&mut self, span: Duration) {
        *self = *self - span;
    }
}

impl Sub for SimInstant {
    type Output = Duration;

    fn sub(self, earlier: SimInstant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, as a node's wall clock shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub u64);

/// How much faster a clock runs than true time, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriftPpm(i32);

/// A drift beyond what [`DriftPpm`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("drift of {ppm} ppm is out of range: expected -{max} to {max}", max = DriftPpm::MAX_PPM)]
pub struct DriftOutOfRange {
    /// The refused value, in parts per million.
    pub ppm: i32,
}

impl DriftPpm {
    /// The largest drift either way: half as fast again, or half as slow.
    pub const MAX_PPM: i32 = 500_000;

    /// No drift.
    pub const ZERO: DriftPpm = DriftPpm(0);

    /// A drift of `ppm` parts per million; positive runs fast.
    ///
    /// # Errors
    ///
    /// If it is beyond [`DriftPpm::MAX_PPM`] either way.
    pub const fn new(ppm: i32) -> Result<Self, DriftOutOfRange> {
        if ppm < -Self::MAX_PPM || ppm > Self::MAX_PPM {
            return Err(DriftOutOfRange { ppm });
        }
        Ok(DriftPpm(ppm))
    }

    /// Parts per million; positive runs fast.
    pub const fn ppm(self) -> i32 {
        self.0
    }

    fn ticks_per_million(self) -> u128 {
        // In range by construction: at least 500,000.
        (1_000_000_i64 + i64::from(self.0)).unsigned_abs().into()
    }
}

/// One node's clocks: linear pieces, joined where the drift changes.
#[derive(Clone, Debug)]
pub(super) struct NodeClock {
    anchor: SimTime,
    anchor_local: SimInstant,
    drift: DriftPpm,
    wall_start: UnixMs,
    wall_offset_ms: i64,
}

impl NodeClock {
    pub(super) fn new(wall_start: UnixMs) -> Self {
        NodeClock {
            anchor: SimTime::ZERO,
            anchor_local: SimInstant(MONOTONIC_START_NS),
            drift: DriftPpm::ZERO,
            wall_start,
            wall_offset_ms: 0,
        }
    }

    /// What the monotonic clock reads at the true time `at`.
    pub(super) fn local(&self, at: SimTime) -> SimInstant {
        let elapsed = at.0.saturating_sub(self.anchor.0);
        if self.drift == DriftPpm::ZERO {
            return SimInstant(self.anchor_local.0.saturating_add(elapsed));
        }
        let ticks = u128::from(elapsed) * self.drift.ticks_per_million() / 1_000_000;
        SimInstant(
            self.anchor_local
                .0
                .saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)),
        )
    }

    /// The first true time at which the monotonic clock reads `deadline` or more.
    pub(super) fn true_time(&self, deadline: SimInstant) -> SimTime {
        let ticks = deadline.0.saturating_sub(self.anchor_local.0);
        if self.drift == DriftPpm::ZERO {
            return SimTime(self.anchor.0.saturating_add(ticks));
        }
        let elapsed = (u128::from(ticks) * 1_000_000).div_ceil(self.drift.ticks_per_million());
        SimTime(
            self.anchor
                .0
                .saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)),
        )
    }

    pub(super) fn wall(&self, at: SimTime) -> UnixMs {
        let elapsed_ms = self.local(at).0.saturating_sub(MONOTONIC_START_NS) / 1_000_000;
        UnixMs(
            self.wall_start
                .0
                .saturating_add(elapsed_ms)
                .saturating_add_signed(self.wall_offset_ms),
        )
    }

    /// From the true time `now` on, run at `drift`; what was read stays read.
    pub(super) fn set_drift(&mut self, now: SimTime, drift: DriftPpm) {
        self.anchor_local = self.local(now);
        self.anchor = now;
        self.drift = drift;
    }

    pub(super) fn set_wall_offset_ms(&mut self, offset_ms: i64) {
        self.wall_offset_ms = offset_ms;
    }

    pub(super) fn jump_wall_ms(&mut self, by_ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(by_ms);
    }
}

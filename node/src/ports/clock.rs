//! Wall-clock time. The real adapter is the one place of the node that asks the operating system.
//!
//! Wall time only stamps commands and bounds transactions; waiting is done by the runtime's own monotonic clock.

use std::time::UNIX_EPOCH;

use stellara_machine::units::UnixMs;

/// Tells the time of day.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch; may jump when an operator or NTP sets the clock.
    fn now(&self) -> UnixMs;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the Clock port's one real adapter"
        )]
        let now = std::time::SystemTime::now();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMs(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_clock_is_past_the_start_of_2024_and_does_not_stand_still_backwards() {
        let first = SystemClock.now();
        assert!(first > UnixMs(1_704_067_200_000));
        assert!(SystemClock.now() >= first);
    }
}

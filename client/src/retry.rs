//! When to try again: exponential back-off with full jitter, inside one deadline.
//!
//! Pure: time and randomness are handed in. Within a round every endpoint is tried once
//! without waiting; only between rounds does a call wait.

use std::time::Duration;

use tokio::time::Instant;

use crate::classify::{Cause, Failure};
use crate::endpoints::{EndpointId, EndpointTable, Tried};

/// The bounds of retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most that the first wait can take.
    pub backoff_base: Duration,
    /// The most that any wait can take.
    pub backoff_max: Duration,
    /// All attempts of one call together.
    pub deadline: Duration,
    /// One attempt: what a node that does not answer costs.
    pub attempt_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            backoff_base: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
        }
    }
}

/// The waits of one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    waits: u32,
}

impl Backoff {
    /// The next wait: uniform between zero and the current bound, which doubles each time
    /// ("full jitter", AWS Architecture Blog, Exponential Backoff And Jitter), after `floor`.
    pub fn next(&mut self, policy: &RetryPolicy, random: u64, floor: Duration) -> Duration {
        let bound = policy
            .backoff_base
            .saturating_mul(1_u32 << self.waits.min(20))
            .min(policy.backoff_max);
        self.waits = self.waits.saturating_add(1);
        let bound_us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        floor + Duration::from_micros(random % bound_us.saturating_add(1))
    }
}

/// What to do after an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Try this endpoint at once.
    Try(EndpointId),
    /// Wait, then begin a new round.
    Wait(Duration),
}

/// One call's way through the endpoints.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation {
    tried: Tried,
    backoff: Backoff,
}

impl Rotation {
    /// The endpoint to begin a round with; `None` only when the table is empty.
    pub fn begin(&mut self, table: &EndpointTable, now: Instant) -> Option<EndpointId> {
        let id = table.choose(now, self.tried)?;
        self.tried.add(id);
        Some(id)
    }

    /// What follows `failure`: another endpoint at once, the leader first when it is known,
    /// or a wait when all were tried or waiting is what was asked for.
    pub fn after(
        &mut self,
        failure: &Failure,
        table: &EndpointTable,
        now: Instant,
        random: u64,
        policy: &RetryPolicy,
    ) -> Step {
        if failure.cause != Cause::Overloaded {
            let hinted = failure
                .leader_hint
                .as_deref()
                .and_then(|address| table.find(address))
                .filter(|id| !self.tried.has(*id));
            if let Some(id) = hinted.or_else(|| table.choose(now, self.tried)) {
                self.tried.add(id);
                return Step::Try(id);
            }
        }
        self.tried = Tried::default();
        let floor = Duration::from_millis(failure.retry_after_ms);
        Step::Wait(self.backoff.next(policy, random, floor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(cause: Cause) -> Failure {
        Failure::new(cause, "scripted".into())
    }

    proptest! {
        #[test]
        fn a_wait_stays_between_its_floor_and_the_bound(
            random: u64, earlier in 0_usize..40, floor_ms in 0_u64..5_000,
        ) {
            let policy = RetryPolicy::default();
            let mut backoff = Backoff::default();
            for _ in 0..earlier {
                backoff.next(&policy, random, Duration::ZERO);
            }
            let floor = Duration::from_millis(floor_ms);
            let wait = backoff.next(&policy, random, floor);
            prop_assert!(wait >= floor);
            prop_assert!(wait <= floor + policy.backoff_max);
        }
    }

    #[test]
    fn the_bound_doubles_up_to_the_maximum() {
        let policy = RetryPolicy::default();
        let mut backoff = Backoff::default();
        // The bound itself is drawn when the random number equals it in microseconds.
        for bound_ms in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let wait = backoff.next(&policy, bound_ms * 1_000, Duration::ZERO);
            assert_eq!(wait, Duration::from_millis(bound_ms));
        }
    }

    #[test]
    fn every_endpoint_is_tried_before_a_wait() {
        let now = Instant::now();
        let table = EndpointTable::new(&["http://a:1", "http://b:1", "http://c:1"], None);
        let mut rotation = Rotation::default();
        let policy = RetryPolicy::default();
        assert_eq!(rotation.begin(&table, now), Some(EndpointId(0)));
        let lost = failure(Cause::Connection);
        let mut step = || rotation.after(&lost, &table, now, 7, &policy);
        assert_eq!(step(), Step::Try(EndpointId(1)));
        assert_eq!(step(), Step::Try(EndpointId(2)));
        assert_eq!(step(), Step::Wait(Duration::from_micros(7)));
        assert_eq!(rotation.begin(&table, now), Some(EndpointId(0)));
    }

    #[test]
    fn a_leader_hint_jumps_the_order_once() {
        let now = Instant::now();
        let table = EndpointTable::new(&["http://a:1", "http://b:1", "http://c:1"], None);
        let mut rotation = Rotation::default();
        let policy = RetryPolicy::default();
        rotation.begin(&table, now);
        let hinted = Failure {
            leader_hint: Some("http://c:1/".into()),
            ..failure(Cause::NoLeader)
        };
        let mut step = || rotation.after(&hinted, &table, now, 0, &policy);
        assert_eq!(step(), Step::Try(EndpointId(2)));
        assert_eq!(step(), Step::Try(EndpointId(1)));
        assert_eq!(step(), Step::Wait(Duration::ZERO));
    }

    #[test]
    fn overload_waits_for_as_long_as_it_asks() {
        let now = Instant::now();
        let table = EndpointTable::new(&["http://a:1", "http://b:1"], None);
        let mut rotation = Rotation::default();
        rotation.begin(&table, now);
        let full = Failure {
            retry_after_ms: 300,
            ..failure(Cause::Overloaded)
        };
        let step = rotation.after(&full, &table, now, 10_000, &RetryPolicy::default());
        assert_eq!(step, Step::Wait(Duration::from_millis(310)));
    }
}

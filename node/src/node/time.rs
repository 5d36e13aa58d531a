//! The time that a node stamps and compares with: its wall clock, and never behind the log's own time.
//!
//! The machine's time never runs back. When a leader's clock was ahead and a node with a true one leads next, the log
//! would stand still until the true clock has caught up, and whatever waits for a moment with it. So the log's time
//! goes on at the pace of the monotonic clock, as a hybrid logical clock's does (Kulkarni and others, 2014).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_machine::units::UnixMs;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::view::View;

use crate::ports::Clock;

/// A moment of the log, and since when it is carried on.
type Carried<R> = Option<(UnixMs, <R as AsyncRuntime>::Instant)>;

/// Tells a node's time. Clones tell the same.
pub struct LogTime<R: AsyncRuntime, D: Disk, C> {
    wall: C,
    log: View<D>,
    /// Where the log was when it was seen ahead of the wall clock, and since when it is carried on from there.
    carried: Arc<Mutex<Carried<R>>>,
}

impl<R: AsyncRuntime, D: Disk, C: Clone> Clone for LogTime<R, D, C> {
    fn clone(&self) -> Self {
        Self {
            wall: self.wall.clone(),
            log: self.log.clone(),
            carried: Arc::clone(&self.carried),
        }
    }
}

impl<R: AsyncRuntime, D: Disk, C: Clock> LogTime<R, D, C> {
    /// The time of the node whose state `log` shows.
    pub(super) fn new(wall: C, log: View<D>) -> Self {
        Self {
            wall,
            log,
            carried: Arc::default(),
        }
    }
}

/// Which of the three clocks is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// The wall clock: the usual.
    Wall(UnixMs),
    /// The log: it is carried on from here.
    Log(UnixMs),
    /// The log's time, as it was carried on since.
    Carried(UnixMs),
}

fn ahead(wall: UnixMs, log: UnixMs, carried: Option<(UnixMs, Duration)>) -> Ahead {
    let carried = carried.map_or(UnixMs(0), |(at, since)| {
        let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        UnixMs(at.0.saturating_add(since_ms))
    });
    if wall >= log && wall >= carried {
        Ahead::Wall(wall)
    } else if log >= carried {
        Ahead::Log(log)
    } else {
        Ahead::Carried(carried)
    }
}

impl<R, D, C> Clock for LogTime<R, D, C>
where
    R: AsyncRuntime + 'static,
    D: Disk,
    C: Clock,
{
    fn now(&self) -> UnixMs {
        let log = self.log.state(|state| state.now());
        let wall = self.wall.now();
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match ahead(wall, log, carried.map(|(at, since)| (at, since.elapsed()))) {
            Ahead::Wall(now) => {
                *carried = None;
                now
            }
            Ahead::Log(now) => {
                *carried = Some((now, R::Instant::now()));
                now
            }
            Ahead::Carried(now) => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wall: u64, log: u64, carried: Option<(u64, u64)>, expected: Ahead) {
        let carried = carried.map(|(at, since)| (UnixMs(at), Duration::from_millis(since)));
        assert_eq!(ahead(UnixMs(wall), UnixMs(log), carried), expected);
    }

    #[test]
    fn time_is_the_wall_clocks_unless_the_log_is_ahead() {
        check(1_000, 900, None, Ahead::Wall(UnixMs(1_000)));
        check(1_000, 5_000, None, Ahead::Log(UnixMs(5_000)));
        check(
            1_000,
            5_000,
            Some((5_000, 300)),
            Ahead::Carried(UnixMs(5_300)),
        );
        check(9_000, 5_000, Some((5_000, 300)), Ahead::Wall(UnixMs(9_000)));
        check(1_000, 6_000, Some((5_000, 300)), Ahead::Log(UnixMs(6_000)));
    }
}

//! How long a disk's syncs take: drawn from a seeded stream, slowed, or stalled until that is over.
//!
//! The pace belongs to the machine: it stays when the process dies or the disk is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use stellara_raft_store::engine::memory::SyncDelay;
use tokio::sync::Notify;

use crate::runtime::{NodeTag, RandomStream, sleep, stream};
use crate::timeline::recorder;

/// Syncs that take between two times, both included, unless they are slowed or stalled. Clones are the same pace.
#[derive(Clone, Debug)]
pub struct DiskPace {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: NodeTag,
    state: Mutex<State>,
    resumed: Notify,
}

#[derive(Debug)]
struct State {
    draws: RandomStream,
    least: Duration,
    most: Duration,
    held: u64,
    stalls: BTreeSet<PaceHold>,
    slow: BTreeMap<PaceHold, Duration>,
}

/// One trouble of a disk's pace, in force until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaceHold(u64);

impl DiskPace {
    /// Syncs of the disk of `node`.
    #[must_use]
    pub fn new(node: NodeTag, least: Duration, most: Duration) -> Self {
        let state = State {
            draws: stream(node, "disk-sync"),
            least,
            most,
            held: 0,
            stalls: BTreeSet::new(),
            slow: BTreeMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                node,
                state: Mutex::new(state),
                resumed: Notify::new(),
            }),
        }
    }

    /// No sync ends, begun before or after, until it is released.
    #[must_use]
    pub fn stall(&self) -> PaceHold {
        let mut state = self.shared.state();
        let hold = state.next();
        state.stalls.insert(hold);
        hold
    }

    /// Syncs that begin from now on take at least this long, until it is released.
    #[must_use]
    pub fn slow_down(&self, span: Duration) -> PaceHold {
        let mut state = self.shared.state();
        let hold = state.next();
        state.slow.insert(hold, span);
        hold
    }

    /// What is held is over. Nothing happens when it was already.
    pub fn release(&self, hold: PaceHold) {
        let mut state = self.shared.state();
        state.slow.remove(&hold);
        if state.stalls.remove(&hold) && state.stalls.is_empty() {
            drop(state);
            self.shared.resumed.notify_waiters();
        }
    }
}

impl State {
    fn next(&mut self) -> PaceHold {
        self.held += 1;
        PaceHold(self.held)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) -> Duration {
        let mut state = self.state();
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let (least, most) = (ns(state.least), ns(state.most));
        let drawn = Duration::from_nanos(state.draws.between(least, most));
        let slow = state.slow.values().max().copied();
        drawn.max(slow.unwrap_or_default())
    }

    fn is_stalled(&self) -> bool {
        !self.state().stalls.is_empty()
    }
}

impl SyncDelay for DiskPace {
    fn delay(&self) -> BoxFuture<'static, ()> {
        let span = self.shared.draw();
        let shared = Arc::clone(&self.shared);
        let note = recorder::sync_begins(self.shared.node.0);
        Box::pin(async move {
            sleep(span).await;
            while shared.is_stalled() {
                shared.resumed.notified().await;
            }
            recorder::sync_ends(note);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{SimRuntime, now, spawn_on};

    fn check<F: Future<Output = ()>>(test: impl FnOnce(DiskPace) -> F) {
        let mut runtime = SimRuntime::with_seed(5);
        let ms = Duration::from_millis;
        let driven = runtime.drive(async { test(DiskPace::new(NodeTag(1), ms(1), ms(2))).await });
        driven.expect("the run ends with its test");
        assert!(runtime.report().is_clean(), "{:?}", runtime.report());
    }

    async fn sync_ms(pace: &DiskPace) -> u64 {
        let begun = now();
        pace.delay().await;
        now().as_ms() - begun.as_ms()
    }

    #[test]
    fn a_slow_disk_takes_the_longest_of_what_is_held() {
        check(|pace| async move {
            assert!(sync_ms(&pace).await <= 2);
            let slow = pace.slow_down(Duration::from_millis(300));
            let slower = pace.slow_down(Duration::from_millis(900));
            assert_eq!(sync_ms(&pace).await, 900);
            pace.release(slower);
            assert_eq!(sync_ms(&pace).await, 300);
            pace.release(slow);
            assert!(sync_ms(&pace).await <= 2);
        });
    }

    #[test]
    fn a_stalled_sync_ends_with_the_last_stall() {
        check(|pace| async move {
            let begun_before = pace.delay();
            let (first, second) = (pace.stall(), pace.stall());
            let other = pace.clone();
            drop(spawn_on(NodeTag::DRIVER, async move {
                sleep(Duration::from_secs(5)).await;
                other.release(first);
                sleep(Duration::from_secs(5)).await;
                other.release(second);
            }));
            begun_before.await;
            assert_eq!(now().as_ms(), 10_000);
            assert!(sync_ms(&pace).await <= 2);
        });
    }
}

//! How long a disk's sync takes, drawn from a seeded stream.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use stellara_raft_store::engine::memory::SyncDelay;

use crate::runtime::{NodeTag, RandomStream, sleep, stream};

/// Syncs that take between two times, both included.
#[derive(Debug)]
pub struct DrawnSync {
    draws: Mutex<RandomStream>,
    least: Duration,
    most: Duration,
}

impl DrawnSync {
    /// Syncs of the disk of `node`.
    #[must_use]
    pub fn new(node: NodeTag, least: Duration, most: Duration) -> Self {
        Self {
            draws: Mutex::new(stream(node, "disk-sync")),
            least,
            most,
        }
    }
}

impl SyncDelay for DrawnSync {
    fn delay(&self) -> BoxFuture<'static, ()> {
        let mut draws = self.draws.lock().unwrap_or_else(PoisonError::into_inner);
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let span = Duration::from_nanos(draws.between(ns(self.least), ns(self.most)));
        Box::pin(sleep(span))
    }
}

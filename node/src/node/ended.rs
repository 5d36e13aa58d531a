//! How a node ends by itself: its Raft stopped, or a record that Raft knows nothing of could not be written.
//!
//! A write or a sync that failed is not tried again (CockroachDB #129579, etcd #13587): what is on the disk is not known
//! any more, so the process ends and reads it anew.

use openraft_rt::watch::WatchReceiver as _;
use stellara_raft_store::engine::EngineError;

use super::{Inner, Node, Ports};

impl<P: Ports> Node<P> {
    /// Resolves when the node stopped by itself, with the reason: the disk failed or a record is corrupt.
    pub async fn failed(&self) -> String {
        // These change seldom, the full metrics with every entry; both end with Raft.
        let mut ended = self.inner.raft.server_metrics();
        while ended.changed().await.is_ok() {
            ended.borrow_and_update();
        }
        if let Some(why) = self.inner.broken.get() {
            return why.clone();
        }
        let metrics = self.inner.raft.metrics();
        let running = metrics.borrow_watched().running_state.clone();
        running.map_or_else(|fatal| fatal.to_string(), |()| "raft ended".to_owned())
    }
}

impl<P: Ports> Inner<P> {
    /// A record could not be written: the node ends, and [`Node::failed`] tells why.
    pub(super) async fn end_broken(&self, error: &EngineError) {
        tracing::error!(%error, "a record could not be written: this node stops");
        // The first failure is the reason; what follows from it is not.
        self.broken.set(error.to_string()).ok();
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "raft did not stop cleanly");
        }
    }
}

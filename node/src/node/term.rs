//! Runs the executor while this node leads, one executor a term.

use std::time::Duration;

use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Select2};

use super::{Node, Ports, term_executor};
use crate::executor::Outside;

/// The pause before the next executor.
const RESTART_AFTER: Duration = Duration::from_millis(50);

/// Waits for leadership, works for the term, begins again; ends with the group.
pub(super) async fn run_terms<P: Ports>(
    node: Node<P>,
    outside: Outside<P::Ledger, P::Signer, P::Clock>,
) {
    let mut metrics = node.inner.raft.server_metrics();
    loop {
        metrics.borrow_and_update();
        let Some(term) = node.leads() else {
            if metrics.changed().await.is_err() {
                return;
            }
            continue;
        };
        let executor = match term_executor(&node, outside.clone()) {
            Ok(executor) => executor,
            Err(error) => {
                tracing::error!(%error, "the executor does not start");
                return;
            }
        };
        tracing::info!(term, "leading: the executor starts");
        // Dropping the executor's future ends its work at its next wait.
        let ended = P::Runtime::select2(lost(&node, term), executor.run()).await;
        match ended {
            Select2::First(()) => tracing::info!(term, "leadership lost: the executor ends"),
            Select2::Second(ended) => tracing::info!(term, ?ended, "the executor ended"),
        }
        // An executor that ended while this node still leads met a passing refusal: begin again, unhurried.
        P::Runtime::sleep(RESTART_AFTER).await;
    }
}

/// Resolves once this node does not lead `term` any more, or the group ended.
async fn lost<P: Ports>(node: &Node<P>, term: u64) {
    let mut metrics = node.inner.raft.server_metrics();
    while node.leads() == Some(term) {
        if metrics.changed().await.is_err() {
            return;
        }
        metrics.borrow_and_update();
    }
}

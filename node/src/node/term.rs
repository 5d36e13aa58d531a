//! Runs the executor while this node leads, one executor a term.

use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Select2};

use super::{Node, Ports, term_executor};
use crate::executor::Outside;

/// Waits for leadership, works for the term, begins again; ends with the group.
pub(super) async fn run_terms<P: Ports>(
    node: Node<P>,
    outside: Outside<P::Ledger, P::Signer, P::Clock>,
) {
    let mut metrics = node.inner.raft.server_metrics();
    loop {
        let Some(term) = node.leads() else {
            if metrics.changed().await.is_err() {
                return;
            }
            metrics.borrow_and_update();
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
        if lost_or_closed(&node, term).await.is_err() {
            return;
        }
    }
}

async fn lost<P: Ports>(node: &Node<P>, term: u64) {
    lost_or_closed(node, term).await.ok();
}

/// Resolves once this node does not lead `term` any more; an error when the group ended.
async fn lost_or_closed<P: Ports>(node: &Node<P>, term: u64) -> Result<(), ()> {
    let mut metrics = node.inner.raft.server_metrics();
    while node.leads() == Some(term) {
        metrics.changed().await.map_err(|_| ())?;
        metrics.borrow_and_update();
    }
    Ok(())
}

//! Runs the executor while this node leads, one executor a term.

use std::time::Duration;

use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Select2};

use super::{Node, Ports, term_executor};
use crate::executor::{Ended, Outside};

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
            Select2::Second(ended) => {
                tracing::info!(term, ?ended, "the executor ended");
                if resumes(&node, term, ended).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Resolves when the executor may begin again, here or after another term; an error when the node stops.
///
/// Raft refuses a leader's proposals while no majority has lately confirmed it, as right after its election: it leads
/// all the same, and the refused executor begins again once a beat may have brought the confirmation.
async fn resumes<P: Ports>(node: &Node<P>, term: u64, ended: Ended) -> Result<(), ()> {
    match ended {
        Ended::NotLeader => {
            let beat = Duration::from_millis(node.inner.options.timers.heartbeat_ms);
            P::Runtime::timeout(beat, lost_or_closed(node, term))
                .await
                .unwrap_or(Ok(()))
        }
        Ended::Stopped => lost_or_closed(node, term).await,
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

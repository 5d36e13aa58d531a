//! Runs the executor while this node leads, one executor a term; ends with the group.

use std::future::Future;
use std::time::Duration;

use openraft::ServerState;
use openraft::metrics::RaftServerMetrics;
use openraft_rt::watch::{Watch, WatchReceiver as _};
use openraft_rt::{AsyncRuntime, Select2};
use stellara_raft_store::types::Types;

use super::{Node, Ports, term_executor};
use crate::executor::{Ended, Outside, SettingsError};

/// The pause before the next executor.
const RESTART_AFTER: Duration = Duration::from_millis(50);

type Receiver<R, M> = <<R as AsyncRuntime>::Watch as Watch>::Receiver<M>;

/// Waits for leadership, works for the term, begins again; ends with the group.
pub(super) async fn run_terms<P: Ports>(
    node: Node<P>,
    outside: Outside<P::Ledger, P::Signer, super::Time<P>>,
) {
    let metrics = node.inner.raft.server_metrics();
    let ended = each_term::<P::Runtime, _, _>(metrics, led_term::<P>, |term| {
        let executor = term_executor(&node, outside.clone())?;
        tracing::info!(term, "leading: the executor starts");
        Ok(async move { executor.run().await })
    });
    if let Err(error) = ended.await {
        tracing::error!(%error, "the executor does not start");
    }
}

/// The term in which the node leads, if it does.
pub(super) fn led_term<P: Ports>(metrics: &RaftServerMetrics<Types<P::Runtime>>) -> Option<u64> {
    (metrics.state == ServerState::Leader).then_some(metrics.vote.leader_id.term)
}

/// What ended an executor's work.
enum Over {
    /// Another term, or none.
    Deposed,
    /// Raft has ended, and what it said last stays as it was: the node would seem to lead for ever.
    GroupEnded,
}

/// Runs the work of `start` for every term that is led, until the group ends or a work does not start.
async fn each_term<R, M, F>(
    mut metrics: Receiver<R, M>,
    led: fn(&M) -> Option<u64>,
    start: impl Fn(u64) -> Result<F, SettingsError>,
) -> Result<(), SettingsError>
where
    R: AsyncRuntime + 'static,
    M: Send + Sync + 'static,
    F: Future<Output = Ended> + Send,
{
    loop {
        let Some(term) = led(&metrics.borrow_and_update()) else {
            if metrics.changed().await.is_err() {
                return Ok(());
            }
            continue;
        };
        let work = start(term)?;
        // Dropping the executor's future ends its work at its next wait.
        let pause = match R::select2(over::<R, M>(metrics.clone(), led, term), work).await {
            Select2::First(Over::GroupEnded) => return Ok(()),
            Select2::First(Over::Deposed) => {
                tracing::info!(term, "leadership lost: the executor ends");
                continue;
            }
            // An executor that ended while this node still leads met a passing refusal: begin again, unhurried.
            Select2::Second(ended) => {
                tracing::info!(term, ?ended, "the executor ended");
                R::sleep(RESTART_AFTER)
            }
        };
        if let Select2::First(()) = R::select2(group_end::<R, M>(metrics.clone()), pause).await {
            return Ok(());
        }
    }
}

/// Resolves once the node does not lead `term` any more, or the group ended.
async fn over<R, M>(mut metrics: Receiver<R, M>, led: fn(&M) -> Option<u64>, term: u64) -> Over
where
    R: AsyncRuntime + 'static,
    M: Send + Sync + 'static,
{
    while led(&metrics.borrow_and_update()) == Some(term) {
        if metrics.changed().await.is_err() {
            return Over::GroupEnded;
        }
    }
    Over::Deposed
}

/// Resolves once the group ended.
async fn group_end<R, M>(mut metrics: Receiver<R, M>)
where
    R: AsyncRuntime + 'static,
    M: Send + Sync + 'static,
{
    while metrics.changed().await.is_ok() {
        metrics.borrow_and_update();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use openraft_rt::watch::WatchSender as _;
    use openraft_rt_tokio::TokioRuntime;
    use tokio::time::{sleep, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// How many executors start until the group has ended, each running as `work` says.
    async fn started<F: Future<Output = Ended> + Send>(work: impl Fn() -> F) -> u32 {
        let (leads, metrics) = <TokioRuntime as AsyncRuntime>::Watch::channel(Some(7_u64));
        let count = AtomicU32::new(0);
        let terms = each_term::<TokioRuntime, _, _>(
            metrics,
            |term: &Option<u64>| *term,
            |_| {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(work())
            },
        );
        let group = async {
            while count.load(Ordering::Relaxed) < 2 {
                leads.send(None).unwrap();
                sleep(Duration::from_millis(1)).await;
                leads.send(Some(8)).unwrap();
                sleep(Duration::from_millis(1)).await;
            }
            // As when Raft ends: the last word, that this node leads, stays.
            drop(leads);
        };
        let (ended, ()) = timeout(PATIENCE, async { tokio::join!(terms, group) })
            .await
            .expect("the loop ends with the group");
        ended.unwrap();
        count.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_ends_with_the_group_and_not_with_a_term() {
        assert_eq!(started(pending).await, 2);
        assert!(started(async || Ended::NotLeader).await >= 2);
    }
}

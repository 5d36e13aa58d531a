//! Proposes a batch for each group that is due; the machine decides whether it is.

use std::time::Duration;

use openraft_rt::AsyncRuntime;
use stellara_machine::command::{Command, FormBatch};
use stellara_machine::decision::Rejection;
use tracing::warn;

use super::{Backoff, Cluster, Ended, Executor, ProposeError};
use crate::ports::{Clock, Ledger, Signer};

/// The longest wait without a look at the queues, in milliseconds: the wall clock may have been set meanwhile.
const LOOK_MS: u64 = 1_000;
/// The shortest wait, in milliseconds: the machine's clock may lag this node's.
const SHORTEST_MS: u64 = 5;

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    pub(super) async fn form_batches(&self) -> Ended {
        let mut backoff = Backoff::new(&self.settings);
        loop {
            let seen = self.cluster.applied();
            let now = self.clock.now();
            let Some(group) = self.cluster.due(now) else {
                let until_due = self.cluster.next_due_at().map(|due_at| due_at.since(now));
                let wait_ms = until_due.unwrap_or(LOOK_MS).clamp(SHORTEST_MS, LOOK_MS);
                let wait = R::sleep(Duration::from_millis(wait_ms));
                R::select2(self.cluster.applied_past(seen), wait).await;
                continue;
            };
            let formed = self
                .cluster
                .propose(Command::FormBatch(FormBatch { group }))
                .await;
            match formed {
                Ok(_) => backoff = Backoff::new(&self.settings),
                Err(ProposeError::Rejected(Rejection::NotDue)) => {
                    R::sleep(Duration::from_millis(SHORTEST_MS)).await;
                }
                // A channel comes back when a batch ends; asking more often only fills the log.
                Err(ProposeError::Rejected(
                    Rejection::NoFreeChannel | Rejection::BatchesFull { .. },
                )) => self.pause(backoff.next()).await,
                Err(ProposeError::Rejected(rejection)) => {
                    warn!(?rejection, "batch refused");
                    self.pause(backoff.next()).await;
                }
                Err(ProposeError::Unknown | ProposeError::Overloaded) => {
                    self.pause(backoff.next()).await;
                }
                Err(ProposeError::NotLeader) => return Ended::NotLeader,
                Err(ProposeError::Stopped) => return Ended::Stopped,
            }
        }
    }
}

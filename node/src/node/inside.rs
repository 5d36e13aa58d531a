//! The replicated machine as the executor sees it: proposals of this leader, and its own applied state.

use stellara_machine::command::{Command, GroupKey, Policy, RecordAttempt};
use stellara_machine::decision::{Account, Batch, Effect, Payment, Reply};
use stellara_machine::fees::market::Market;
use stellara_machine::ids::{AttemptNo, BatchId, Index, PaymentId};
use stellara_machine::units::UnixMs;

use super::{Node, Ports};
use crate::executor::{Cluster, ProposeError, ReadError};
use crate::gateway::{Failure, Rejected};
use crate::ingress::Origin;

/// The inner side of a node, for its executor.
pub struct Inside<P: Ports> {
    node: Node<P>,
}

impl<P: Ports> Inside<P> {
    pub(super) const fn new(node: Node<P>) -> Self {
        Self { node }
    }

    fn state<T>(&self, look: impl FnOnce(&stellara_machine::state::State) -> T) -> T {
        self.node.inner.reads.view().state(look)
    }
}

impl<P: Ports> Clone for Inside<P> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
        }
    }
}

impl<P: Ports> Cluster for Inside<P> {
    async fn propose(&self, command: Command) -> Result<Reply, ProposeError> {
        let ingress = &self.node.inner.ingress;
        let answers = ingress.propose(vec![command], Origin::LeaderOnly).await;
        match answers.into_iter().next() {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(failure)) => Err(propose_error(failure)),
            None => Err(ProposeError::Unknown),
        }
    }

    fn batch(&self, batch: BatchId) -> Option<Batch> {
        self.state(|state| state.batches().get(&batch).cloned())
    }

    fn effects(&self) -> Vec<Effect> {
        self.state(|state| state.effects().iter().copied().collect())
    }

    fn due(&self, now: UnixMs) -> Option<GroupKey> {
        self.state(|state| state.due(now))
    }

    fn next_due_at(&self) -> Option<UnixMs> {
        self.state(stellara_machine::state::State::next_due_at)
    }

    fn market(&self) -> Market {
        self.state(|state| *state.market())
    }

    fn policy(&self) -> Policy {
        self.state(|state| state.policy().clone())
    }

    fn accounts(&self) -> Vec<Account> {
        self.state(|state| state.accounts().values().cloned().collect())
    }

    async fn payments(&self, payments: &[PaymentId]) -> Result<Vec<Payment>, ReadError> {
        let view = self.node.inner.reads.view();
        payments
            .iter()
            .map(|id| {
                let found = view.payment(*id).map_err(|error| ReadError {
                    why: error.to_string(),
                })?;
                found.map(|(payment, _)| payment).ok_or_else(|| ReadError {
                    why: format!("payment {} of a batch has no row", id.0),
                })
            })
            .collect()
    }

    async fn attempt(
        &self,
        batch: BatchId,
        attempt: AttemptNo,
    ) -> Result<Option<RecordAttempt>, ReadError> {
        let view = self.node.inner.reads.view();
        view.attempt(batch, attempt).map_err(|error| ReadError {
            why: error.to_string(),
        })
    }

    fn applied(&self) -> Index {
        self.node.inner.reads.view().applied_index()
    }

    async fn applied_past(&self, seen: Index) {
        self.node.inner.reads.applied_past(seen).await;
    }
}

fn propose_error(failure: Failure) -> ProposeError {
    match failure {
        Failure::Rejected(Rejected::Here(rejection)) => ProposeError::Rejected(rejection),
        // Only a node that passed the command on is told so: another one leads.
        Failure::Rejected(Rejected::ByLeader(_)) | Failure::NoLeader { .. } => {
            ProposeError::NotLeader
        }
        Failure::Overloaded { .. } => ProposeError::Overloaded,
        Failure::Unknown => ProposeError::Unknown,
        Failure::Unavailable { .. } => ProposeError::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use stellara_machine::command::AccountRole;
    use stellara_machine::decision::Rejection;

    use super::{Failure, ProposeError, Rejected, propose_error};

    #[test]
    fn the_executor_sees_the_machine_s_own_rejection() {
        let rejections = [
            Rejection::RoleConflict {
                role: AccountRole::Channel,
            },
            Rejection::Field {
                field: "attempt.envelope",
                value: "70000 bytes".to_owned(),
                expected: "at most 65536 bytes",
            },
        ];
        for rejection in rejections {
            let failure = Failure::Rejected(Rejected::Here(rejection.clone()));
            assert_eq!(propose_error(failure), ProposeError::Rejected(rejection));
        }
    }
}

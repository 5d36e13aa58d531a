//! The replicated machine as the executor sees it: proposals of this leader, and its own applied state.

use stellara_machine::command::{Command, GroupKey, Policy, RecordAttempt};
use stellara_machine::decision::{Account, Batch, Effect, Payment, Rejection, Reply};
use stellara_machine::ids::{AccountId, AttemptNo, BatchId, Index, PaymentId};
use stellara_machine::units::{AccountSequence, UnixMs};
use stellara_proto::v1::peer;
use stellara_proto::v1::peer::rejection::Kind;

use super::{Node, Ports};
use crate::executor::{Cluster, ProposeError, ReadError};
use crate::gateway::Failure;
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
        Failure::Rejected(rejection) => {
            rejection_of(&rejection).map_or(ProposeError::Unknown, ProposeError::Rejected)
        }
        Failure::Overloaded { .. } => ProposeError::Overloaded,
        Failure::NoLeader { .. } => ProposeError::NotLeader,
        Failure::Unknown => ProposeError::Unknown,
        Failure::Unavailable { .. } => ProposeError::Stopped,
    }
}

/// The rejections that an executor's commands can meet, as the machine made them.
fn rejection_of(rejection: &peer::Rejection) -> Option<Rejection> {
    let account = || {
        <[u8; 32]>::try_from(&rejection.account[..])
            .ok()
            .map(AccountId)
    };
    let attempt = || u16::try_from(rejection.id).ok().map(AttemptNo);
    match rejection.kind() {
        Kind::NotDue => Some(Rejection::NotDue),
        Kind::NoFreeChannel => Some(Rejection::NoFreeChannel),
        Kind::BatchesFull => Some(Rejection::BatchesFull {
            limit: rejection.id,
        }),
        Kind::BatchUnknown => Some(Rejection::BatchUnknown {
            batch: BatchId(rejection.id),
        }),
        Kind::AttemptOutOfOrder => Some(Rejection::AttemptOutOfOrder {
            expected: attempt()?,
        }),
        Kind::SequenceMismatch => Some(Rejection::SequenceMismatch {
            channel: account()?,
            sequence: AccountSequence(rejection.number),
        }),
        Kind::EarlierAttemptLive => Some(Rejection::EarlierAttemptLive {
            attempt: attempt()?,
        }),
        Kind::AttemptsFull => Some(Rejection::AttemptsFull {
            limit: u16::try_from(rejection.id).ok()?,
        }),
        Kind::ChannelLent => Some(Rejection::ChannelLent {
            batch: BatchId(rejection.id),
        }),
        Kind::AccountsFull => Some(Rejection::AccountsFull {
            limit: rejection.id,
        }),
        Kind::PolicyVersion => Some(Rejection::PolicyVersion {
            actual: rejection.id,
        }),
        // The role is not carried: an executor only needs to know that it cannot register.
        Kind::RoleConflict => Some(Rejection::RoleConflict {
            role: stellara_machine::command::AccountRole::Treasury,
        }),
        Kind::Field => Some(Rejection::Field {
            field: "command",
            value: rejection.value.clone(),
            expected: "a command within the machine's limits",
        }),
        Kind::KeyReused
        | Kind::TreasuryUnknown
        | Kind::QueueFull
        | Kind::PaymentUnknown
        | Kind::PaymentNotQueued
        | Kind::Unspecified => None,
    }
}

//! What the leader does to change who votes: it looks who answers, has a learner catch up, and goes by joint consensus.
//!
//! A step that was made is never taken back by the one that fails after it: each leaves a membership that works, and
//! asking again goes on from there.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_proto::v1::peer;
use stellara_raft_store::types::{LogId, NodeId, NodeInfo, StoredMembership, Types};

use super::{Answer, no_leader};
use crate::gateway::Failure;
use crate::gateway::members::{Effect, MemberChange, MemberError, MemberRefusal, Membership};
use crate::node::standing::{Stage, told_by};
use crate::node::{Node, Ports};
use crate::ports::peer_link::Peer;
use crate::transport::client::PeerClient;

/// How long a node may take to tell that it is there.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// How long a membership may take to be committed, before it is unknown whether it will be.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// A learner that made no progress for this long will not catch up now.
const STANDS_STILL: Duration = Duration::from_secs(10);
/// How long a removed voter has to learn that it is none: one that knows does not stand for election.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long handing leadership over may take.
const TRANSFER_WITHIN: Duration = Duration::from_secs(5);
/// How often progress is looked at, beside its changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a majority of a set of voters needs, and has.
pub(super) fn majority_answers(
    voters: &BTreeSet<NodeId>,
    answering: &BTreeSet<NodeId>,
) -> Result<(), MemberRefusal> {
    let count = voters.intersection(answering).count();
    let needed = voters.len() / 2 + 1;
    if count >= needed {
        return Ok(());
    }
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Err(MemberRefusal::NoMajority {
        count: number(count),
        of_voters: number(voters.len()),
        needed: number(needed),
    })
}

fn membership_of(stored: &StoredMembership, effect: Effect) -> Membership {
    let membership = stored.membership();
    let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
    let others = membership.nodes().map(|(node_id, _)| *node_id);
    Membership {
        effect,
        at_index: stored.log_id().map_or(0, |log_id| log_id.index),
        learners: others.filter(|id| !voters.contains(id)).collect(),
        voters: voters.into_iter().collect(),
    }
}

impl<P: Ports> Node<P> {
    /// Carries a change out, as the leader.
    pub(super) async fn carry_out(&self, change: MemberChange) -> Answer {
        tracing::info!(?change, "change of the membership begins");
        let effect = match change {
            MemberChange::AddVoter(node_id) => self.add_voter(node_id).await?,
            MemberChange::RemoveVoter(node_id) => self.remove_voter(node_id).await?,
        };
        Ok(membership_of(&self.membership(), effect))
    }

    fn own_id(&self) -> NodeId {
        self.inner.options.whoami.node_id
    }

    fn membership(&self) -> StoredMembership {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.as_ref().clone()
    }

    /// The voters that a change starts from: none of a set that is on its way out.
    fn voters(&self) -> BTreeSet<NodeId> {
        let membership = self.membership();
        let configs = membership.membership().get_joint_config();
        configs.last().cloned().unwrap_or_default()
    }

    async fn add_voter(&self, node_id: NodeId) -> Result<Effect, MemberError> {
        let before = self.voters();
        if before.contains(&node_id) && !self.is_joint() {
            return Ok(Effect::AlreadySo);
        }
        let info = self.inner.options.members.get(&node_id).cloned();
        let info = info.ok_or(MemberRefusal::NodeUnknown { node_id })?;
        let mut after = before.clone();
        after.insert(node_id);
        let answering = self.answering(&after).await;
        if !answering.contains(&node_id) {
            return Err(MemberRefusal::NodeSilent { node_id }.into());
        }
        majority_answers(&before, &answering)?;
        majority_answers(&after, &answering)?;
        let known = self.membership().membership().get_node(&node_id).cloned();
        if known.as_ref() != Some(&info) {
            let learner = [(node_id, info)].into_iter().collect();
            // The configuration is newer than what the membership may keep of the node.
            self.commit(ChangeMembers::SetNodes(learner)).await?;
        }
        self.catch_up(node_id).await?;
        let voter = [node_id].into_iter().collect();
        self.commit(ChangeMembers::AddVoterIds(voter)).await?;
        Ok(Effect::Changed)
    }

    async fn remove_voter(&self, node_id: NodeId) -> Result<Effect, MemberError> {
        let membership = self.membership();
        if membership.membership().get_node(&node_id).is_none() {
            return match self.inner.options.members.contains_key(&node_id) {
                true => Ok(Effect::AlreadySo),
                false => Err(MemberRefusal::NodeUnknown { node_id }.into()),
            };
        }
        if membership.membership().voter_ids().any(|id| id == node_id) {
            self.take_vote(node_id).await?;
        }
        let gone = [node_id].into_iter().collect();
        self.commit(ChangeMembers::RemoveNodes(gone)).await?;
        Ok(Effect::Changed)
    }

    async fn take_vote(&self, node_id: NodeId) -> Result<(), MemberError> {
        let before = self.voters();
        let mut after = before.clone();
        after.remove(&node_id);
        if after.is_empty() {
            return Err(MemberRefusal::LastVoter { node_id }.into());
        }
        let answering = self.answering(&before).await;
        majority_answers(&before, &answering)?;
        majority_answers(&after, &answering)?;
        if node_id == self.own_id() {
            // The next leader is asked then: nobody leads a group that it is no part of.
            let moved = self.transfer_leadership(None, TRANSFER_WITHIN).await;
            moved.map_err(|reason| Failure::Unavailable { reason })?;
            return Err(no_leader());
        }
        let gone = [node_id].into_iter().collect();
        let at = self.commit(ChangeMembers::RemoveVoters(gone)).await?;
        if answering.contains(&node_id) {
            // As a learner it is told; later nobody sends it anything.
            let told = self.progress_until(|node| node.matched(node_id) >= at.index);
            P::Runtime::timeout(FAREWELL, told).await.ok();
        }
        Ok(())
    }

    fn is_joint(&self) -> bool {
        self.membership().membership().get_joint_config().len() > 1
    }

    /// Of some nodes those that answer, and have a log: this one, and whoever tells its standing.
    async fn answering(&self, nodes: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let own = self.own_id();
        let peers = PeerClient::new(self.inner.link.clone());
        let voters = self.voters();
        let others = nodes.iter().filter(|node_id| **node_id != own);
        let asking = others.map(async |node_id| {
            let info: NodeInfo = self.inner.info_of(*node_id)?;
            let peer = Peer {
                node_id: *node_id,
                info,
            };
            let request = peer::StandingRequest { readmit: false };
            let answer = peers.standing(&peer, &request, ASK_WITHIN).await.ok()?;
            // A voter that lost its log acknowledges nothing before it is taken back; a new node comes with none.
            let acknowledges = told_by(&answer)?.stage != Stage::Blank;
            (acknowledges || !voters.contains(node_id)).then_some(*node_id)
        });
        let answers = join_all(asking).await.into_iter().flatten();
        answers.chain([own]).collect()
    }

    /// How far a node's log is known to match this leader's; 0 when it is not.
    fn matched(&self, node_id: NodeId) -> u64 {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref();
        let matched = replication.and_then(|all| all.get(&node_id).copied().flatten());
        matched.map_or(0, |log_id| log_id.index)
    }

    /// Waits until a learner has what this leader's log holds now.
    async fn catch_up(&self, node_id: NodeId) -> Result<(), MemberError> {
        let needed = {
            let metrics = self.inner.raft.metrics();
            metrics.borrow_watched().last_log_index.unwrap_or(0)
        };
        let mut at = (0, 0);
        let mut moved = <P::Runtime as AsyncRuntime>::Instant::now();
        loop {
            let matched = self.matched(node_id);
            if matched >= needed {
                return Ok(());
            }
            if !self.inner.raft.is_leader() {
                return Err(no_leader());
            }
            let sent = self.inner.snapshots.transfers().get(&node_id).copied();
            let now_at = (matched, sent.map_or(0, |sent| sent.bytes_sent));
            if now_at != at {
                at = now_at;
                moved = <P::Runtime as AsyncRuntime>::Instant::now();
            }
            if moved.elapsed() > STANDS_STILL {
                return Err(MemberRefusal::Behind {
                    node_id,
                    matched,
                    needed,
                }
                .into());
            }
            P::Runtime::sleep(LOOK_EVERY).await;
        }
    }

    async fn progress_until(&self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) && self.inner.raft.is_leader() {
            P::Runtime::sleep(LOOK_EVERY).await;
        }
    }

    /// Commits a change, by joint consensus when it is of the voters. Removed voters follow on as learners.
    async fn commit(&self, change: ChangeMembers<NodeId, NodeInfo>) -> Result<LogId, MemberError> {
        let committing = self.inner.raft.change_membership(change, true);
        match P::Runtime::timeout(COMMIT_WITHIN, committing).await {
            Ok(Ok(written)) => Ok(written.log_id),
            Ok(Err(error)) => Err(failed::<P>(&error)),
            Err(_) => Err(Failure::Unknown.into()),
        }
    }
}

fn failed<P: Ports>(
    error: &RaftError<Types<P::Runtime>, ClientWriteError<Types<P::Runtime>>>,
) -> MemberError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => no_leader(),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_),
        )) => MemberRefusal::UnderWay.into(),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            // Everything that it speaks of was looked at before: the membership has changed meanwhile.
            tracing::info!(%error, "raft refuses the change of the membership");
            MemberRefusal::UnderWay.into()
        }
        RaftError::APIError(
            ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_),
        )
        | RaftError::Fatal(_) => Failure::Unknown.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_a_majority_that_answers() {
        let check = |voters: &[NodeId], answering: &[NodeId]| {
            let of = |ids: &[NodeId]| ids.iter().copied().collect::<BTreeSet<_>>();
            majority_answers(&of(voters), &of(answering)).is_ok()
        };
        assert!(check(&[1], &[1]));
        assert!(check(&[1, 2], &[1, 2, 3]));
        assert!(!check(&[1, 2], &[1, 3]));
        assert!(check(&[1, 2, 3], &[1, 3]));
        assert!(!check(&[1, 2, 3, 4], &[1, 3]));
        assert!(check(&[1, 2, 3, 4, 5], &[1, 3, 5]));
    }
}

//! The lease that a voter gives its leader: taken back when the leader is suspected, honoured when it is heard again.
//!
//! openraft refuses every pre-vote within the lease. No read and no write relies on it, so taking it back early costs
//! at most an election; and openraft cannot give it back within the term, so [`stance`] stands in for it.

use std::cmp::Ordering;

use openraft::Raft;
use openraft::raft::TransferLeaderRequest;
use openraft::storage::RaftStateMachine;
use openraft_rt::AsyncRuntime;
use stellara_raft_store::snapshot::Snapshot;
use stellara_raft_store::types::{NodeId, Types, Vote};

use super::Heart;
use crate::ports::peer_link::PeerLink;

/// What a voter does with another's pre-vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// Raft decides.
    Raft,
    /// The leader is suspected here, too: its lease goes, then Raft decides.
    Withdraw,
    /// Refused, as if the lease were there.
    Refuse,
}

/// Who asks for a pre-vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) node_id: NodeId,
    /// How it compares with this node, should both stand: greater goes first.
    pub(super) order: Ordering,
}

/// How a voter stands to its leader, whom its own `vote` names.
pub(super) fn stance<R: AsyncRuntime + 'static, L: PeerLink>(
    heart: &Heart<R, L>,
    vote: &Vote,
    asker: Asker,
) -> Stance {
    let (leader, term) = (vote.leader_id.voted_for, vote.leader_id.term);
    if heart.promised_to_other(asker.node_id) {
        return Stance::Refuse;
    }
    if !vote.committed {
        return Stance::Raft;
    }
    // Two that ask each other at once would each vote for itself: the one that goes first goes on alone.
    let goes_first = heart.has_turn() && asker.order == Ordering::Less;
    if goes_first || heart.hears_again(leader, term) {
        return Stance::Refuse;
    }
    if heart.suspects(leader) {
        return Stance::Withdraw;
    }
    Stance::Raft
}

/// Takes back the lease of the leader that `vote` names; nothing happens when the vote is not the node's any more.
/// Handing leadership on is the one way to say so, here to the leader itself: nobody stands for election by it.
pub async fn withdraw_lease<R, SM, L>(raft: &Raft<Types<R>, SM>, heart: &Heart<R, L>, vote: Vote)
where
    R: AsyncRuntime + 'static,
    SM: RaftStateMachine<Types<R>, SnapshotData = Snapshot>,
    L: PeerLink,
{
    let (leader, term) = (vote.leader_id.voted_for, vote.leader_id.term);
    heart.withdraw(leader, term);
    let request = TransferLeaderRequest::new(vote, leader, None);
    if let Err(fatal) = raft.handle_transfer_leader(request).await {
        tracing::debug!(%fatal, "raft has ended");
    }
}

//! Changes of who votes: what an operator can ask, what is answered, and why it is refused.
//!
//! A change names the state that is wanted, so asking again for what is so already changes nothing and is no error.

use stellara_raft_store::types::NodeId;
use thiserror::Error;

use super::Failure;

/// A change of who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// The node votes afterwards.
    AddVoter(NodeId),
    /// The node is no member afterwards.
    RemoveVoter(NodeId),
}

/// Whether a call changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It did.
    Changed,
    /// All was so already.
    AlreadySo,
}

/// The membership in force after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Whether this call changed it.
    pub effect: Effect,
    /// The log entry that set it.
    pub at_index: u64,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// Who follows without a vote.
    pub learners: Vec<NodeId>,
}

/// Why a change is refused. Nothing was changed, unless a variant says otherwise.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MemberRefusal {
    /// The leader's configuration does not name it.
    #[error("node {node_id} is not among cluster.members of the leader's configuration")]
    NodeUnknown {
        /// The node.
        node_id: NodeId,
    },
    /// It cannot catch up: the leader gets no answer from it.
    #[error("node {node_id} does not answer the leader: start it first")]
    NodeSilent {
        /// The node.
        node_id: NodeId,
    },
    /// Nobody would vote any more.
    #[error("node {node_id} is the last voter")]
    LastVoter {
        /// The node.
        node_id: NodeId,
    },
    /// No majority of the voters before, or after, the change answers: it would stop the cluster.
    #[error("{count} of {of_voters} voters answer the leader, expected at least {needed}")]
    NoMajority {
        /// Voters that answer.
        count: u64,
        /// Voters in all.
        of_voters: u64,
        /// How many are a majority.
        needed: u64,
    },
    /// One change is made at a time.
    #[error("another change of the membership is under way")]
    UnderWay,
    /// It follows as a learner now, and made no progress before it had the leader's log. Asking again goes on from there;
    /// removing it takes it out.
    #[error(
        "node {node_id} has entry {matched} of the {needed} it must have to vote, and comes no nearer"
    )]
    Behind {
        /// The node.
        node_id: NodeId,
        /// How far its log is.
        matched: u64,
        /// How far it must be.
        needed: u64,
    },
}

/// Why a change was not made, or is not known to have been.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MemberError {
    /// The leader refuses.
    #[error(transparent)]
    Refused(#[from] MemberRefusal),
    /// As of any command; `Unknown` when the change may still be going on.
    #[error(transparent)]
    Failed(#[from] Failure),
}

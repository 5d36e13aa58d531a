//! The two ways to the cluster, as everything above sees them: `propose` in, `read` out.
//!
//! `ingress` and `reads` implement it; the API, the ops endpoints and tests use nothing else.

use std::borrow::Cow;
use std::future::Future;
use std::io;

use openraft_rt::AsyncRuntime;
use stellara_machine::command::Command;
use stellara_machine::decision::{Rejection, Reply};
use stellara_machine::ids::Index;
use stellara_proto::v1::peer;
use stellara_raft_store::codec::rejection_to_proto;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::{NodeId, NodeInfo};
use stellara_raft_store::view::View;
use thiserror::Error;

pub mod members;

use members::{MemberChange, MemberError, Membership};

/// Why a command or a read brought no result.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Failure {
    /// Applied, and refused by the machine: nothing changed, on any node.
    #[error("rejected: {0:?}")]
    Rejected(Rejected),
    /// A queue is full; nothing was proposed.
    #[error("too many requests are waiting; try again after {retry_after_ms} ms")]
    Overloaded {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// No leader is known or reached; nothing was proposed.
    #[error("no leader is known")]
    NoLeader {
        /// The public address of the node that may lead, when there is one.
        hint: Option<String>,
    },
    /// Proposed, and its fate is not known: ask again with the same idempotency key.
    #[error("the outcome is unknown; repeat with the same idempotency key")]
    Unknown,
    /// This node stops or takes no writes; nothing was proposed.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// Why, in words for the caller.
        reason: String,
    },
}

/// A rejection, in the form in which this node has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Rejected {
    /// This node's own machine rejected: the very value, with all that it holds.
    Here(Rejection),
    /// The leader's machine did, and the leader told it. The wire's form is kept: the machine's words are constants
    /// of a release, and a leader of another release may reject for reasons that this one has no value for.
    ByLeader(peer::Rejection),
}

impl Rejected {
    /// What callers and peers are told.
    #[must_use]
    pub fn wire(&self) -> Cow<'_, peer::Rejection> {
        match self {
            Self::Here(rejection) => Cow::Owned(rejection_to_proto(rejection)),
            Self::ByLeader(told) => Cow::Borrowed(told),
        }
    }
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Sees everything acknowledged before the read was asked.
    Linearizable,
    /// What this node has applied.
    Stale {
        /// Refuse when this node last knew itself in touch with the group longer ago than this, in milliseconds; 0
        /// takes anything.
        ///
        /// In touch means, on the leader: when it sent the latest message that a majority has answered. On any other
        /// node: when the latest heartbeat arrived in which a peer said that it leads, in the latest term that
        /// heartbeats have told of. So the bound is about silence, not about entries: a node in touch may still have
        /// committed entries to receive or to apply, as many as its lag says; and a leader that lost its majority
        /// counts as one for whoever still hears only it. An idle leader beats every `raft.heartbeat_ms`: a bound
        /// below that and a round trip refuses healthy nodes.
        staleness_max_ms: u64,
    },
}

/// What a node does in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes the writes.
    Leader,
    /// Follows a leader.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Follows and does not vote.
    Learner,
}

/// Whether a member counts for a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffrage {
    /// It votes.
    Voter,
    /// It only follows.
    Learner,
}

/// A member as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its number.
    pub node_id: NodeId,
    /// Where it is.
    pub info: NodeInfo,
    /// Whether it votes.
    pub suffrage: Suffrage,
    /// How far its log is known to match the leader's; `None` when this node does not lead.
    pub matched_index: Option<u64>,
}

/// Why a node does not take full part yet: its log was blank when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It asks its peers whether there is a cluster.
    Asking,
    /// It lost its log, and follows without a vote until it has applied an index.
    Rebuilding {
        /// The index.
        until: u64,
    },
}

/// The cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster's name, the same on all its nodes.
    pub cluster_id: String,
    /// This node.
    pub node_id: NodeId,
    /// Its region.
    pub region: String,
    /// What it does.
    pub role: Role,
    /// Raft's term.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader_id: Option<NodeId>,
    /// The last entry of its log.
    pub last_log_index: u64,
    /// The last entry it knows to be committed.
    pub committed_index: u64,
    /// The last entry it applied.
    pub applied_index: u64,
    /// Everyone.
    pub members: Vec<MemberView>,
    /// Why it does not take full part yet, when it does not.
    pub joining: Option<Joining>,
    /// Why it takes no writes, when it does not.
    pub read_only_reason: Option<String>,
}

/// The two ways to the cluster. Cheap to clone.
pub trait Gateway: Clone + Send + Sync + 'static {
    /// Tasks and time of whoever serves calls over it.
    type Runtime: AsyncRuntime + 'static;
    /// Where its state lies.
    type Disk: Disk;

    /// Runs what may wait for the disk, away from the tasks that serve calls.
    ///
    /// # Errors
    /// `Interrupted` when the runtime stops; any other when `work` panicked.
    fn blocking<T, F>(work: F) -> impl Future<Output = io::Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// Proposes commands, on this node or through the leader; one result per command, in order.
    /// They may share a log entry with other callers' commands.
    fn propose(
        &self,
        commands: Vec<Command>,
    ) -> impl Future<Output = Vec<Result<Reply, Failure>>> + Send;

    /// Changes who votes, on this node or through the leader. Asking again for a change that is under way waits for it.
    fn change_members(
        &self,
        change: MemberChange,
    ) -> impl Future<Output = Result<Membership, MemberError>> + Send;

    /// Waits until this node's state is as fresh as asked, and gives it.
    fn read(
        &self,
        freshness: Freshness,
    ) -> impl Future<Output = Result<View<Self::Disk>, Failure>> + Send;

    /// The cluster as this node sees it now.
    fn status(&self) -> ClusterView;

    /// Resolves once an index past `seen` is applied here, at once when it is already.
    fn applied_past(&self, seen: Index) -> impl Future<Output = ()> + Send;
}

//! Raft's types for Stellara: openraft's configuration and the aliases the rest of the house uses.
//!
//! `Types` is generic over the runtime, so one build holds the node for tokio and for the simulator.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, RaftTypeConfig};
use openraft_rt::AsyncRuntime;
use stellara_machine::decision::{Rejection, Reply};

/// A node's number in the Raft group; never used again once the node is removed.
pub type NodeId = u64;

/// What the membership keeps of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its region, as `eu-west-1`.
    pub region: String,
    /// Where its peers reach it: `host:port` of its QUIC endpoint.
    pub peer_address: String,
    /// Where clients reach it: `http://host:port`.
    pub public_address: String,
}

impl fmt::Display for NodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.region, self.peer_address)
    }
}

/// The payload of a log entry: `stellara.v1.log.EntryPayload`, encoded once by the leader and passed on as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedEntry(pub Bytes);

impl fmt::Debug for EncodedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedEntry({} bytes)", self.0.len())
    }
}

impl fmt::Display for EncodedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The machine's answers to one entry's commands, in order; empty for Raft's own entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryReplies(pub Vec<Result<Reply, Rejection>>);

/// openraft's configuration over the runtime `R`.
pub struct Types<R>(PhantomData<fn() -> R>);

impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Types<R> {}

impl<R> Default for Types<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

impl<R> PartialEq for Types<R> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<R> Eq for Types<R> {}

impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for Types<R> {
    fn cmp(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<R: AsyncRuntime + 'static> RaftTypeConfig for Types<R> {
    type D = EncodedEntry;
    type R = EntryReplies;
    type NodeId = NodeId;
    type Node = NodeInfo;
    type Term = u64;
    // One leader a term at most, as in the Raft paper: a log id is a term and an index.
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = EntryPayload<EncodedEntry, NodeId, NodeInfo>;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A candidate's or leader's identity: its term and node.
pub type LeaderId = leader_id_std::LeaderId<u64, NodeId>;
/// A vote: a term, a candidate, and whether a quorum granted it.
pub type Vote = openraft::impls::Vote<LeaderId>;
/// A committed leader's identity: its term.
pub type CommittedLeaderId = <LeaderId as RaftLeaderId>::Committed;
/// A position in the log.
pub type LogId = openraft::LogId<CommittedLeaderId>;
/// A log entry.
pub type Entry = openraft::Entry<CommittedLeaderId, EntryPayload<EncodedEntry, NodeId, NodeInfo>>;
/// Who votes and who listens.
pub type Membership = openraft::Membership<NodeId, NodeInfo>;
/// A membership and the log entry that set it.
pub type StoredMembership = openraft::StoredMembership<CommittedLeaderId, NodeId, NodeInfo>;
/// What a snapshot holds.
pub type SnapshotMeta = openraft::storage::SnapshotMeta<CommittedLeaderId, NodeId, NodeInfo>;

/// A vote for `voted_for` in `term`.
#[must_use]
pub const fn vote(term: u64, voted_for: NodeId, committed: bool) -> Vote {
    Vote {
        leader_id: LeaderId { term, voted_for },
        committed,
    }
}

/// The log id of `index`, written by the leader of `term`.
#[must_use]
pub fn log_id(term: u64, index: u64) -> LogId {
    // In standard Raft the node plays no part in a committed leader's identity.
    let leader = LeaderId { term, voted_for: 0 };
    LogId::new(leader.to_committed(), index)
}

/// The term in which an entry was written.
#[must_use]
pub fn term_of(log_id: &LogId) -> u64 {
    *log_id.leader_id
}

//! A node's place in its group as plain numbers, cheap enough to look at all the time.
//!
//! They are what Raft last told of itself: each was true at one moment, and of one moment.

use openraft::ServerState;
use openraft::metrics::{RaftDataMetrics, RaftServerMetrics};
use openraft_rt::AsyncRuntime;
use openraft_rt::watch::{Watch, WatchReceiver as _};
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::{LogId, NodeId, Types, term_of};

use crate::gateway::Role;
use crate::ingress::Group;

/// A position in the log: the term of the leader that wrote the entry, and its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPoint {
    /// The term.
    pub term: u64,
    /// The index; 0 is before the first entry.
    pub index: u64,
}

impl From<&LogId> for LogPoint {
    fn from(log_id: &LogId) -> Self {
        Self {
            term: term_of(log_id),
            index: log_id.index,
        }
    }
}

/// A node's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// What it does.
    pub role: Role,
    /// The term of its durable vote.
    pub term: u64,
    /// Whom it voted for in that term.
    pub voted_for: NodeId,
    /// Whether a majority granted that vote, as far as it knows.
    pub vote_committed: bool,
    /// The last entry of its log, durable or not.
    pub last_log: Option<LogPoint>,
    /// The last entry that it knows to be committed and has.
    pub committed: Option<LogPoint>,
    /// The last entry that it applied.
    pub applied: Option<LogPoint>,
    /// The last entry of its newest snapshot.
    pub snapshot: Option<LogPoint>,
    /// The last entry that left its log.
    pub purged: Option<LogPoint>,
    /// The entry that set the membership in force.
    pub membership_at: Option<LogPoint>,
}

type Receiver<R, M> = <<R as AsyncRuntime>::Watch as Watch>::Receiver<M>;

/// Follows a node's vitals. It keeps nothing of the node alive.
pub struct VitalsFeed<R: AsyncRuntime + 'static> {
    /// The side that changes seldom.
    pub server: Receiver<R, RaftServerMetrics<Types<R>>>,
    /// The side that changes with every entry.
    pub data: Receiver<R, RaftDataMetrics<Types<R>>>,
}

impl<R: AsyncRuntime + 'static> VitalsFeed<R> {
    pub(super) fn new<D: Disk>(raft: &Group<R, D>) -> Self {
        Self {
            server: raft.server_metrics(),
            data: raft.data_metrics(),
        }
    }

    /// The vitals as of now; both sides count as seen.
    pub fn take(&mut self) -> Vitals {
        let server = self.server.borrow_and_update();
        let data = self.data.borrow_and_update();
        let point = |log_id: &Option<LogId>| log_id.as_ref().map(LogPoint::from);
        Vitals {
            role: role(server.state),
            term: server.vote.leader_id.term,
            voted_for: server.vote.leader_id.voted_for,
            vote_committed: server.vote.committed,
            last_log: point(&data.last_log),
            committed: point(&data.local_committed),
            applied: point(&data.last_applied),
            snapshot: point(&data.snapshot),
            purged: point(&data.purged),
            membership_at: point(server.membership_config.log_id()),
        }
    }

    /// The sets of voters of the membership in force; while it changes there are two, and each must agree.
    #[must_use]
    pub fn voters(&self) -> Vec<Vec<NodeId>> {
        let server = self.server.borrow_watched();
        let membership = server.membership_config.membership();
        let sets = membership.get_joint_config().iter();
        sets.map(|set| set.iter().copied().collect()).collect()
    }
}

/// What a node does, in our words.
const fn role(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Candidate => Role::Candidate,
        ServerState::Follower => Role::Follower,
        ServerState::Learner | ServerState::Shutdown => Role::Learner,
    }
}

//! What a picture shows of a run: lanes, what each node was and when, messages, syncs, calls, faults, violations.
//!
//! Plain facts in true time; how they look is decided in `layout`.

use std::time::Duration;

use stellara_node::gateway::Role;
use stellara_raft_store::types::NodeId;

use crate::invariants::Violation;
use crate::runtime::SimTime;

/// Which part of a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// In milliseconds after the cluster was ready.
    Ready {
        /// From here.
        from_ms: u64,
        /// To here.
        to_ms: u64,
    },
    /// In true time.
    Absolute {
        /// From here.
        from: SimTime,
        /// To here.
        to: SimTime,
    },
}

impl Window {
    /// The window in true time, when the cluster was ready at `ready_at`.
    #[must_use]
    pub fn from_ready(self, ready_at: SimTime) -> (SimTime, SimTime) {
        let after = |ms: u64| ready_at + Duration::from_millis(ms);
        match self {
            Self::Ready { from_ms, to_ms } => (after(from_ms), after(to_ms)),
            Self::Absolute { from, to } => (from, to),
        }
    }

    /// The window in true time, as long as nobody knows when the cluster is ready.
    pub(super) const fn before_ready(self) -> Option<(SimTime, SimTime)> {
        match self {
            Self::Ready { .. } => None,
            Self::Absolute { from, to } => Some((from, to)),
        }
    }
}

/// A node's place in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The node.
    pub node_id: NodeId,
    /// Its region.
    pub region: String,
}

/// What befalls a process or a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The process begins to start.
    Started,
    /// It is being stopped in order.
    Stopping,
    /// It is gone.
    Ended,
    /// The disk is emptied.
    Wiped,
    /// It is not scheduled.
    Paused,
    /// It is scheduled again.
    Resumed,
}

/// What a node turns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As a process.
    Life(Life),
    /// As a member of its group.
    Role {
        /// What it does.
        role: Role,
        /// In which term.
        term: u64,
    },
}

/// A node turns to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeAt {
    /// When.
    pub at: SimTime,
    /// Which node.
    pub node_id: NodeId,
    /// To what.
    pub turn: Turn,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexAt {
    /// When.
    pub at: SimTime,
    /// Which node.
    pub node_id: NodeId,
    /// The last entry that it knows to be committed.
    pub committed: u64,
    /// The last entry that it applied.
    pub applied: u64,
}

/// A sync of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Whose.
    pub node_id: NodeId,
    /// When it began.
    pub begun_at: SimTime,
    /// When it ended; `None` when it never did.
    pub ended_at: Option<SimTime>,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// Elections and handing leadership over.
    Vote,
    /// Log replication.
    Append,
    /// A follower asks from which index on it may read.
    ReadIndex,
    /// A follower passes its callers' commands on.
    Forward,
    /// Snapshots.
    Snapshot,
    /// A leader's beat, a datagram.
    Heartbeat,
}

impl MessageKind {
    /// All of them, as they are told in legends.
    pub const ALL: [Self; 6] = [
        Self::Vote,
        Self::Append,
        Self::ReadIndex,
        Self::Forward,
        Self::Snapshot,
        Self::Heartbeat,
    ];

    /// Its name in pictures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Append => "append",
            Self::ReadIndex => "read index",
            Self::Forward => "forward",
            Self::Snapshot => "snapshot",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// The name of its class in styles.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Append => "append",
            Self::ReadIndex => "readindex",
            Self::Forward => "forward",
            Self::Snapshot => "snapshot",
            Self::Heartbeat => "beat",
        }
    }
}

/// Which way on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// From who opened it.
    There,
    /// An answer.
    Back,
}

/// A message between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// From here.
    pub from: NodeId,
    /// To there.
    pub to: NodeId,
    /// What for.
    pub kind: MessageKind,
    /// Question or answer.
    pub leg: Leg,
    /// Its payload.
    pub bytes: u32,
    /// When it left.
    pub sent_at: SimTime,
    /// When it was to arrive, as of then; `None` when it was lost on the way.
    pub due: Option<SimTime>,
    /// When it was heard; `None` when it never was.
    pub heard_at: Option<SimTime>,
}

/// What a client was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Accepted, or withdrawn as asked.
    Acknowledged,
    /// Read.
    Read,
    /// Refused by the machine.
    Refused,
    /// Surely not done.
    NotDone,
    /// Its fate is not known.
    Unknown,
}

/// A call of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which client.
    pub client: u8,
    /// Through which node.
    pub node_id: NodeId,
    /// What it asked, in a word.
    pub asked: &'static str,
    /// When.
    pub asked_at: SimTime,
    /// When it was answered, and how.
    pub answered: Option<(SimTime, Answered)>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultBand {
    /// In words.
    pub name: String,
    /// Whom it hit; all when empty.
    pub nodes: Vec<NodeId>,
    /// When it began.
    pub begun_at: SimTime,
    /// When it was over; `None` when it lasted to the end.
    pub ended_at: Option<SimTime>,
}

/// What is shown of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// From when to when, in true time.
    pub window: (SimTime, SimTime),
    /// When the cluster was ready.
    pub ready_at: SimTime,
    /// When the run was over.
    pub ended_at: SimTime,
    /// The nodes.
    pub lanes: Vec<Lane>,
    /// What they turned to, from the start of the run.
    pub changes: Vec<ChangeAt>,
    /// How far they were in the window.
    pub indexes: Vec<IndexAt>,
    /// Syncs of disks.
    pub syncs: Vec<Sync>,
    /// Messages.
    pub messages: Vec<Message>,
    /// Messages of the window for which there was no room.
    pub left_out: u64,
    /// What clients asked.
    pub calls: Vec<Call>,
    /// Faults of the whole run.
    pub faults: Vec<FaultBand>,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

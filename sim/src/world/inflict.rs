//! A plan's faults, acted out on the world: whom each means at its moment, what it does, and what ends it.
//!
//! What lasts is held by tickets, so that two faults on one thing are both in force until each has ended. A fault that
//! cannot be, or would leave no majority of good copies, is skipped, and says why.

use stellara_raft_store::engine::memory;
use stellara_raft_store::types::NodeId;

use super::World;
use super::seat::Ticket;
use crate::fake::disk::{DiskPace, PaceHold};
use crate::fake::ledger::{LedgerAilment, LedgerHold};
use crate::fake::network::Hold;
use crate::plan::fault::{Fault, Unsynced};
use crate::plan::target::Target;
use crate::runtime::{EventKind, event};

mod disk;
mod machine;
mod network;
mod target;

pub(super) use target::Leaders;

const INFLICTED: EventKind = EventKind::new("fault");
const SKIPPED: EventKind = EventKind::new("fault-skipped");
const RELIEVED: EventKind = EventKind::new("fault-over");

/// Why a fault was not acted out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// Nobody is meant, at this moment.
    #[error("{0} is nobody now")]
    Nobody(Target),
    /// Both sides are the same.
    #[error("node {0} is on both sides")]
    BothSides(NodeId),
    /// There is nobody on one side.
    #[error("one side is empty")]
    EmptySide,
    /// There is no process to do it to.
    #[error("node {0} does not run")]
    NotRunning(NodeId),
    /// The disk has no such record.
    #[error("the disk of node {0} has no such record")]
    NoRecord(NodeId),
    /// Too few good copies would be left.
    #[error("nodes {damaged:?} are damaged: node {node} must not be")]
    TooMuchDamage {
        /// Whom the fault meant.
        node: NodeId,
        /// Whose data is damaged.
        damaged: Vec<NodeId>,
    },
}

/// What ends something that was imposed on the world.
#[derive(Clone, Debug)]
enum Undo {
    Network(Hold),
    Up(NodeId, Ticket),
    Move(NodeId, Ticket),
    Room(NodeId, Ticket),
    Rate(NodeId, Ticket),
    Out(NodeId, Ticket),
    Pace(DiskPace, PaceHold),
    Ledger(LedgerHold),
}

/// What ends a fault. Dropping it leaves the fault in force.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Relief {
    steps: Vec<Undo>,
}

impl Relief {
    /// Whether there is nothing to end.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty()
    }
}

/// What a fault did.
#[derive(Debug)]
pub struct Inflicted {
    /// Whom it hit; nobody when it concerns all paths or the ledger.
    pub nodes: Vec<NodeId>,
    /// Who led then, or had led last.
    pub leader: Option<NodeId>,
    /// What ends it; nothing for what does not last.
    pub relief: Relief,
    /// Why nothing was done.
    pub skipped: Option<Skipped>,
}

impl Inflicted {
    /// Whether it hit who led then.
    #[must_use]
    pub fn hit_leader(&self) -> bool {
        self.leader
            .is_some_and(|leader| self.nodes.contains(&leader))
    }
}

/// What was done, and to whom.
#[derive(Debug, Default)]
struct Deed {
    nodes: Vec<NodeId>,
    steps: Vec<Undo>,
}

impl Deed {
    fn to(node_id: NodeId, steps: Vec<Undo>) -> Self {
        let nodes = vec![node_id];
        Self { nodes, steps }
    }

    fn to_all(step: Undo) -> Self {
        Self {
            nodes: Vec::new(),
            steps: vec![step],
        }
    }
}

type Done = Result<Deed, Skipped>;

impl World {
    /// Acts a fault out, now.
    pub async fn inflict(&mut self, fault: &Fault) -> Inflicted {
        let leader = self.notice_leader();
        let done = self.act(fault);
        let (deed, skipped) = match done {
            Ok(deed) => (deed, None),
            Err(skipped) => (Deed::default(), Some(skipped)),
        };
        let first = deed.nodes.first().copied().unwrap_or_default();
        match &skipped {
            None => event(INFLICTED, first, 0, || {
                format!("{fault:?} {:?}", deed.nodes)
            }),
            Some(why) => event(SKIPPED, 0, 0, || format!("{fault:?}: {why}")),
        }
        Inflicted {
            nodes: deed.nodes,
            leader,
            relief: Relief { steps: deed.steps },
            skipped,
        }
    }

    fn act(&mut self, fault: &Fault) -> Done {
        match fault {
            Fault::Crash { node, unsynced } => self.crash_for(node, kept(*unsynced)),
            Fault::CrashAll { unsynced } => Ok(self.crash_all_for(kept(*unsynced))),
            Fault::Wipe { node } => self.wipe_for(node),
            Fault::Pause { node } => self.pause_for(node),
            Fault::Restart { node } => self.restart_for(node),
            Fault::Transfer { to } => self.transfer(to),
            Fault::RemoveVoter { node } => self.take_out_for(node),
            Fault::TakeSnapshot { node } => self.have_snapshot_taken(node),
            Fault::ClockJump { node, by_ms } => self.jump(node, *by_ms),
            Fault::ClockDrift { node, ppm } => self.drift_for(node, *ppm),
            Fault::Isolate { node } => self.cut_off(node, &[Way::Out, Way::In]),
            Fault::Deaf { node } => self.cut_off(node, &[Way::In]),
            Fault::Mute { node } => self.cut_off(node, &[Way::Out]),
            Fault::Cut { a, b } => self.cut_for(a, b),
            Fault::Partition { side } => self.part(side),
            Fault::Clog { from, to } => self.clog_for(from, to),
            Fault::Detour { node, add_permille } => self.slow_for(node, *add_permille, None),
            Fault::BrownOut {
                node,
                add_permille,
                bytes_per_s,
            } => self.slow_for(node, *add_permille, Some(*bytes_per_s)),
            Fault::Loss { loss_ppm } => Ok(self.lose(*loss_ppm)),
            Fault::Bursts {
                bad_ppm,
                bad_ms,
                good_ms,
            } => Ok(self.lose_in_bursts(*bad_ppm, *bad_ms, *good_ms)),
            Fault::Duplicate { duplicate_ppm } => Ok(self.duplicate(*duplicate_ppm)),
            Fault::DiskStall { node } => self.stall_for(node),
            Fault::DiskSlow { node, sync_ms } => self.slow_disk_for(node, *sync_ms),
            Fault::DiskError { node, on } => self.fail_disk(node, *on),
            Fault::DiskFull { node } => self.fill_disk_for(node),
            Fault::BitRot { node, of } => self.rot(node, *of),
            Fault::TornWrite { node } => self.tear_for(node),
            Fault::Misdirected { node } => self.misdirect(node),
            Fault::LedgerDown {} => Ok(self.ail_ledger(LedgerAilment::Down)),
            Fault::LedgerLoses {
                submit_ppm,
                query_ppm,
            } => Ok(self.ail_ledger(LedgerAilment::Loses {
                submit_ppm: *submit_ppm,
                query_ppm: *query_ppm,
            })),
            Fault::LedgerLag { ingest_lag_ms } => Ok(self.lag_ledger(*ingest_lag_ms)),
            Fault::LedgerSurge {
                ops_per_ledger,
                bid_stroops,
            } => Ok(self.ail_ledger(LedgerAilment::Surge {
                ops_per_ledger: *ops_per_ledger,
                bid_stroops: *bid_stroops,
            })),
            Fault::LedgerClock { by_ms } => Ok(self.skew_ledger(*by_ms)),
        }
    }

    /// Ends what a fault began. A process that it held down begins to start; [`World::supervise`] tells if it fails to.
    pub async fn relieve(&mut self, relief: Relief) {
        for step in relief.steps {
            event(RELIEVED, 0, 0, || format!("{step:?}"));
            match step {
                Undo::Network(hold) => self.network.release(hold),
                Undo::Up(node_id, ticket) => self.let_up(node_id, ticket),
                Undo::Move(node_id, ticket) => self.let_move(node_id, ticket),
                Undo::Room(node_id, ticket) => self.make_room(node_id, ticket),
                Undo::Rate(node_id, ticket) => self.end_drift(node_id, ticket),
                Undo::Out(node_id, ticket) => self.let_in(node_id, ticket),
                Undo::Pace(pace, hold) => pace.release(hold),
                Undo::Ledger(hold) => self.ledger.release(hold),
            }
        }
    }

    fn ail_ledger(&self, ailment: LedgerAilment) -> Deed {
        let step = Undo::Ledger(self.ledger.hold(ailment));
        Deed::to_all(step)
    }

    fn lag_ledger(&self, ingest_lag_ms: u64) -> Deed {
        self.ail_ledger(LedgerAilment::Lag { ingest_lag_ms })
    }

    fn skew_ledger(&self, by_ms: i64) -> Deed {
        self.ail_ledger(LedgerAilment::Clock { by_ms })
    }
}

/// Which way is cut, as a node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

const fn kept(unsynced: Unsynced) -> memory::Unsynced {
    match unsynced {
        Unsynced::Lost => memory::Unsynced::Lost,
        Unsynced::Drawn => memory::Unsynced::Drawn,
        Unsynced::Kept => memory::Unsynced::Kept,
    }
}

//! The faults of a plan, each begun at its moment and ended at its own, and the supervision of what they break.

use std::collections::BTreeMap;
use std::time::Duration;

use stellara_raft_store::engine::memory::MemoryDisk;
use stellara_raft_store::types::NodeId;

use crate::plan::fault::Fault;
use crate::plan::{FaultAt, Plan};
use crate::runtime::{SimTime, now};
use crate::timeline::recorder;
use crate::world::{Relief, Stopped, World};

use super::failover::Gaps;

/// The faults of a run.
pub(super) struct Troubles {
    waiting: std::vec::IntoIter<(SimTime, FaultAt)>,
    next: Option<(SimTime, FaultAt)>,
    lasting: BTreeMap<(SimTime, u32), Relief>,
    begun: u32,
    unexplained: Vec<Stopped>,
    failing: FailingDisks,
}

impl Troubles {
    pub(super) fn new(plan: &Plan, ready_at: SimTime) -> Self {
        let at = |fault: &FaultAt| ready_at + Duration::from_millis(fault.at_ms);
        let all: Vec<_> = plan
            .faults
            .iter()
            .map(|fault| (at(fault), fault.clone()))
            .collect();
        let mut waiting = all.into_iter();
        Self {
            next: waiting.next(),
            waiting,
            lasting: BTreeMap::new(),
            begun: 0,
            unexplained: Vec::new(),
            failing: FailingDisks::default(),
        }
    }

    /// Ends what is over, begins what is due, and looks after nodes that stopped.
    pub(super) async fn step(&mut self, world: &mut World, gaps: &mut Gaps) {
        self.supervise(world);
        while let Some(entry) = self.lasting.first_entry() {
            if entry.key().0 > now() {
                break;
            }
            let ((_, number), relief) = entry.remove_entry();
            recorder::fault_ends(number);
            world.relieve(relief).await;
        }
        while let Some((at, fault)) = self.next.take_if(|(at, _)| *at <= now()) {
            self.next = self.waiting.next();
            let inflicted = world.inflict(&fault.fault).await;
            gaps.inflicted(&fault.fault, &inflicted);
            if stops_a_node(&fault.fault) {
                for node_id in &inflicted.nodes {
                    world
                        .explained()
                        .explain(*node_id, format!("{:?}", fault.fault));
                }
            }
            if matches!(fault.fault, Fault::DiskError { .. }) {
                self.failing.armed(&inflicted.nodes);
            }
            // What has no end of its own ends with the troubled part.
            let ends = fault.for_ms.map_or(SimTime::from_ns(u64::MAX), |for_ms| {
                at + Duration::from_millis(for_ms)
            });
            self.begun += 1;
            recorder::fault_begins(self.begun, || fault.fault.words(), &inflicted);
            self.lasting.insert((ends, self.begun), inflicted.relief);
        }
    }

    /// Ends everything.
    pub(super) async fn end(&mut self, world: &mut World) {
        self.next = None;
        self.waiting = Vec::new().into_iter();
        for ((_, number), relief) in std::mem::take(&mut self.lasting) {
            recorder::fault_ends(number);
            world.relieve(relief).await;
        }
    }

    /// Nodes that stopped by themselves are started again, as a service manager would.
    pub(super) fn supervise(&mut self, world: &mut World) {
        for stopped in world.supervise() {
            self.failing.stopped(stopped.node_id);
            if stopped.cause.is_none() {
                self.unexplained.push(stopped);
            }
        }
        self.failing.look(world);
    }

    /// A node that went on after its disk failed, if there is one.
    pub(super) const fn went_on(&self) -> Option<(NodeId, SimTime)> {
        self.failing.went_on
    }

    /// Nodes that stopped by themselves though nothing was done to them.
    pub(super) fn unexplained(&self) -> &[Stopped] {
        &self.unexplained
    }
}

/// Disks of which a call fails: whose it is must stop, and not try again (CockroachDB #129579, etcd #13587).
#[derive(Debug, Default)]
struct FailingDisks {
    /// When the call failed; `None` while it is still to come.
    by_node: BTreeMap<NodeId, Option<SimTime>>,
    went_on: Option<(NodeId, SimTime)>,
}

/// How long a node may take to stop after its disk failed.
const STOPS_WITHIN: Duration = Duration::from_millis(1_000);

impl FailingDisks {
    fn armed(&mut self, nodes: &[NodeId]) {
        self.by_node
            .extend(nodes.iter().map(|node_id| (*node_id, None)));
    }

    fn stopped(&mut self, node_id: NodeId) {
        self.by_node.remove(&node_id);
    }

    fn look(&mut self, world: &World) {
        self.by_node.retain(|node_id, failed_at| {
            let pending = world.disk(*node_id).is_some_and(MemoryDisk::will_fail);
            // Who lost power or is paused does nothing, neither right nor wrong.
            let acts = world.roster().runs(*node_id) && !world.is_paused(*node_id);
            match failed_at {
                None if pending => acts,
                None => {
                    *failed_at = Some(now());
                    acts
                }
                Some(at) if now() - *at > STOPS_WITHIN => {
                    self.went_on.get_or_insert((*node_id, *at));
                    false
                }
                Some(_) => acts,
            }
        });
    }
}

/// Whether a node that meets this fault may stop by itself.
const fn stops_a_node(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::DiskError { .. }
            | Fault::DiskFull { .. }
            | Fault::BitRot { .. }
            | Fault::TornWrite { .. }
            | Fault::Misdirected { .. }
    )
}

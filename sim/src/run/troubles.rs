//! The faults of a plan, each begun at its moment and ended at its own, and the supervision of what they break.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::fault::Fault;
use crate::plan::{FaultAt, Plan};
use crate::runtime::{SimTime, now};
use crate::world::World;
use crate::world::{Relief, Stopped};

use super::failover::Gaps;

/// The faults of a run.
pub(super) struct Troubles {
    waiting: std::vec::IntoIter<(SimTime, FaultAt)>,
    next: Option<(SimTime, FaultAt)>,
    lasting: BTreeMap<(SimTime, u32), Relief>,
    begun: u32,
    unexplained: Vec<Stopped>,
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
        }
    }

    /// Ends what is over, begins what is due, and looks after nodes that stopped.
    pub(super) async fn step(&mut self, world: &mut World, gaps: &mut Gaps) {
        self.supervise(world);
        while let Some(entry) = self.lasting.first_entry() {
            if entry.key().0 > now() {
                break;
            }
            world.relieve(entry.remove()).await;
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
            // What has no end of its own ends with the troubled part.
            let ends = fault.for_ms.map_or(SimTime::from_ns(u64::MAX), |for_ms| {
                at + Duration::from_millis(for_ms)
            });
            self.begun += 1;
            self.lasting.insert((ends, self.begun), inflicted.relief);
        }
    }

    /// Ends everything.
    pub(super) async fn end(&mut self, world: &mut World) {
        self.next = None;
        self.waiting = Vec::new().into_iter();
        for relief in std::mem::take(&mut self.lasting).into_values() {
            world.relieve(relief).await;
        }
    }

    /// Nodes that stopped by themselves are started again, as a service manager would.
    pub(super) fn supervise(&mut self, world: &mut World) {
        for stopped in world.supervise() {
            if stopped.cause.is_none() {
                self.unexplained.push(stopped);
            }
        }
    }

    /// Nodes that stopped by themselves though nothing was done to them.
    pub(super) fn unexplained(&self) -> &[Stopped] {
        &self.unexplained
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

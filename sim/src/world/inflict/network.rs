//! Faults of the paths between the nodes.

use std::collections::BTreeSet;

use stellara_raft_store::types::NodeId;

use super::{Deed, Done, Skipped, Undo, Way};
use crate::fake::network::{Ailment, Bursts};
use crate::plan::target::Target;
use crate::world::World;

impl World {
    /// Cuts a node off from all others; it still reaches the ledger.
    pub fn isolate(&self, node_id: NodeId) {
        for other in self.others(node_id) {
            self.network.cut(node_id, other);
        }
    }

    /// Joins a node with all others again.
    pub fn rejoin(&self, node_id: NodeId) {
        for other in self.others(node_id) {
            self.network.heal(node_id, other);
        }
    }

    fn hold(&self, ailment: Ailment) -> Undo {
        Undo::Network(self.network.hold(ailment))
    }

    fn others(&self, node_id: NodeId) -> impl Iterator<Item = NodeId> {
        let all = self.node_ids().into_iter();
        all.filter(move |other| *other != node_id)
    }

    fn two(&mut self, a: &Target, b: &Target) -> Result<(NodeId, NodeId), Skipped> {
        let (a, b) = (self.resolve(a)?, self.resolve(b)?);
        if a == b {
            return Err(Skipped::BothSides(a));
        }
        Ok((a, b))
    }

    pub(super) fn cut_off(&mut self, node: &Target, ways: &[Way]) -> Done {
        let node_id = self.resolve(node)?;
        let mut steps = Vec::new();
        for other in self.others(node_id) {
            for way in ways {
                let (from, to) = match way {
                    Way::Out => (node_id, other),
                    Way::In => (other, node_id),
                };
                steps.push(self.hold(Ailment::Cut { from, to }));
            }
        }
        Ok(Deed::to(node_id, steps))
    }

    fn cut_both(&self, a: NodeId, b: NodeId) -> [Undo; 2] {
        [(a, b), (b, a)].map(|(from, to)| self.hold(Ailment::Cut { from, to }))
    }

    pub(super) fn cut_for(&mut self, a: &Target, b: &Target) -> Done {
        let (a, b) = self.two(a, b)?;
        Ok(Deed {
            nodes: vec![a, b],
            steps: self.cut_both(a, b).into(),
        })
    }

    pub(super) fn part(&mut self, side: &[Target]) -> Done {
        let side: BTreeSet<NodeId> = side
            .iter()
            .map(|target| self.resolve(target))
            .collect::<Result<_, _>>()?;
        let all = self.node_ids();
        let rest: Vec<NodeId> = all.into_iter().filter(|id| !side.contains(id)).collect();
        if side.is_empty() || rest.is_empty() {
            return Err(Skipped::EmptySide);
        }
        let pairs = side.iter().flat_map(|a| rest.iter().map(|b| (*a, *b)));
        let steps = pairs.flat_map(|(a, b)| self.cut_both(a, b)).collect();
        Ok(Deed {
            nodes: side.into_iter().collect(),
            steps,
        })
    }

    pub(super) fn clog_for(&mut self, from: &Target, to: &Target) -> Done {
        let (from, to) = self.two(from, to)?;
        Ok(Deed {
            nodes: vec![from, to],
            steps: vec![self.hold(Ailment::Clog { from, to })],
        })
    }

    pub(super) fn lose(&self, loss_ppm: u32) -> Deed {
        Deed::to_all(self.hold(Ailment::Loss { loss_ppm }))
    }

    pub(super) fn lose_in_bursts(&self, bad_ppm: u32, bad_ms: u64, good_ms: u64) -> Deed {
        Deed::to_all(self.hold(Ailment::Bursts(Bursts {
            bad_ppm,
            bad_ms,
            good_ms,
        })))
    }

    pub(super) fn duplicate(&self, duplicate_ppm: u32) -> Deed {
        Deed::to_all(self.hold(Ailment::Duplicate { duplicate_ppm }))
    }

    pub(super) fn slow_for(
        &mut self,
        node: &Target,
        add_permille: u32,
        bytes_per_s: Option<u64>,
    ) -> Done {
        let node_id = self.resolve(node)?;
        let ways = self.others(node_id);
        let ways = ways.flat_map(|other| [(node_id, other), (other, node_id)]);
        let slow = |(from, to)| {
            self.hold(Ailment::Slow {
                from,
                to,
                add_permille,
                bytes_per_s,
            })
        };
        Ok(Deed::to(node_id, ways.map(slow).collect()))
    }
}

//! Faults of machines, processes and clocks, and what operators do.

use std::time::Duration;

use stellara_raft_store::engine::memory::Unsynced;
use stellara_raft_store::types::NodeId;

use super::{Deed, Done, Skipped, Undo};
use crate::plan::target::Target;
use crate::runtime::{
    DriftPpm, NodeTag, RandomStream, jump_wall_clock_ms, now, set_drift, spawn_on,
};
use crate::world::World;
use crate::world::seat::{Revival, Ticket};

/// How long an operator waits for another leader.
const TRANSFER_WITHIN: Duration = Duration::from_secs(5);

impl World {
    /// A stream of its own for each fault: one fault fewer changes nothing about the others.
    pub(super) fn fault_draws(&self, node_id: NodeId) -> RandomStream {
        RandomStream::derive(&[self.options.seed, now().as_ns(), node_id])
    }

    pub(super) fn hold_down(&mut self, node_id: NodeId) -> Undo {
        let ticket = self.ticket();
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.down.insert(ticket);
        }
        Undo::Up(node_id, ticket)
    }

    pub(super) fn let_up(&mut self, node_id: NodeId, ticket: Ticket) {
        let Some(seat) = self.seats.get_mut(&node_id) else {
            return;
        };
        if !seat.down.remove(&ticket) || !seat.down.is_empty() {
            return;
        }
        let wipe_later = seat
            .revival
            .is_some_and(|(_, revival)| revival == Revival::Wipe);
        if seat.stopping.is_some() {
            // It had its time.
            self.power_off(node_id, Unsynced::Kept);
        }
        if !wipe_later {
            self.begin_start(node_id);
        }
    }

    pub(super) fn crash_for(&mut self, node: &Target, unsynced: Unsynced) -> Done {
        let node_id = self.resolve(node)?;
        self.power_off(node_id, unsynced);
        Ok(Deed::to(node_id, vec![self.hold_down(node_id)]))
    }

    pub(super) fn crash_all_for(&mut self, unsynced: Unsynced) -> Deed {
        let nodes = self.node_ids();
        for node_id in &nodes {
            self.power_off(*node_id, unsynced);
        }
        let steps = nodes.iter().map(|node_id| self.hold_down(*node_id));
        let steps = steps.collect();
        Deed { nodes, steps }
    }

    /// That a node's data may be lost.
    pub(super) fn damageable(&mut self, node: &Target) -> Result<NodeId, Skipped> {
        let node_id = self.resolve(node)?;
        if self.may_damage(node_id) {
            return Ok(node_id);
        }
        Err(Skipped::TooMuchDamage {
            node: node_id,
            damaged: self.damaged(),
        })
    }

    pub(super) fn wipe_for(&mut self, node: &Target) -> Done {
        let node_id = self.damageable(node)?;
        self.wipe(node_id);
        Ok(Deed::to(node_id, vec![self.hold_down(node_id)]))
    }

    pub(super) fn pause_for(&mut self, node: &Target) -> Done {
        let node_id = self.resolve(node)?;
        if !self.has_process(node_id) {
            return Err(Skipped::NotRunning(node_id));
        }
        let ticket = self.ticket();
        self.hold_still(node_id, ticket);
        Ok(Deed::to(node_id, vec![Undo::Move(node_id, ticket)]))
    }

    pub(super) fn restart_for(&mut self, node: &Target) -> Done {
        let node_id = self.resolve(node)?;
        if !self.roster.runs(node_id) {
            return Err(Skipped::NotRunning(node_id));
        }
        let step = self.hold_down(node_id);
        self.stop_in_order(node_id);
        Ok(Deed::to(node_id, vec![step]))
    }

    pub(super) fn transfer(&mut self, to: &Target) -> Done {
        let to_id = self.resolve(to)?;
        let Some(leader) = self.leader() else {
            return Err(Skipped::Nobody(Target::Leader));
        };
        if leader == to_id {
            return Err(Skipped::BothSides(leader));
        }
        let node = self.roster.get(leader);
        let node = node.ok_or(Skipped::NotRunning(leader))?;
        drop(spawn_on(NodeTag(leader), async move {
            // Who leads then is seen in the statuses.
            node.transfer_leadership(Some(to_id), TRANSFER_WITHIN)
                .await
                .ok();
        }));
        Ok(Deed {
            nodes: vec![leader, to_id],
            steps: Vec::new(),
        })
    }

    /// A last voter is left, at least: what else would be left of the cluster.
    pub(super) fn take_out_for(&mut self, node: &Target) -> Done {
        let node_id = self.resolve(node)?;
        let mut others = self.seats.iter().filter(|(id, _)| **id != node_id);
        if others.all(|(_, seat)| !seat.out.is_empty()) {
            return Err(Skipped::EmptySide);
        }
        let ticket = self.ticket();
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.out.insert(ticket);
            seat.was_out = true;
        }
        Ok(Deed::to(node_id, vec![Undo::Out(node_id, ticket)]))
    }

    pub(super) fn let_in(&mut self, node_id: NodeId, ticket: Ticket) {
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.out.remove(&ticket);
        }
    }

    pub(super) fn have_snapshot_taken(&mut self, node: &Target) -> Done {
        let node_id = self.resolve(node)?;
        let node = self.roster.get(node_id);
        let node = node.ok_or(Skipped::NotRunning(node_id))?;
        drop(spawn_on(NodeTag(node_id), async move {
            // It fails when Raft ends meanwhile.
            node.take_snapshot().await.ok();
        }));
        Ok(Deed::to(node_id, Vec::new()))
    }

    pub(super) fn jump(&mut self, node: &Target, by_ms: i64) -> Done {
        let node_id = self.resolve(node)?;
        jump_wall_clock_ms(NodeTag(node_id), by_ms);
        Ok(Deed::to(node_id, Vec::new()))
    }

    pub(super) fn drift_for(&mut self, node: &Target, ppm: i32) -> Done {
        let node_id = self.resolve(node)?;
        let ticket = self.ticket();
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.drifts.insert(ticket, ppm);
        }
        self.drive_clocks(node_id);
        Ok(Deed::to(node_id, vec![Undo::Rate(node_id, ticket)]))
    }

    pub(super) fn end_drift(&mut self, node_id: NodeId, ticket: Ticket) {
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.drifts.remove(&ticket);
        }
        self.drive_clocks(node_id);
    }

    /// Drifts that overlap add up.
    fn drive_clocks(&self, node_id: NodeId) {
        let drifts = self.seats.get(&node_id).map(|seat| seat.drifts.values());
        let sum = drifts.map_or(0, |drifts| {
            drifts.fold(0_i32, |sum, ppm| sum.saturating_add(*ppm))
        });
        let ppm = sum.clamp(-DriftPpm::MAX_PPM, DriftPpm::MAX_PPM);
        let drift = DriftPpm::new(ppm).expect("it was clamped to what a drift may be");
        set_drift(NodeTag(node_id), drift);
    }
}

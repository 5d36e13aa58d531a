//! Faults of disks.

use std::time::Duration;

use stellara_raft_store::engine::Space;
use stellara_raft_store::types::NodeId;

use super::{Deed, Done, Skipped, Undo};
use crate::plan::fault::{DiskCall, Rot};
use crate::plan::target::Target;
use crate::world::World;
use crate::world::damage::{Damage, LOG};
use crate::world::power::RESERVE_BYTES;
use crate::world::seat::{Seat, Ticket};

impl World {
    fn seat(&mut self, node: &Target) -> Result<(NodeId, &mut Seat), Skipped> {
        let node_id = self.resolve(node)?;
        let seat = self.seats.get_mut(&node_id);
        let seat = seat.ok_or_else(|| Skipped::Nobody(node.clone()))?;
        Ok((node_id, seat))
    }

    pub(super) fn stall_for(&mut self, node: &Target) -> Done {
        let (node_id, seat) = self.seat(node)?;
        let step = Undo::Pace(seat.pace.clone(), seat.pace.stall());
        Ok(Deed::to(node_id, vec![step]))
    }

    pub(super) fn slow_disk_for(&mut self, node: &Target, sync_ms: u64) -> Done {
        let (node_id, seat) = self.seat(node)?;
        let hold = seat.pace.slow_down(Duration::from_millis(sync_ms));
        let step = Undo::Pace(seat.pace.clone(), hold);
        Ok(Deed::to(node_id, vec![step]))
    }

    pub(super) fn fail_disk(&mut self, node: &Target, on: DiskCall) -> Done {
        let (node_id, seat) = self.seat(node)?;
        match on {
            DiskCall::Write => seat.disk.fail_write_in(0),
            DiskCall::Sync => seat.disk.fail_sync_in(0),
        }
        seat.errors += 1;
        Ok(Deed::to(node_id, Vec::new()))
    }

    pub(super) fn fill_disk_for(&mut self, node: &Target) -> Done {
        let ticket = self.ticket();
        let (node_id, seat) = self.seat(node)?;
        if seat.full.is_empty() {
            let bytes_max = seat.disk.bytes_used() + RESERVE_BYTES;
            seat.disk.set_bytes_max(Some(bytes_max));
            seat.fulls += 1;
        }
        seat.full.insert(ticket);
        self.watch_room();
        Ok(Deed::to(node_id, vec![Undo::Room(node_id, ticket)]))
    }

    pub(super) fn make_room(&mut self, node_id: NodeId, ticket: Ticket) {
        let Some(seat) = self.seats.get_mut(&node_id) else {
            return;
        };
        if !seat.full.remove(&ticket) || !seat.full.is_empty() {
            return;
        }
        seat.disk.set_bytes_max(None);
        seat.moved_at = None;
        if let Some(node) = self.roster.get(node_id) {
            node.gate().writable();
        }
    }

    pub(super) fn rot(&mut self, node: &Target, of: Rot) -> Done {
        let node_id = match of {
            Rot::Log | Rot::Vote | Rot::State => self.damageable(node)?,
            Rot::Snapshot => self.resolve(node)?,
        };
        let mut draws = self.fault_draws(node_id);
        if !self.let_rot(node_id, of, &mut draws) {
            return Err(Skipped::NoRecord(node_id));
        }
        Ok(Deed::to(node_id, Vec::new()))
    }

    pub(super) fn tear_for(&mut self, node: &Target) -> Done {
        let node_id = self.damageable(node)?;
        if !self.has_process(node_id) {
            return Err(Skipped::NotRunning(node_id));
        }
        self.crash(node_id);
        let disk = self.disk(node_id);
        let torn = disk.and_then(|disk| disk.tear_last_row(LOG, Space::Entries));
        if let Some(key) = torn {
            let damage = Damage::Row {
                folder: LOG.to_owned(),
                space: Space::Entries,
                key,
            };
            self.note_damage(node_id, damage);
        }
        Ok(Deed::to(node_id, vec![self.hold_down(node_id)]))
    }

    pub(super) fn misdirect(&mut self, node: &Target) -> Done {
        let node_id = self.damageable(node)?;
        if let Some(disk) = self.disk(node_id) {
            disk.misdirect_next(LOG, Space::Entries);
        }
        self.note_damage(node_id, Damage::Misdirected);
        Ok(Deed::to(node_id, Vec::new()))
    }
}

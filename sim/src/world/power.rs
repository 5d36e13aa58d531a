//! Processes and machines: start, stop in order, loss of power, pauses, and disks that are emptied.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_node::node::StartError;
use stellara_raft_store::engine::memory::{Faults, MemoryDisk, Unsynced};
use stellara_raft_store::types::NodeId;

use super::damage::Damage;
use super::seat::{Seat, Ticket};
use super::{World, WorldError};
use crate::fake::disk::DiskPace;
use crate::runtime::{
    EventKind, JoinError, NodeTag, event, kill_node, pause_node, resume_node, spawn_on,
};
use crate::timeline::picture::Life;
use crate::timeline::recorder;

const CRASHED: EventKind = EventKind::new("node-crash");
const STOPPING: EventKind = EventKind::new("node-stop");
const WIPED: EventKind = EventKind::new("node-wipe");
const PAUSED: EventKind = EventKind::new("node-pause");
const RESUMED: EventKind = EventKind::new("node-resume");

/// How long a process that is stopped in order may take to hand over what it does.
const DRAIN_WITHIN: Duration = Duration::from_secs(4);
/// What a full disk still takes: the reserve within which a node turns read-only.
pub(super) const RESERVE_BYTES: u64 = 64 * 1024;

impl World {
    pub(super) fn new_seat(&self, node_id: NodeId) -> Seat {
        let (least, most) = self.options.sync;
        let pace = DiskPace::new(NodeTag(node_id), least, most);
        Seat::new(self.new_disk(node_id, pace.clone()), pace)
    }

    fn new_disk(&self, node_id: NodeId, pace: DiskPace) -> MemoryDisk {
        MemoryDisk::new(Faults {
            sync_delay: Arc::new(pace),
            unsynced: self.options.unsynced,
            ..Faults::none(self.options.seed ^ node_id.rotate_left(32))
        })
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Starts a node that does not run, from what its disk holds, and waits until it does.
    ///
    /// # Errors
    /// The node's own.
    pub async fn start_node(&mut self, node_id: NodeId) -> Result<(), WorldError> {
        self.begin_start(node_id);
        let starting = self
            .seats
            .get_mut(&node_id)
            .and_then(|seat| seat.starting.take());
        match starting {
            None => Ok(()),
            Some(starting) => started(node_id, starting.await),
        }
    }

    /// The machine loses power: its process is gone, and unsynced writes go as the disk's faults say.
    pub fn crash(&mut self, node_id: NodeId) {
        self.power_off(node_id, self.options.unsynced);
    }

    /// As `crash`; `unsynced` says what becomes of what was not synced.
    pub fn power_off(&mut self, node_id: NodeId, unsynced: Unsynced) {
        if self.has_process(node_id) {
            self.end_process(node_id, unsynced);
        }
    }

    /// What is left of a process that ended by itself goes; the machine goes on.
    pub(super) fn clear_away(&mut self, node_id: NodeId) {
        self.end_process(node_id, Unsynced::Kept);
    }

    fn end_process(&mut self, node_id: NodeId, unsynced: Unsynced) {
        event(CRASHED, node_id, 0, || format!("{unsynced:?}"));
        recorder::life(node_id, Life::Ended);
        let node = self.roster.remove(node_id);
        kill_node(NodeTag(node_id));
        self.wires.silence(node_id);
        self.network.thaw(node_id);
        drop(node);
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.starting = None;
            seat.stopping = None;
            // A pause is of the process.
            seat.paused.clear();
            seat.disk.set_unsynced(unsynced);
            seat.disk.crash();
            seat.disk.set_unsynced(self.options.unsynced);
        }
    }

    /// The disk of a node is gone: it loses power if it runs, and its next start finds an empty one.
    pub fn wipe(&mut self, node_id: NodeId) {
        self.crash(node_id);
        event(WIPED, node_id, 0, String::new);
        recorder::life(node_id, Life::Wiped);
        let Some(pace) = self.seats.get(&node_id).map(|seat| seat.pace.clone()) else {
            return;
        };
        let disk = self.new_disk(node_id, pace);
        self.shelf.put(node_id, disk.clone());
        if let Some(seat) = self.seats.get_mut(&node_id) {
            if !seat.full.is_empty() {
                disk.set_bytes_max(Some(RESERVE_BYTES));
            }
            seat.disk = disk;
            seat.damages.clear();
            seat.errors = 0;
            seat.fulls = u32::from(!seat.full.is_empty());
            seat.corrupt_ends = 0;
        }
        self.note_damage(node_id, Damage::Wiped);
    }

    /// The process is stopped in order; it is gone when that is done, or when its time is over.
    pub(super) fn stop_in_order(&mut self, node_id: NodeId) {
        let Some(node) = self.roster.remove(node_id) else {
            return;
        };
        event(STOPPING, node_id, 0, String::new);
        recorder::life(node_id, Life::Stopping);
        let wires = self.wires.clone();
        let stopping = spawn_on(NodeTag(node_id), async move {
            node.drain(DRAIN_WITHIN).await;
            node.stop().await;
            wires.close(node_id).await;
        });
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.stopping = Some(stopping);
        }
    }

    /// Whether a process that was stopped in order has ended.
    pub(super) fn has_stopped(&mut self, node_id: NodeId) -> bool {
        let seat = self.seats.get_mut(&node_id);
        let stopping = seat.and_then(|seat| seat.stopping.as_mut());
        stopping.is_some_and(|stopping| stopping.now_or_never().is_some())
    }

    /// The process is not scheduled until `resume`.
    pub fn pause(&mut self, node_id: NodeId) {
        let ticket = Ticket(0);
        self.hold_still(node_id, ticket);
    }

    /// The process that was paused is scheduled again.
    pub fn resume(&mut self, node_id: NodeId) {
        self.let_move(node_id, Ticket(0));
    }

    /// Whether the process is kept from being scheduled.
    #[must_use]
    pub fn is_paused(&self, node_id: NodeId) -> bool {
        let seat = self.seats.get(&node_id);
        seat.is_some_and(|seat| !seat.paused.is_empty())
    }

    pub(super) fn hold_still(&mut self, node_id: NodeId, ticket: Ticket) {
        let Some(seat) = self.seats.get_mut(&node_id) else {
            return;
        };
        let moved = seat.paused.is_empty();
        seat.paused.insert(ticket);
        if moved {
            event(PAUSED, node_id, 0, String::new);
            recorder::life(node_id, Life::Paused);
            pause_node(NodeTag(node_id));
            self.network.freeze(node_id);
        }
    }

    pub(super) fn let_move(&mut self, node_id: NodeId, ticket: Ticket) {
        let Some(seat) = self.seats.get_mut(&node_id) else {
            return;
        };
        if seat.paused.remove(&ticket) && seat.paused.is_empty() {
            event(RESUMED, node_id, 0, String::new);
            recorder::life(node_id, Life::Resumed);
            self.network.thaw(node_id);
            resume_node(NodeTag(node_id));
        }
    }

    /// Whether a process of this node is there, in whatever condition.
    pub(super) fn has_process(&self, node_id: NodeId) -> bool {
        let busy = self.seats.get(&node_id);
        let busy = busy.is_some_and(|seat| seat.starting.is_some() || seat.stopping.is_some());
        busy || self.roster.runs(node_id)
    }
}

/// What became of a start.
pub(super) fn started(
    node_id: NodeId,
    ended: Result<Result<(), StartError>, JoinError>,
) -> Result<(), WorldError> {
    ended
        .map_err(|_| WorldError::Crashed { node_id })?
        .map_err(|source| WorldError::Start { node_id, source })
}

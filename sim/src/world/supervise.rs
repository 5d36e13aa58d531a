//! What a service manager and an operator do while a world runs: dead processes start again, corrupt data is thrown
//! away, a full disk takes no writes and no leadership.
//!
//! Every process that ended by itself is told of, with what explains it; what nothing explains is a violation.

use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_node::gateway::{Gateway as _, Role};
use stellara_raft_store::engine::memory::Unsynced;
use stellara_raft_store::types::NodeId;

use super::World;
use super::damage::Damage;
use super::power::started;
use super::seat::{Revival, Seat};
use crate::runtime::{EventKind, NodeTag, SimTime, event, now, spawn_on};

const STOPPED: EventKind = EventKind::new("node-stopped");

/// A dead process is started again after this long.
const START_AFTER: Duration = Duration::from_secs(1);
/// An operator needs this long to throw corrupt data away.
const WIPE_AFTER: Duration = Duration::from_secs(5);
/// How long handing leadership over may take, and the pause between two tries.
const MOVE_WITHIN: Duration = Duration::from_secs(3);

/// What explains that a process ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A call of its disk failed, as it was told to.
    DiskError,
    /// Its disk was full.
    DiskFull,
    /// Records on its disk were damaged.
    Damage,
}

/// A process that ended by itself, or did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whose.
    pub node_id: NodeId,
    /// When it was seen.
    pub at: SimTime,
    /// What it said.
    pub why: String,
    /// What explains it; nothing that was done to it when `None`.
    pub cause: Option<Cause>,
}

/// At which moment of its life a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Starting,
    Running,
}

fn is_corrupt(why: &str) -> bool {
    why.contains("corrupt")
}

fn cause_of(seat: &Seat, why: &str) -> Option<Cause> {
    if seat.errors > 0 && why.contains("input/output error") {
        return Some(Cause::DiskError);
    }
    if seat.fulls > 0 && (why.contains("is full") || why.contains("no room")) {
        return Some(Cause::DiskFull);
    }
    (is_corrupt(why) && !seat.damages.is_empty()).then_some(Cause::Damage)
}

impl World {
    /// Looks after all processes; call it every few milliseconds. Answers those that ended by themselves since the last
    /// call.
    pub fn supervise(&mut self) -> Vec<Stopped> {
        self.notice_leader();
        let mut stopped = Vec::new();
        for node_id in self.node_ids() {
            if self.has_stopped(node_id) {
                self.power_off(node_id, Unsynced::Kept);
            }
            stopped.extend(self.look_after(node_id));
            self.revive(node_id);
        }
        self.look_for_repairs();
        self.watch_room();
        self.watch_voters();
        stopped
    }

    fn look_after(&mut self, node_id: NodeId) -> Option<Stopped> {
        let seat = self.seats.get_mut(&node_id)?;
        let starting = seat.starting.as_mut().and_then(|task| task.now_or_never());
        if let Some(ended) = starting {
            seat.starting = None;
            let error = started(node_id, ended).err()?;
            return Some(self.bury(node_id, Life::Starting, error.to_string()));
        }
        let node = self.roster.get(node_id)?;
        let why = node.failed().now_or_never()?;
        drop(node);
        Some(self.bury(node_id, Life::Running, why))
    }

    /// The process is dead; what was written stays written.
    fn bury(&mut self, node_id: NodeId, life: Life, why: String) -> Stopped {
        event(STOPPED, node_id, 0, || why.clone());
        self.clear_away(node_id);
        let wipe = is_corrupt(&why) && self.others_are_good(node_id);
        let mut cause = None;
        if let Some(seat) = self.seats.get_mut(&node_id) {
            cause = cause_of(seat, &why);
            seat.corrupt_ends += u32::from(is_corrupt(&why));
            let again = life == Life::Starting || seat.corrupt_ends > 1;
            seat.revival = Some(match wipe && again {
                true => (now() + WIPE_AFTER, Revival::Wipe),
                false => (now() + START_AFTER, Revival::Start),
            });
        }
        Stopped {
            node_id,
            at: now(),
            why,
            cause,
        }
    }

    /// Whether those other than `node_id` that have good copies are a majority.
    fn others_are_good(&self, node_id: NodeId) -> bool {
        let damaged = self.damaged();
        let all = self.node_ids();
        let good = all
            .iter()
            .filter(|id| **id != node_id && !damaged.contains(id));
        good.count() > all.len() / 2
    }

    fn revive(&mut self, node_id: NodeId) {
        let Some(seat) = self.seats.get(&node_id) else {
            return;
        };
        let due = seat.revival.filter(|(at, _)| *at <= now());
        let Some((_, revival)) = due.filter(|_| seat.down.is_empty()) else {
            return;
        };
        match revival {
            Revival::Start => {}
            Revival::Wipe => self.wipe(node_id),
        }
        self.begin_start(node_id);
    }

    /// A node whose disk is full refuses writes, and leads no more: what the node's own watch of its disk does.
    pub(super) fn watch_room(&mut self) {
        for (node_id, node) in self.roster.running() {
            let Some(seat) = self.seats.get_mut(&node_id) else {
                continue;
            };
            if seat.full.is_empty() {
                continue;
            }
            node.gate().read_only("the disk is full".to_owned());
            let tried = seat.moved_at.is_some_and(|at| now() - at < MOVE_WITHIN);
            if tried || node.status().role != Role::Leader {
                continue;
            }
            seat.moved_at = Some(now());
            drop(spawn_on(NodeTag(node_id), async move {
                // Who takes over, if anyone, is seen in the statuses.
                node.transfer_leadership(None, MOVE_WITHIN).await.ok();
            }));
        }
    }

    /// Whether the damage of a node's data is known to the world.
    #[must_use]
    pub fn is_damaged(&self, node_id: NodeId) -> bool {
        let seat = self.seats.get(&node_id);
        seat.is_some_and(|seat| seat.damages.iter().any(Damage::counts))
    }
}

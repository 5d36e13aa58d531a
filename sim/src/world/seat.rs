//! What the world knows of one machine: its disk, its process, and what keeps it down, paused, or out of time.
//!
//! Whatever is imposed on a machine has a ticket; two that overlap are both in force until each has ended.

use std::collections::{BTreeMap, BTreeSet};

use stellara_node::node::StartError;
use stellara_raft_store::engine::memory::MemoryDisk;

use super::damage::Damage;
use crate::fake::disk::DiskPace;
use crate::runtime::{JoinHandle, SimTime};

/// One imposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub(super) u64);

/// What an operator, or the service manager, does with a process that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revival {
    /// Starts it again.
    Start,
    /// Empties its disk first: its data is corrupt.
    Wipe,
}

pub(super) struct Seat {
    pub(super) disk: MemoryDisk,
    pub(super) pace: DiskPace,
    /// The process that starts now.
    pub(super) starting: Option<JoinHandle<Result<(), StartError>>>,
    /// The process that stops in order now.
    pub(super) stopping: Option<JoinHandle<()>>,
    /// What keeps the machine off.
    pub(super) down: BTreeSet<Ticket>,
    /// What keeps the process from being scheduled.
    pub(super) paused: BTreeSet<Ticket>,
    /// What keeps the disk full.
    pub(super) full: BTreeSet<Ticket>,
    /// What drives the clocks, in parts per million.
    pub(super) drifts: BTreeMap<Ticket, i32>,
    /// What keeps the node out of the cluster, and whether anything ever did.
    pub(super) out: BTreeSet<Ticket>,
    pub(super) was_out: bool,
    /// The operator's call that takes it out or adds it, and when the next may follow.
    pub(super) operating: Option<JoinHandle<()>>,
    pub(super) operates_at: SimTime,
    pub(super) damages: Vec<Damage>,
    /// Disk errors that were ordered for this disk.
    pub(super) errors: u32,
    /// How often this disk was full.
    pub(super) fulls: u32,
    /// How often a process ended because of corrupt data on it.
    pub(super) corrupt_ends: u32,
    pub(super) revival: Option<(SimTime, Revival)>,
    /// When leadership was last moved off the full disk.
    pub(super) moved_at: Option<SimTime>,
}

impl Seat {
    pub(super) fn new(disk: MemoryDisk, pace: DiskPace) -> Self {
        Self {
            disk,
            pace,
            starting: None,
            stopping: None,
            down: BTreeSet::new(),
            paused: BTreeSet::new(),
            full: BTreeSet::new(),
            drifts: BTreeMap::new(),
            out: BTreeSet::new(),
            was_out: false,
            operating: None,
            operates_at: SimTime::from_ns(0),
            damages: Vec::new(),
            errors: 0,
            fulls: 0,
            corrupt_ends: 0,
            revival: None,
            moved_at: None,
        }
    }
}

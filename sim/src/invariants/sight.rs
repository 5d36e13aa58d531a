//! What is seen of a run in one moment: each node and its disk, what clients did, the ledger.

use std::collections::{BTreeMap, BTreeSet};

use stellara_ledger::Network;
use stellara_machine::ids::Index;
use stellara_node::ingress::IngressLimits;
use stellara_node::node::{LogPoint, Vitals};
use stellara_raft_store::engine::memory::MemoryDisk;
use stellara_raft_store::engine::{Disk as _, Space};
use stellara_raft_store::log::inspect;
use stellara_raft_store::types::{LogId, NodeId, term_of};
use stellara_raft_store::view::View;

use super::Explained;
use crate::history::Calls;
use crate::runtime::{SimTime, TaskPanic};
use crate::world::{Ears, Secret};

const SNAPSHOTS: &str = "snapshots";

/// What does not change during a run.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The address of the account whose money moves.
    pub treasury: Option<String>,
    /// The address of the account that pays the fees.
    pub fee_account: Option<String>,
    /// What these two held at first, in stroops.
    pub opening_stroops: BTreeMap<String, i64>,
    /// What must be in no row and no file.
    pub secrets: Vec<Secret>,
    /// The limits of every node's door.
    pub limits: IngressLimits,
}

/// A record of an entry, as a node stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The entry.
    pub index: Index,
    /// The row.
    pub bytes: Vec<u8>,
    /// A hash of the row.
    pub hash: u128,
}

/// Every membership that a node had in force, by the index of its entry: those of one index may be of different terms.
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    by_index: BTreeMap<u64, Vec<Vec<Vec<NodeId>>>>,
}

impl Memberships {
    /// Takes note of a membership.
    pub fn note(&mut self, index: u64, voters: &[Vec<NodeId>]) {
        let known = self.by_index.entry(index).or_default();
        if !known.iter().any(|sets| sets == voters) {
            known.push(voters.to_vec());
        }
    }

    /// The memberships under which an entry may have been committed: the one in force when it was written, and later
    /// ones.
    fn since(&self, index: u64) -> impl Iterator<Item = &Vec<Vec<NodeId>>> {
        let before = self.by_index.range(..=index).next_back();
        let first = before.map_or(0, |(at, _)| *at);
        self.by_index.range(first..).flat_map(|(_, known)| known)
    }
}

/// A node that runs.
pub struct Running {
    /// Grows with each start of any node.
    pub run: u64,
    /// Its place in the group.
    pub vitals: Vitals,
    /// The sets of voters as it knows them; each must agree.
    pub voters: Vec<Vec<NodeId>>,
    /// What it has applied.
    pub view: View<MemoryDisk>,
    /// Records of entries that it has applied since it was looked at last.
    pub records: Vec<Record>,
    /// The entry before these.
    pub records_after: Index,
    /// Commands admitted and not answered.
    pub admitted: usize,
    /// Why its Raft ended by itself, if it did.
    pub ended: Option<String>,
}

/// A node and its disk.
pub struct Seen {
    /// Its newest disk.
    pub disk: MemoryDisk,
    /// How many disks it had before.
    pub life: u64,
    /// The last entry that a disk which it lost had kept for sure; 0 when it lost none.
    pub forgotten: u64,
    /// The node, while it runs.
    pub running: Option<Running>,
}

/// An entry that is looked for on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term in which it was written; `None` takes any.
    pub term: Option<u64>,
    /// Its index.
    pub index: u64,
}

impl From<LogPoint> for Entry {
    fn from(point: LogPoint) -> Self {
        Self {
            term: Some(point.term),
            index: point.index,
        }
    }
}

/// What is seen in a moment.
pub struct Sight<'a> {
    /// True time.
    pub at: SimTime,
    /// All nodes.
    pub nodes: &'a BTreeMap<NodeId, Seen>,
    /// The running nodes whose place in the group is not what it was.
    pub changed: &'a [NodeId],
    /// What clients did.
    pub calls: &'a Calls,
    /// The Stellar network.
    pub ledger: &'a Network,
    /// When each node last heard another.
    pub ears: &'a Ears,
    /// Who has an excuse to stop.
    pub explained: &'a Explained,
    /// The memberships so far.
    pub memberships: &'a Memberships,
    /// Panics of tasks since the last look.
    pub panics: &'a [TaskPanic],
    /// What does not change.
    pub facts: &'a Facts,
}

impl<'a> Sight<'a> {
    /// The running nodes that changed.
    pub fn changed(&self) -> impl Iterator<Item = (NodeId, &'a Seen, &'a Running)> + '_ {
        let nodes = self.nodes;
        self.changed.iter().filter_map(move |node_id| {
            let seen = nodes.get(node_id)?;
            Some((*node_id, seen, seen.running.as_ref()?))
        })
    }

    /// The running nodes.
    pub fn running(&self) -> impl Iterator<Item = (NodeId, &'a Seen, &'a Running)> + '_ {
        let nodes = self.nodes.iter();
        nodes.filter_map(|(node_id, seen)| Some((*node_id, seen, seen.running.as_ref()?)))
    }

    /// The running node that has applied most.
    #[must_use]
    pub fn foremost(&self) -> Option<(NodeId, &'a Running)> {
        let running = self.running();
        let each = running.map(|(node_id, _, running)| (node_id, running));
        each.max_by_key(|(_, running)| running.vitals.applied)
    }

    /// How many more than half of a set of voters there must be of those that keep an entry for sure, and are not.
    #[must_use]
    pub fn missing(&self, voters: &[NodeId], entry: Entry) -> usize {
        let keep = voters.iter().filter(|node_id| {
            let seen = self.nodes.get(node_id);
            // What was done to a disk may have taken what it had.
            seen.is_some_and(|seen| seen.keeps(entry)) || self.explained.why(**node_id).is_some()
        });
        (voters.len() / 2 + 1).saturating_sub(keep.count())
    }

    /// Whether an entry lacks the majorities that its commit rests on: of the membership that `running` has in force, or,
    /// for an entry older than that, of one since it was written. Tells how many are missing of which set.
    #[must_use]
    pub fn uncommitted(&self, running: &Running, entry: Entry) -> Option<(usize, Vec<NodeId>)> {
        let lacking = |sets: &[Vec<NodeId>]| {
            let missing = sets.iter().map(|set| (self.missing(set, entry), set));
            missing
                .filter(|(missing, _)| *missing > 0)
                .map(|(missing, set)| (missing, set.clone()))
                .next()
        };
        let found = lacking(&running.voters)?;
        let older = running
            .vitals
            .membership_at
            .is_some_and(|at| at.index > entry.index);
        let earlier = || {
            self.memberships
                .since(entry.index)
                .any(|sets| lacking(sets).is_none())
        };
        (!older || !earlier()).then_some(found)
    }

    /// The terms in which an entry may have been written: as the log of the foremost node has it, if that has applied the
    /// entry. Otherwise whoever applied it is gone, and what the logs hold at its place may be a tail that was never
    /// committed: each of them may be it. `None`: in any, the entry has left the log.
    #[must_use]
    pub fn terms_at(&self, index: u64) -> Vec<Option<u64>> {
        let foremost = self.foremost();
        let applied = foremost.filter(|(_, running)| {
            let applied = running.vitals.applied;
            applied.is_some_and(|applied| applied.index >= index)
        });
        if let Some((node_id, _)) = applied {
            let seen = self.nodes.get(&node_id);
            return vec![seen.and_then(|seen| seen.term_at(index))];
        }
        let each = self.nodes.values().map(|seen| seen.term_at(index));
        let terms: BTreeSet<_> = each.collect();
        terms.into_iter().collect()
    }
}

impl Seen {
    /// The term of an entry in this log, as its node reads it; `None` when it is not there.
    fn term_at(&self, index: u64) -> Option<u64> {
        let key = inspect::entry_key(index);
        let found = self
            .disk
            .stored_row(inspect::FOLDER, Space::Entries, &key, |value| {
                inspect::entry_position(&key, value).ok()
            });
        position_term(found?)
    }

    /// Whether an entry is on this disk even if the power is lost now: in the log, or in a snapshot. A disk that was
    /// lost kept what it had; a record that rotted was kept.
    #[must_use]
    pub fn keeps(&self, entry: Entry) -> bool {
        if self.forgotten >= entry.index {
            return true;
        }
        let key = inspect::entry_key(entry.index);
        let in_log = self
            .disk
            .durable_row(inspect::FOLDER, Space::Entries, &key, |value| {
                let term = position_term(inspect::entry_position(&key, value).ok());
                term.is_none_or(|term| entry.term.is_none_or(|asked| asked == term))
            });
        if in_log == Some(true) {
            return true;
        }
        let purged = self.disk.durable_row(
            inspect::FOLDER,
            Space::Rows,
            inspect::purged_key(),
            |value| inspect::position(value).is_ok_and(|at| at.index >= entry.index),
        );
        purged == Some(true) || self.snapshot_index() >= entry.index
    }

    /// Whether an entry is in this log as its node reads it, or left it.
    #[must_use]
    pub fn holds(&self, point: LogPoint) -> bool {
        let key = inspect::entry_key(point.index);
        let term = self
            .disk
            .stored_row(inspect::FOLDER, Space::Entries, &key, |value| {
                position_term(inspect::entry_position(&key, value).ok())
            });
        if let Some(term) = term {
            // A record that rotted is there: reading it is what stops its node.
            return term.is_none_or(|term| term == point.term);
        }
        let running = self.running.as_ref();
        let behind = running.and_then(|running| running.vitals.purged.max(running.vitals.snapshot));
        behind.is_some_and(|behind| behind.index >= point.index)
    }

    /// The last entry of the newest snapshot on the disk, by the folder's name.
    fn snapshot_index(&self) -> u64 {
        let names = self.disk.list(SNAPSHOTS).unwrap_or_default();
        let indexes = names.iter().filter_map(|name| name.split('-').nth(1));
        let newest = indexes.filter_map(|index| index.parse().ok()).max();
        newest.unwrap_or(0)
    }
}

fn position_term(log_id: Option<LogId>) -> Option<u64> {
    log_id.as_ref().map(term_of)
}

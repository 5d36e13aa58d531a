//! Whose data is damaged, and whether one more may be: a majority keeps good copies of everything acknowledged, or
//! nobody could tell what was.

use stellara_node::gateway::Gateway as _;
use stellara_raft_store::engine::memory::{FlipShows, MemoryDisk};
use stellara_raft_store::engine::{Disk as _, Space};
use stellara_raft_store::types::NodeId;

use super::World;
use crate::plan::fault::Rot;
use crate::runtime::{EventKind, RandomStream, event};

const DAMAGED: EventKind = EventKind::new("damaged");
const REPAIRED: EventKind = EventKind::new("repaired");

pub(super) const LOG: &str = "log";
const VOTE_KEY: &[u8] = b"vote";
const STATE: &str = "state";
const SNAPSHOTS: &str = "snapshots";

/// What a disk has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Everything.
    Wiped,
    /// A row.
    Row {
        folder: String,
        space: Space,
        key: Vec<u8>,
    },
    /// A record of the log that went astray, or will with the next write, and the one in whose place it lies.
    Misdirected,
    /// A file of a snapshot: the state itself is whole.
    Snapshot { folder: String },
}

impl Damage {
    /// Whether the node is no good copy of what was acknowledged.
    pub(super) const fn counts(&self) -> bool {
        match self {
            Self::Wiped | Self::Row { .. } | Self::Misdirected => true,
            Self::Snapshot { .. } => false,
        }
    }
}

/// Turns over a bit of a drawn record; `None` when there is no such record.
fn rot(disk: &MemoryDisk, of: Rot, draws: &mut RandomStream) -> Option<Damage> {
    match of {
        Rot::Log => flip_some(disk, LOG, Space::Entries),
        Rot::Vote => {
            let flipped = disk.flip_row(LOG, Space::Rows, VOTE_KEY, draws.next_bits());
            flipped.then(|| Damage::Row {
                folder: LOG.to_owned(),
                space: Space::Rows,
                key: VOTE_KEY.to_vec(),
            })
        }
        Rot::State => {
            let newest = newest(disk, STATE)?;
            let first = usize::try_from(draws.below(4)).unwrap_or_default();
            let spaces = Space::ALL.iter().cycle().skip(first).take(4);
            spaces
                .filter_map(|space| flip_some(disk, &newest, *space))
                .next()
        }
        Rot::Snapshot => {
            let folder = newest(disk, SNAPSHOTS)?;
            let files = disk.files(&folder).ok()?;
            let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
            let file = files.get(usize::try_from(draws.below(count)).unwrap_or_default())?;
            let shows = match draws.below(2) {
                0 => FlipShows::OnRead,
                _ => FlipShows::ByChecksum,
            };
            disk.flip_file(&folder, &file.name, draws.next_bits(), shows)
                .then_some(Damage::Snapshot { folder })
        }
    }
}

fn flip_some(disk: &MemoryDisk, folder: &str, space: Space) -> Option<Damage> {
    let key = disk.flip_some_row(folder, space)?;
    Some(Damage::Row {
        folder: folder.to_owned(),
        space,
        key,
    })
}

fn newest(disk: &MemoryDisk, parent: &str) -> Option<String> {
    let name = disk.list(parent).ok()?.pop()?;
    Some(format!("{parent}/{name}"))
}

impl World {
    /// The nodes that are no good copy of what was acknowledged.
    #[must_use]
    pub fn damaged(&self) -> Vec<NodeId> {
        let unsound = self.seats.iter().filter(|(_, seat)| {
            let mut damages = seat.damages.iter();
            damages.any(Damage::counts)
        });
        unsound.map(|(node_id, _)| *node_id).collect()
    }

    /// Whether a node's data may be lost now: with it, a minority is damaged at most, or as many as the world allows.
    #[must_use]
    pub fn may_damage(&self, node_id: NodeId) -> bool {
        let others = self.damaged().iter().filter(|id| **id != node_id).count();
        let minority = (self.options.regions.len().max(1) - 1) / 2;
        others < self.options.damaged_max.unwrap_or(minority) && self.voters_stay_good(node_id)
    }

    pub(super) fn note_damage(&mut self, node_id: NodeId, damage: Damage) {
        event(DAMAGED, node_id, 0, || format!("{damage:?}"));
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.damages.push(damage);
        }
    }

    /// Lets a record rot; `false` when there is none.
    pub(super) fn let_rot(&mut self, node_id: NodeId, of: Rot, draws: &mut RandomStream) -> bool {
        let disk = self.seats.get(&node_id).map(|seat| &seat.disk);
        let Some(damage) = disk.and_then(|disk| rot(disk, of, draws)) else {
            return false;
        };
        self.note_damage(node_id, damage);
        true
    }

    /// Forgets the damages that are repaired.
    pub(super) fn look_for_repairs(&mut self) {
        for node_id in self.damaged_at_all() {
            let joined = self.has_joined(node_id);
            let Some(seat) = self.seats.get_mut(&node_id) else {
                continue;
            };
            let disk = seat.disk.clone();
            seat.damages.retain(|damage| match damage {
                Damage::Wiped => !joined,
                Damage::Row { folder, space, key } => !disk.row_holds(folder, *space, key),
                Damage::Misdirected => !is_past(&disk),
                Damage::Snapshot { folder } => disk.files(folder).is_ok(),
            });
            if seat.damages.is_empty() {
                event(REPAIRED, node_id, 0, String::new);
            }
        }
    }

    fn damaged_at_all(&self) -> Vec<NodeId> {
        let damaged = self
            .seats
            .iter()
            .filter(|(_, seat)| !seat.damages.is_empty());
        damaged.map(|(node_id, _)| *node_id).collect()
    }

    /// Whether the node runs and takes full part: a lost log is rebuilt.
    fn has_joined(&self, node_id: NodeId) -> bool {
        let node = self.roster.get(node_id);
        node.is_some_and(|node| node.status().joining.is_none())
    }
}

/// Whether the log has been purged past a record that went astray.
fn is_past(disk: &MemoryDisk) -> bool {
    if disk.will_misdirect() {
        return false;
    }
    let Some(landed) = disk.misdirected() else {
        return true;
    };
    let first = disk.first_key(&landed.folder, landed.space);
    first.is_some_and(|first| first > landed.meant && first > landed.victim)
}

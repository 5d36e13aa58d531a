//! The disks of a world, for those who look at them while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stellara_raft_store::engine::memory::MemoryDisk;
use stellara_raft_store::types::NodeId;

/// A disk and its place in the line of its node's disks.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// The disk.
    pub disk: MemoryDisk,
    /// How many disks the node had before it.
    pub life: u64,
}

#[derive(Debug, Default)]
struct Disks {
    by_node: BTreeMap<NodeId, Shelved>,
    changes: u64,
}

/// The newest disk of each node. Clones are the same shelf.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    disks: Arc<Mutex<Disks>>,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Disks> {
        self.disks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node gets its first disk, or a new one in place of a lost one.
    pub fn put(&self, node_id: NodeId, disk: MemoryDisk) {
        let mut disks = self.lock();
        let life = disks
            .by_node
            .get(&node_id)
            .map_or(0, |earlier| earlier.life + 1);
        disks.by_node.insert(node_id, Shelved { disk, life });
        disks.changes += 1;
    }

    /// Grows whenever a disk is put.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The disks in the order of their nodes.
    #[must_use]
    pub fn all(&self) -> Vec<(NodeId, Shelved)> {
        let disks = self.lock();
        let each = disks.by_node.iter();
        each.map(|(node_id, shelved)| (*node_id, shelved.clone()))
            .collect()
    }
}

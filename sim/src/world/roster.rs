//! The nodes that run, shared by the world, its callers and its watchers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stellara_node::node::Node;
use stellara_raft_store::types::NodeId;

use super::SimPorts;
use crate::runtime::RandomStream;

#[derive(Default)]
struct Nodes {
    running: BTreeMap<NodeId, Node<SimPorts>>,
    changes: u64,
}

/// The running nodes. Clones are the same list.
#[derive(Clone, Default)]
pub struct Roster {
    nodes: Arc<Mutex<Nodes>>,
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.nodes().running.keys()).finish()
    }
}

impl Roster {
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, node_id: NodeId, node: Node<SimPorts>) {
        let earlier = {
            let mut nodes = self.nodes();
            nodes.changes += 1;
            nodes.running.insert(node_id, node)
        };
        drop(earlier);
    }

    pub(super) fn remove(&self, node_id: NodeId) -> Option<Node<SimPorts>> {
        let mut nodes = self.nodes();
        nodes.changes += 1;
        nodes.running.remove(&node_id)
    }

    /// Grows whenever a node starts or ends.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.nodes().changes
    }

    /// Looks at each running node in the order of their numbers. The list is held meanwhile.
    pub fn each(&self, mut look: impl FnMut(NodeId, &Node<SimPorts>)) {
        for (node_id, node) in &self.nodes().running {
            look(*node_id, node);
        }
    }

    /// The running nodes in the order of their numbers.
    #[must_use]
    pub fn running(&self) -> Vec<(NodeId, Node<SimPorts>)> {
        let nodes = self.nodes();
        nodes
            .running
            .iter()
            .map(|(node_id, node)| (*node_id, node.clone()))
            .collect()
    }

    /// A running node.
    #[must_use]
    pub fn get(&self, node_id: NodeId) -> Option<Node<SimPorts>> {
        self.nodes().running.get(&node_id).cloned()
    }

    /// Whether a node runs.
    #[must_use]
    pub fn runs(&self, node_id: NodeId) -> bool {
        self.nodes().running.contains_key(&node_id)
    }

    /// The running node at a place in their order, counted round.
    #[must_use]
    pub fn nth(&self, turn: usize) -> Option<(NodeId, Node<SimPorts>)> {
        let nodes = self.nodes();
        let at = turn.checked_rem(nodes.running.len())?;
        let (node_id, node) = nodes.running.iter().nth(at)?;
        Some((*node_id, node.clone()))
    }

    /// One of the running nodes.
    #[must_use]
    pub fn any(&self, draws: &mut RandomStream) -> Option<(NodeId, Node<SimPorts>)> {
        let mut running = self.running();
        let count = u64::try_from(running.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(draws.below(count)).unwrap_or(usize::MAX);
        (at < running.len()).then(|| running.swap_remove(at))
    }
}

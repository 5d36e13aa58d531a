//! The nodes that run, shared by the world, its callers and its watchers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stellara_node::api::readiness::Settlement;
use stellara_node::api::{Services, services};
use stellara_node::node::Node;
use stellara_raft_store::types::NodeId;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::SimPorts;
use crate::fake::api::{Door, Doors};
use crate::runtime::{NodeTag, RandomStream, spawn_on};

/// One life of a node.
struct Life {
    number: u64,
    node: Node<SimPorts>,
    /// Made when somebody first comes to the public port.
    routes: Option<Routes>,
}

#[derive(Default)]
struct Nodes {
    running: BTreeMap<NodeId, Life>,
    /// Starts and ends so far; a life is named by how many there were.
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
            let life = Life {
                number: nodes.changes,
                node,
                routes: None,
            };
            nodes.running.insert(node_id, life)
        };
        drop(earlier);
    }

    pub(super) fn remove(&self, node_id: NodeId) -> Option<Node<SimPorts>> {
        let life = {
            let mut nodes = self.nodes();
            nodes.changes += 1;
            nodes.running.remove(&node_id)?
        };
        Some(life.node)
    }

    /// Grows whenever a node starts or ends.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.nodes().changes
    }

    /// Looks at each running node in the order of their numbers. The list is held meanwhile.
    pub fn each(&self, mut look: impl FnMut(NodeId, &Node<SimPorts>)) {
        for (node_id, life) in &self.nodes().running {
            look(*node_id, &life.node);
        }
    }

    /// The running nodes in the order of their numbers.
    #[must_use]
    pub fn running(&self) -> Vec<(NodeId, Node<SimPorts>)> {
        let nodes = self.nodes();
        nodes
            .running
            .iter()
            .map(|(node_id, life)| (*node_id, life.node.clone()))
            .collect()
    }

    /// A running node.
    #[must_use]
    pub fn get(&self, node_id: NodeId) -> Option<Node<SimPorts>> {
        let nodes = self.nodes();
        nodes.running.get(&node_id).map(|life| life.node.clone())
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
        let (node_id, life) = nodes.running.iter().nth(at)?;
        Some((*node_id, life.node.clone()))
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

/// A node's public port without sockets: its services, and the task that keeps its health.
fn open(node_id: NodeId, node: &Node<SimPorts>) -> Routes {
    // Nobody stops these services: they end with the node's life.
    let never = CancellationToken::new();
    let Services { routes, health } =
        services(node.clone(), &never).expect("the embedded contract can be reflected");
    let node = node.clone();
    drop(spawn_on(NodeTag(node_id), async move {
        health.follow(&node, Settlement::Configured).await
    }));
    routes.prepare()
}

impl Doors for Roster {
    fn door(&self, node_id: NodeId) -> Option<Door> {
        let mut nodes = self.nodes();
        let life = nodes.running.get_mut(&node_id)?;
        let routes = life
            .routes
            .get_or_insert_with(|| open(node_id, &life.node))
            .clone();
        Some(Door {
            routes,
            life: life.number,
        })
    }
}

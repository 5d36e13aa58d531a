//! What must hold at every moment: one leader a term, one state an index, nobody's Raft stopped by itself.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use stellara_machine::ids::{Hash, Index};
use stellara_node::gateway::{Gateway as _, Role};
use stellara_raft_store::types::NodeId;

use super::{World, view_of};

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two nodes led in one term.
    #[error("nodes {first} and {second} both lead in term {term}")]
    TwoLeaders {
        /// The term.
        term: u64,
        /// Who was seen first.
        first: NodeId,
        /// Who was seen then.
        second: NodeId,
    },
    /// Two nodes differ after the same entry.
    #[error("after entry {} node {node_id} differs from what node {other} had", index.0)]
    Diverged {
        /// The entry.
        index: Index,
        /// Who differs.
        node_id: NodeId,
        /// Who was seen first.
        other: NodeId,
    },
    /// A node's Raft ended though nothing was done to it.
    #[error("raft of node {node_id} stopped: {why}")]
    Stopped {
        /// Which.
        node_id: NodeId,
        /// What it said.
        why: String,
    },
}

/// Remembers what was seen, to compare with what is seen later.
#[derive(Clone, Debug, Default)]
pub struct Laws {
    leaders: BTreeMap<u64, NodeId>,
    states: BTreeMap<Index, (NodeId, Hash)>,
    seen: BTreeMap<NodeId, Index>,
}

impl Laws {
    /// Looks at all running nodes.
    ///
    /// # Errors
    /// The first law found broken.
    pub fn check(&mut self, world: &World) -> Result<(), Violation> {
        for (node_id, node) in world.running() {
            if let Some(why) = node.failed().now_or_never() {
                let node_id = *node_id;
                return Err(Violation::Stopped { node_id, why });
            }
            let status = node.status();
            if status.role == Role::Leader {
                let first = *self.leaders.entry(status.term).or_insert(*node_id);
                if first != *node_id {
                    return Err(Violation::TwoLeaders {
                        term: status.term,
                        first,
                        second: *node_id,
                    });
                }
            }
            self.compare(*node_id, node)?;
        }
        Ok(())
    }

    /// The terms in which a leader was seen.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.leaders.len()
    }

    fn compare(
        &mut self,
        node_id: NodeId,
        node: &stellara_node::node::Node<super::SimPorts>,
    ) -> Result<(), Violation> {
        let Some(view) = view_of(node) else {
            return Ok(());
        };
        let applied = view.applied_index();
        let seen = self.seen.entry(node_id).or_default();
        // A restarted node may be behind what it had applied: it is looked at again from there.
        let from = seen.0.min(applied.0);
        for index in (from..=applied.0).map(Index) {
            let Some((at, digest)) = view.digest_at(index) else {
                continue;
            };
            if at != index {
                continue;
            }
            let (other, first) = *self.states.entry(index).or_insert((node_id, digest));
            if first != digest {
                return Err(Violation::Diverged {
                    index,
                    node_id,
                    other,
                });
            }
        }
        *seen = applied;
        Ok(())
    }
}

//! What must hold at every moment: one leader a term, one state an index, nobody's Raft stopped by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_machine::ids::{Hash, Index};
use stellara_raft_store::types::NodeId;

use super::roster::Roster;
use super::view_of;
use crate::runtime::{NodeTag, sleep, spawn_on};

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
    compared: BTreeSet<Index>,
}

impl Laws {
    /// Looks at all running nodes.
    ///
    /// # Errors
    /// The first law found broken.
    pub fn check(&mut self, roster: &Roster) -> Result<(), Violation> {
        for (node_id, node) in &roster.running() {
            if let Some(why) = node.failed().now_or_never() {
                let node_id = *node_id;
                return Err(Violation::Stopped { node_id, why });
            }
            if let Some(term) = node.leads() {
                let first = *self.leaders.entry(term).or_insert(*node_id);
                if first != *node_id {
                    return Err(Violation::TwoLeaders {
                        term,
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

    /// Log entries after which the state of more than one node was compared.
    #[must_use]
    pub fn entries_compared(&self) -> usize {
        self.compared.len()
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
            if other != node_id {
                self.compared.insert(index);
            }
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

/// The laws, looked at again and again while a world runs.
#[derive(Clone, Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    laws: Laws,
    violation: Option<Violation>,
}

impl Watch {
    /// Looks at the running nodes every `every` until the run ends or a law is broken.
    #[must_use]
    pub fn start(roster: Roster, every: Duration) -> Self {
        let watch = Self {
            seen: Arc::default(),
        };
        let watching = watch.clone();
        drop(spawn_on(NodeTag::DRIVER, async move {
            while watching.look(&roster).is_ok() {
                sleep(every).await;
            }
        }));
        watch
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks now.
    ///
    /// # Errors
    /// The first law that was ever found broken.
    pub fn look(&self, roster: &Roster) -> Result<(), Violation> {
        let mut seen = self.seen();
        if let Some(violation) = &seen.violation {
            return Err(violation.clone());
        }
        let checked = seen.laws.check(roster);
        seen.violation = checked.clone().err();
        checked
    }

    /// The terms in which a leader was seen.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.seen().laws.terms()
    }

    /// Log entries after which the state of more than one node was compared.
    #[must_use]
    pub fn entries_compared(&self) -> usize {
        self.seen().laws.entries_compared()
    }
}

//! The promises of the project, each a property that is looked at in every moment of a run and once more at its end.
//!
//! One property a file. Who looks changes nothing: a run with checks is the same history as one without. A property
//! that is broken is told once, and the others are looked at further.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use stellara_raft_store::types::NodeId;

use crate::history::Call;
use crate::runtime::SimTime;

mod audit_chain;
mod bad_input;
mod bounded;
mod checks;
mod durability;
mod election_safety;
mod equal_state;
mod fees_conserved;
mod fresh_reads;
mod idempotent;
mod leader_completeness;
mod linearizable;
mod log_matching;
mod monotone;
mod no_panic;
mod no_payment_lost;
mod no_secret;
mod nobody_stopped;
mod one_line_of_configurations;
mod predicted_bound;
mod quorum_commit;
mod settled_once;
mod sight;
#[cfg(test)]
mod stage;
mod stale_bound;
mod watch_no_gap;

pub use checks::Checks;
pub use sight::{Entry, Facts, Memberships, Record, Running, Seen, Sight};

/// A property that must hold in every moment.
pub trait Invariant: Send {
    /// Its name, in reports.
    fn name(&self) -> &'static str;

    /// Looks at what changed in the moment that just ended.
    ///
    /// # Errors
    /// How it is broken.
    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach>;

    /// Looks once more at the end of the run, after `look`.
    ///
    /// # Errors
    /// How it is broken.
    fn finish(&mut self, _sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        Ok(())
    }

    /// How many things it compared, to tell a check that saw nothing from one that holds.
    fn compared(&self) -> u64;
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In the middle: only what must always hold is looked at.
    Midway,
    /// After everything was whole for long enough: every node runs, and every payment has its end.
    Settled,
}

/// How a property is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The node that breaks it, if it is one.
    pub node_id: Option<NodeId>,
    /// What was seen and what was expected.
    pub detail: String,
}

impl Breach {
    /// A breach by a node.
    pub fn by(node_id: NodeId, detail: impl Into<String>) -> Self {
        Self {
            node_id: Some(node_id),
            detail: detail.into(),
        }
    }

    /// A breach by the node that answered a call, if it is known.
    pub fn by_answer(call: &Call, detail: impl Into<String>) -> Self {
        Self {
            node_id: (!call.by_sdk()).then_some(call.node_id),
            detail: detail.into(),
        }
    }

    /// A breach by the cluster as a whole.
    pub fn of_all(detail: impl Into<String>) -> Self {
        Self {
            node_id: None,
            detail: detail.into(),
        }
    }
}

/// A property that was found broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The property.
    pub invariant: Cow<'static, str>,
    /// When it was seen, in true time.
    pub at_ns: u64,
    /// The node that broke it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// What was seen and what was expected.
    pub detail: String,
}

impl Violation {
    fn new(invariant: &'static str, at: SimTime, breach: Breach) -> Self {
        Self {
            invariant: Cow::Borrowed(invariant),
            at_ns: at.as_ns(),
            node_id: breach.node_id,
            detail: breach.detail,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = SimTime::from_ns(self.at_ns);
        write!(f, "{} is broken at {at}", self.invariant)?;
        if let Some(node_id) = self.node_id {
            write!(f, " by node {node_id}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Violation {}

/// Nodes to whom something was done that stops a node: a failed or rotten disk. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Explained {
    by_node: Arc<Mutex<BTreeMap<NodeId, String>>>,
}

impl Explained {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.by_node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, that this node's Raft ends by itself is no breach.
    pub fn explain(&self, node_id: NodeId, why: impl Into<String>) {
        self.lock().insert(node_id, why.into());
    }

    /// What was done to the node is over.
    pub fn forget(&self, node_id: NodeId) {
        self.lock().remove(&node_id);
    }

    /// What was done to a node, if anything was.
    #[must_use]
    pub fn why(&self, node_id: NodeId) -> Option<String> {
        self.lock().get(&node_id).cloned()
    }
}

/// All properties, fresh.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(election_safety::ElectionSafety::default()),
        Box::new(log_matching::LogMatching::default()),
        Box::new(leader_completeness::LeaderCompleteness::default()),
        Box::new(equal_state::EqualState::default()),
        Box::new(quorum_commit::QuorumCommit::default()),
        Box::new(one_line_of_configurations::OneLine::default()),
        Box::new(monotone::Monotone::default()),
        Box::new(durability::Durability::default()),
        Box::new(no_payment_lost::NoPaymentLost::default()),
        Box::new(settled_once::SettledOnce::default()),
        Box::new(fees_conserved::FeesConserved::default()),
        Box::new(predicted_bound::PredictedBound::default()),
        Box::new(audit_chain::AuditChain::default()),
        Box::new(idempotent::Idempotent::default()),
        Box::new(fresh_reads::FreshReads::default()),
        Box::new(stale_bound::StaleBound::default()),
        Box::new(watch_no_gap::WatchNoGap::default()),
        Box::new(bad_input::BadInput::default()),
        Box::new(bounded::Bounded::default()),
        Box::new(no_secret::NoSecret::default()),
        Box::new(nobody_stopped::NobodyStopped::default()),
        Box::new(no_panic::NoPanic::default()),
        Box::new(linearizable::Linearizable::default()),
    ]
}

//! One run, decided: the cluster, what clients do and what goes wrong, each at its moment.
//!
//! A scenario and a seed make a plan; a plan and its seed make one history. What is taken out of a plan leaves the rest
//! as it was: that is how a failure is shrunk.

use serde::{Deserialize, Serialize};

pub mod fault;
pub mod operation;
pub mod target;
pub mod topology;

use fault::Fault;
use operation::OperationAt;
use topology::Topology;

/// A fault and its moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultAt {
    /// After the cluster is ready.
    pub at_ms: u64,
    /// How long it lasts, where it lasts; to the end of the troubled part when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

/// Everything that a run does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The name of the scenario it was made from.
    pub scenario: String,
    /// Decides the order of tasks, latencies, and everything else left to chance.
    pub seed: u64,
    /// The cluster.
    pub topology: Topology,
    /// The length of the troubled part, in milliseconds from when the cluster is ready.
    pub for_ms: u64,
    /// How long everything may take to settle after it, in milliseconds.
    pub settle_ms: u64,
    /// What clients do, by time.
    pub operations: Vec<OperationAt>,
    /// What goes wrong, by time.
    pub faults: Vec<FaultAt>,
}

//! A scenario: a cluster, what clients ask of it, and what may go wrong; with a seed it makes a plan.
//!
//! Scenarios are TOML files: those of the catalogue by name, and the user's own by path. A file is read whole or refused
//! with the place and what was expected.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::fault::Fault;
use crate::plan::operation::OperationAt;
use crate::plan::topology::Topology;
use crate::plan::{FaultAt, Plan};

mod catalogue;
mod check;
mod draw;
#[cfg(test)]
mod tests;

pub use catalogue::{Entry, catalogue};
pub use check::Flaw;

/// A moment or a length, in milliseconds: a number, or two between which it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Always this.
    Fixed(u64),
    /// Drawn, both included.
    Between([u64; 2]),
}

impl Span {
    const fn bounds(self) -> [u64; 2] {
        match self {
            Self::Fixed(ms) => [ms, ms],
            Self::Between(bounds) => bounds,
        }
    }
}

/// What may go wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hazard {
    /// Once, at this moment after the cluster is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<Span>,
    /// Again and again, with this time between one beginning and the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<Span>,
    /// How long it lasts; to the end of the troubled part when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<Span>,
    /// In how many of a thousand runs it happens at all; or, of `every_ms`, how many of a thousand times.
    #[serde(default = "always")]
    pub chance_permille: u32,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

const fn always() -> u32 {
    1_000
}

/// One-way paths clog one after another and clear in another order, as FoundationDB's swizzled clogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swizzle {
    /// The time from one swizzle to the next.
    pub every_ms: Span,
    /// The time in which all paths of it clog, and later in which all clear.
    pub for_ms: Span,
}

/// What clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Clients; each has a home region, in turn.
    pub clients: u8,
    /// New payments a second, of all clients together.
    pub submits_per_s: u32,
    /// Linearizable reads a second.
    pub reads_per_s: u32,
    /// Stale reads a second.
    pub stale_reads_per_s: u32,
    /// Of a thousand payments, how many are submitted once more later.
    pub again_permille: u32,
    /// Of a thousand payments, how many keys are used once more with another body.
    pub conflict_permille: u32,
    /// Of a thousand payments, how many are cancelled.
    pub cancel_permille: u32,
    /// Of a thousand payments, beside how many a bad request is sent.
    pub bad_permille: u32,
    /// In how many of a thousand operations the shipped client is used; the others speak with a node in process.
    pub sdk_permille: u32,
}

impl Workload {
    /// Nobody asks anything.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            clients: 1,
            submits_per_s: 0,
            reads_per_s: 0,
            stale_reads_per_s: 0,
            again_permille: 0,
            conflict_permille: 0,
            cancel_permille: 0,
            bad_permille: 0,
            sdk_permille: 0,
        }
    }
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            clients: 6,
            submits_per_s: 20,
            reads_per_s: 4,
            stale_reads_per_s: 1,
            again_permille: 50,
            conflict_permille: 20,
            cancel_permille: 50,
            bad_permille: 10,
            sdk_permille: 0,
        }
    }
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One word with dashes.
    pub name: String,
    /// What happens, in a sentence.
    pub about: String,
    /// What must hold, beside everything that always must.
    #[serde(default)]
    pub keeps: String,
    /// Where it was seen to break another system.
    #[serde(default)]
    pub seen_in: String,
    /// The length of the troubled part, in milliseconds.
    pub for_ms: u64,
    /// How long everything may take to settle after it, in milliseconds.
    #[serde(default = "settle_ms")]
    pub settle_ms: u64,
    /// The cluster.
    #[serde(default)]
    pub topology: Topology,
    /// What clients ask.
    #[serde(default)]
    pub workload: Workload,
    /// What may go wrong.
    #[serde(default, rename = "fault")]
    pub hazards: Vec<Hazard>,
    /// Paths that clog in turns.
    #[serde(default, rename = "swizzle")]
    pub swizzles: Vec<Swizzle>,
    /// Operations at their moments, beside those of the workload.
    #[serde(default, rename = "operation")]
    pub operations: Vec<OperationAt>,
}

const fn settle_ms() -> u64 {
    180_000
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a name of the catalogue nor a file.
    #[error(
        "scenario {0:?} is neither of the catalogue (see `stellara-sim list`) nor a file that ends in .toml"
    )]
    Unknown(String),
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// It is not a scenario.
    #[error("{of}: {error}")]
    Format {
        /// Which.
        of: String,
        /// Where, and what was expected.
        error: Box<toml::de::Error>,
    },
    /// It cannot be run.
    #[error("{of}: {flaw}")]
    Flawed {
        /// Which.
        of: String,
        /// What is wrong.
        flaw: Flaw,
    },
}

impl Scenario {
    /// One of the catalogue by its name, or the file at a path.
    ///
    /// # Errors
    /// Every [`ScenarioError`].
    pub fn named(name: &str) -> Result<Self, ScenarioError> {
        if let Some(entry) = catalogue().iter().find(|entry| entry.name == name) {
            return Self::parse(name, entry.text);
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Err(ScenarioError::Unknown(name.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| ScenarioError::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(name, &text)
    }

    /// The scenario that makes exactly `plan`, under its seed.
    #[must_use]
    pub fn of_plan(plan: &Plan) -> Self {
        let once = |at: &FaultAt| Hazard {
            at_ms: Some(Span::Fixed(at.at_ms)),
            every_ms: None,
            for_ms: at.for_ms.map(Span::Fixed),
            chance_permille: always(),
            fault: at.fault.clone(),
        };
        Self {
            name: plan.scenario.clone(),
            about: format!("A run of {} under seed {}.", plan.scenario, plan.seed),
            keeps: String::new(),
            seen_in: String::new(),
            for_ms: plan.for_ms,
            settle_ms: plan.settle_ms,
            topology: plan.topology.clone(),
            workload: Workload::none(),
            hazards: plan.faults.iter().map(once).collect(),
            swizzles: Vec::new(),
            operations: plan.operations.clone(),
        }
    }

    /// Its text, as a file.
    ///
    /// # Errors
    /// When a number does not fit TOML's.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Reads the text of a scenario; `of` names it in errors.
    ///
    /// # Errors
    /// `Format` or `Flawed`.
    pub fn parse(of: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|error| ScenarioError::Format {
            of: of.to_owned(),
            error: Box::new(error),
        })?;
        check::check(&scenario).map_err(|flaw| ScenarioError::Flawed {
            of: of.to_owned(),
            flaw,
        })?;
        Ok(scenario)
    }
}

//! Why a command of the simulator fails: each ends the process with a code that is not zero.

use std::io;
use std::path::PathBuf;

use stellara_sim::advise::AdviseError;
use stellara_sim::envelopes::LineError;
use stellara_sim::record::RecordError;
use stellara_sim::scenario::ScenarioError;
use stellara_sim::timeline::TimelineError;

use crate::ledger::LedgerError;

/// What ends a command.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such scenario, or it cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// There is no such record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no picture.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// There is no advice.
    #[error(transparent)]
    Advise(#[from] AdviseError),
    /// The product's own code makes no envelope.
    #[error(transparent)]
    Envelope(#[from] LineError),
    /// The timers break a rule.
    #[error("the timers break {0}")]
    Timers(String),
    /// The ledger is not served.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something did not hold.
    #[error("{runs} of {of} runs broke an invariant")]
    Broken {
        /// How many runs.
        runs: usize,
        /// Of how many.
        of: usize,
    },
    /// A recorded run went otherwise this time.
    #[error(
        "the run went otherwise: trace {found}, recorded {recorded}: the program is not the one that recorded it"
    )]
    Otherwise {
        /// This time.
        found: String,
        /// As recorded.
        recorded: String,
    },
    /// There is nothing to shrink.
    #[error("{0}: the run breaks no invariant: there is nothing to shrink")]
    Holds(String),
    /// A file cannot be written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The output cannot be written.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// A scenario has no text.
    #[error("{0}")]
    Text(#[from] toml::ser::Error),
}

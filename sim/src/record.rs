//! A run as a file: the plan, with all that is needed to run it again, and what came of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::run::Outcome;

/// The format written; files of another are refused.
pub const FORMAT: u32 = 1;

/// A run that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of the format.
    pub format: u32,
    /// How it went.
    pub outcome: Outcome,
    /// What was run.
    pub plan: Plan,
}

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// It is no record of a run.
    #[error("{}: not a recorded run: {error}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Where, and what was expected.
        error: serde_json::Error,
    },
    /// It was written by another release.
    #[error("{}: format {found}, expected {FORMAT}: record the run again with this release", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
}

impl Record {
    /// A run and its outcome.
    #[must_use]
    pub const fn new(plan: Plan, outcome: Outcome) -> Self {
        Self {
            format: FORMAT,
            outcome,
            plan,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Every [`RecordError`].
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text = std::fs::read_to_string(path).map_err(|error| RecordError::Io {
            path: path.to_owned(),
            error,
        })?;
        let record: Self = serde_json::from_str(&text).map_err(|error| RecordError::Format {
            path: path.to_owned(),
            error,
        })?;
        if record.format != FORMAT {
            return Err(RecordError::Version {
                path: path.to_owned(),
                found: record.format,
            });
        }
        Ok(record)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// `Io`.
    ///
    /// # Panics
    /// Never: a record is plain data.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let text = serde_json::to_string_pretty(self).expect("a record is plain data");
        std::fs::write(path, text).map_err(|error| RecordError::Io {
            path: path.to_owned(),
            error,
        })
    }

    /// The name of its file, where none is given.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.json", self.plan.scenario, self.plan.seed)
    }
}

//! Why a cluster on this machine ends early.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::setup::SetupError;
use crate::shell::ShellError;

/// Why a cluster on this machine ends early.
#[derive(Debug)]
pub enum ClusterError {
    /// The build cannot start.
    Setup(SetupError),
    /// A command failed.
    Shell(ShellError),
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// The folder given holds something.
    NotEmpty(PathBuf),
    /// A process that should stay up ended.
    Ended {
        /// Which.
        name: String,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log_tail: String,
    },
    /// Something did not happen in time.
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit_ms: u64,
    },
    /// An answer that is not what was agreed.
    Answer {
        /// Who answered.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// A promise of the product did not hold.
    Broken(Vec<String>),
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::Shell(error) => error.fmt(f),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotEmpty(path) => write!(f, "{} is not empty: name a new folder", path.display()),
            Self::Ended {
                name,
                status,
                log_tail,
            } => write!(
                f,
                "{name} ended with {status}; the end of its log:\n{log_tail}"
            ),
            Self::Late { what, limit_ms } => write!(f, "waited {limit_ms} ms in vain until {what}"),
            Self::Answer { from, why } => write!(f, "answer of {from}: {why}"),
            Self::Broken(promises) => write!(f, "does not hold:\n  {}", promises.join("\n  ")),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for ClusterError {}

impl From<ShellError> for ClusterError {
    fn from(error: ShellError) -> Self {
        Self::Shell(error)
    }
}

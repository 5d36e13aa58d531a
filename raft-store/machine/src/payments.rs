//! Payments: accepted once per key, withdrawn while they wait.

pub mod cancel;
pub mod retry;
pub mod submit;

use crate::decision::Stage;

impl Stage {
    /// The stage in a word, for answers and records.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Batched { .. } => "batched",
            Self::Settled { .. } => "settled",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

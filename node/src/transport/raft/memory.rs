//! What a node remembers of its votes and entries, and so in which of Raft's calls it may take part.
//!
//! A node that forgot what it granted and acknowledged must do neither before it has learnt enough again
//! (docs/decisions/0007-rebuilding-a-voter.md). Clones are one memory.

use std::sync::{Arc, Mutex};

use stellara_machine::ids::Index;
use stellara_raft_store::log::Past;

/// How much a node remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// All that it ever promised.
    Whole,
    /// Its log is blank, and whether it ever promised anything is not known: it answers none of Raft's calls.
    Nothing,
    /// It lost its log. It follows, and neither votes nor stands for election until it has applied an index.
    Rebuilding {
        /// The index.
        until: Index,
    },
}

/// A node's memory.
#[derive(Clone, Debug)]
pub struct Memory {
    recall: Arc<Mutex<Recall>>,
}

impl Memory {
    /// The memory that a log allows.
    #[must_use]
    pub fn of(past: Past) -> Self {
        let recall = match past {
            Past::Blank => Recall::Nothing,
            Past::Kept {
                rebuilt_at: Some(until),
                ..
            } => Recall::Rebuilding {
                until: Index(until),
            },
            Past::Kept {
                rebuilt_at: None, ..
            } => Recall::Whole,
        };
        Self {
            recall: Arc::new(Mutex::new(recall)),
        }
    }

    /// The memory of a node that never lost anything.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            recall: Arc::new(Mutex::new(Recall::Whole)),
        }
    }

    /// How much it remembers now.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    #[must_use]
    pub fn recall(&self) -> Recall {
        *self.recall.lock().expect("no holder panics")
    }

    /// It remembers this much from now on.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn set(&self, recall: Recall) {
        *self.recall.lock().expect("no holder panics") = recall;
    }

    /// Whether the node may vote and stand for election.
    ///
    /// # Errors
    /// Why not, in words for the log of the asker.
    pub fn may_vote(&self) -> Result<(), String> {
        match self.recall() {
            Recall::Whole => Ok(()),
            Recall::Nothing => Err(NOTHING.to_owned()),
            Recall::Rebuilding { until } => Err(format!(
                "this node lost its log and rebuilds it: it does not vote before it has applied entry {}",
                until.0
            )),
        }
    }

    /// Whether the node may acknowledge entries and snapshots.
    ///
    /// # Errors
    /// Why not, in words for the log of the asker.
    pub fn may_follow(&self) -> Result<(), String> {
        match self.recall() {
            Recall::Whole | Recall::Rebuilding { .. } => Ok(()),
            Recall::Nothing => Err(NOTHING.to_owned()),
        }
    }
}

const NOTHING: &str = "this node's log is blank and it has not learnt yet whether it was a member of this cluster before";

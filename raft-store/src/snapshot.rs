//! Snapshots: a checkpoint of the state, sent file by file and swapped in whole.

use crate::engine::CheckpointFile;

/// A snapshot on this node's disk: ready to be sent, or received and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder that holds its files, relative to the data folder.
    pub folder: String,
    /// Its files, in the order they are sent.
    pub files: Vec<CheckpointFile>,
}

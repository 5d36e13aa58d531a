//! What the rows of a log say, for those who look at a disk from outside: simulations and tools.

use std::collections::BTreeSet;

use openraft::EntryPayload;

use super::{PURGED_KEY, VOTE_KEY, index_key, record};
use crate::engine::EngineError;
use crate::private;
use crate::types::{self, LogId, NodeId, Vote};

/// The folder of the log under the data folder.
pub const FOLDER: &str = "log";

/// The key of an entry, in `Space::Entries`.
#[must_use]
pub const fn entry_key(index: u64) -> [u8; 8] {
    index_key(index)
}

/// The key of the position up to which entries left the log, in `Space::Rows`.
#[must_use]
pub const fn purged_key() -> &'static [u8] {
    PURGED_KEY
}

/// The key of the vote, in `Space::Rows`.
#[must_use]
pub const fn vote_key() -> &'static [u8] {
    VOTE_KEY
}

/// The position of a stored entry.
///
/// # Errors
/// `Corrupt` when the record does not hold, or is another entry's.
pub fn entry_position(key: &[u8], value: &[u8]) -> Result<LogId, EngineError> {
    record::decode_position(key, value)
}

/// A membership of a log: where it lies, and its sets of voters, each of which must agree.
pub type VotersAt = (LogId, Vec<BTreeSet<NodeId>>);

/// The sets of voters that a stored entry puts in force; `None` for an entry of another kind.
///
/// # Errors
/// `Corrupt` when the record does not hold, or is another entry's.
pub fn entry_voters(key: &[u8], value: &[u8]) -> Result<Option<VotersAt>, EngineError> {
    let entry = record::decode_entry(key, value)?;
    Ok(match entry.payload {
        EntryPayload::Membership(membership) => {
            Some((entry.log_id, membership.get_joint_config().clone()))
        }
        EntryPayload::Blank | EntryPayload::Normal(_) => None,
    })
}

/// A stored position.
///
/// # Errors
/// `Corrupt` when the record does not hold.
pub fn position(value: &[u8]) -> Result<LogId, EngineError> {
    let record: record::LogIdRecord = private::decode("position", value)?;
    Ok(types::log_id(record.term, record.index))
}

/// A stored vote.
///
/// # Errors
/// `Corrupt` when the record does not hold.
pub fn vote(value: &[u8]) -> Result<Vote, EngineError> {
    record::decode_vote(value)
}

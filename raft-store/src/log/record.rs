//! The log's rows: how entries, votes and positions lie on the engine, and the check at opening.

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use prost::Message;
use stellara_proto::v1::peer;

use super::{COMMITTED_KEY, Cache, PURGED_KEY, REBUILT_AT_KEY, VOTE_KEY, index_key};
use crate::codec;
use crate::engine::{Direction, Engine, EngineError, Scan, Space};
use crate::private;
use crate::types::{self, EncodedEntry, Entry, LogId, Vote};

/// Rows read at a time while opening.
const LOAD_ROWS_MAX: usize = 256;

#[derive(Encode, Decode)]
struct VoteRecord {
    term: u64,
    voted_for: u64,
    committed: bool,
}

#[derive(Encode, Decode)]
pub(super) struct LogIdRecord {
    pub(super) term: u64,
    pub(super) index: u64,
}

#[derive(Encode, BorrowDecode)]
struct EntryRecord<'a> {
    term: u64,
    index: u64,
    payload: PayloadRecord<'a>,
}

#[derive(Encode, BorrowDecode)]
enum PayloadRecord<'a> {
    Blank,
    Normal(&'a [u8]),
    /// A `peer.Membership`, encoded.
    Membership(&'a [u8]),
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    private::encode(&VoteRecord {
        term: vote.leader_id.term,
        voted_for: vote.leader_id.voted_for,
        committed: vote.committed,
    })
}

pub(super) fn encode_log_id(log_id: &LogId) -> Vec<u8> {
    private::encode(&LogIdRecord {
        term: types::term_of(log_id),
        index: log_id.index,
    })
}

pub(super) fn encode_index(index: u64) -> Vec<u8> {
    private::encode(&index)
}

pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let membership;
    let payload = match &entry.payload {
        EntryPayload::Blank => PayloadRecord::Blank,
        EntryPayload::Normal(EncodedEntry(bytes)) => PayloadRecord::Normal(bytes),
        EntryPayload::Membership(members) => {
            membership = codec::membership_to_proto(members).encode_to_vec();
            PayloadRecord::Membership(&membership)
        }
    };
    private::encode(&EntryRecord {
        term: types::term_of(&entry.log_id),
        index: entry.index(),
        payload,
    })
}

pub(super) fn index_of(key: &[u8]) -> Result<u64, EngineError> {
    let bytes = <[u8; 8]>::try_from(key).map_err(|_| EngineError::Corrupt {
        path: "log".to_owned(),
        detail: format!("an entry's key has {} bytes, not 8", key.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

fn decode_record<'a>(key: &[u8], value: &'a [u8]) -> Result<EntryRecord<'a>, EngineError> {
    let index = index_of(key)?;
    let record: EntryRecord<'_> =
        private::decode("log entry", value).map_err(|error| named(index, error))?;
    if record.index != index {
        let detail = format!("its record says index {}: misplaced", record.index);
        return Err(corrupt_entry(index, detail));
    }
    Ok(record)
}

/// The error with the entry's index, which is told only once there is one: records are decoded often.
fn named(index: u64, error: EngineError) -> EngineError {
    match error {
        EngineError::Corrupt { detail, .. } => corrupt_entry(index, detail),
        other @ (EngineError::DiskFull { .. }
        | EngineError::WriteFailed { .. }
        | EngineError::ReadFailed { .. }) => other,
    }
}

fn corrupt_entry(index: u64, detail: String) -> EngineError {
    EngineError::Corrupt {
        path: format!("log entry {index}"),
        detail,
    }
}

/// The position of a stored entry, whose record is checked.
pub(super) fn decode_position(key: &[u8], value: &[u8]) -> Result<LogId, EngineError> {
    let record = decode_record(key, value)?;
    Ok(types::log_id(record.term, record.index))
}

pub(super) fn decode_entry(key: &[u8], value: &[u8]) -> Result<Entry, EngineError> {
    let record = decode_record(key, value)?;
    let index = record.index;
    let corrupt = |detail: String| corrupt_entry(index, detail);
    let payload = match record.payload {
        PayloadRecord::Blank => EntryPayload::Blank,
        PayloadRecord::Normal(bytes) => {
            EntryPayload::Normal(EncodedEntry(Bytes::copy_from_slice(bytes)))
        }
        PayloadRecord::Membership(bytes) => {
            let members =
                peer::Membership::decode(bytes).map_err(|error| corrupt(error.to_string()))?;
            let members = codec::membership_from_proto(members)
                .map_err(|error| corrupt(error.to_string()))?;
            EntryPayload::Membership(members)
        }
    };
    Ok(Entry {
        log_id: types::log_id(record.term, index),
        payload,
    })
}

fn load_log_id(engine: &impl Engine, key: &[u8]) -> Result<Option<LogId>, EngineError> {
    let what = String::from_utf8_lossy(key);
    engine
        .get(Space::Rows, key)?
        .map(|bytes| {
            private::decode(&what, &bytes)
                .map(|LogIdRecord { term, index }| types::log_id(term, index))
        })
        .transpose()
}

fn load_index(engine: &impl Engine, key: &[u8]) -> Result<Option<u64>, EngineError> {
    let what = String::from_utf8_lossy(key);
    engine
        .get(Space::Rows, key)?
        .map(|bytes| private::decode(&what, &bytes))
        .transpose()
}

pub(super) fn decode_vote(bytes: &[u8]) -> Result<Vote, EngineError> {
    private::decode("vote", bytes).map(
        |VoteRecord {
             term,
             voted_for,
             committed,
         }| types::vote(term, voted_for, committed),
    )
}

fn load_vote(engine: &impl Engine) -> Result<Option<Vote>, EngineError> {
    engine
        .get(Space::Rows, VOTE_KEY)?
        .map(|bytes| decode_vote(&bytes))
        .transpose()
}

/// Reads the whole log once: positions, vote, and every entry, to find a gap or a broken record
/// before the node tells anyone what it has.
pub(super) fn load(engine: &impl Engine) -> Result<Cache, EngineError> {
    let mut cache = Cache {
        vote: load_vote(engine)?,
        committed: load_log_id(engine, COMMITTED_KEY)?,
        purged: load_log_id(engine, PURGED_KEY)?,
        rebuilt_at: load_index(engine, REBUILT_AT_KEY)?,
        ..Cache::default()
    };
    cache.last = cache.purged;
    // A range delete may still hide entries below the purged one: start after it.
    let mut next = cache.purged.map_or(0, |log_id| log_id.index + 1);
    loop {
        let rows = engine.scan(&Scan {
            space: Space::Entries,
            from: index_key(next).to_vec(),
            to: index_key(u64::MAX).to_vec(),
            direction: Direction::Ascending,
            rows_max: LOAD_ROWS_MAX,
        })?;
        if rows.is_empty() {
            break;
        }
        for (key, value) in &rows {
            let entry = decode_entry(key, value)?;
            if entry.index() != next {
                return Err(EngineError::Corrupt {
                    path: format!("log entry {next}"),
                    detail: format!("missing: entry {} follows", entry.index()),
                });
            }
            next += 1;
            cache.durable_index = entry.index();
            cache.push(entry);
            cache.evict();
        }
    }
    cache.appended_bytes = 0;
    // The stored commit hint may be ahead of what a crash left of the log.
    cache.committed = cache
        .committed
        .filter(|committed| cache.last.is_some_and(|last| committed.index <= last.index));
    Ok(cache)
}

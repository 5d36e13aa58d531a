//! The Raft log: entries, vote and commit index on one engine, with a cache of the newest entries.
//!
//! An append returns when its entries are readable and reports back when they are
//! durable; the cache holds every entry that is not durable yet.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};

use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft_rt::AsyncRuntime;

use crate::engine::{Batch, Direction, Engine, EngineError, Scan, Space};
use crate::error::to_io;
use crate::types::{EncodedEntry, Entry, LogId, Types, Vote};

pub mod inspect;
mod record;

/// Bytes of entries that the cache keeps once they are durable.
const CACHE_BYTES_MAX: usize = 32 << 20;
/// Rows that one look at the engine returns at most.
const READ_ROWS_MAX: usize = 64;
/// Bytes after which a limited read stops.
const READ_BYTES_MAX: usize = 2 << 20;

const VOTE_KEY: &[u8] = b"vote";
const COMMITTED_KEY: &[u8] = b"committed";
const PURGED_KEY: &[u8] = b"purged";
const REBUILT_AT_KEY: &[u8] = b"rebuilt-at";

/// What a log tells of its node's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// No vote and no entry: a new node, or one that lost its disk.
    Blank,
    /// It has taken part.
    Kept {
        /// The highest vote.
        vote: Option<Vote>,
        /// Its last entry, or the last one purged.
        last_index: Option<u64>,
        /// While it is rebuilt after a loss: the index that ends it.
        rebuilt_at: Option<u64>,
    },
}

/// The log of one node. Clones share it.
pub struct LogStore<R, E> {
    shared: Arc<Shared<E>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R, E> Clone for LogStore<R, E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            runtime: PhantomData,
        }
    }
}

struct Shared<E> {
    engine: E,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// While the log is rebuilt after a loss: the index that ends it.
    rebuilt_at: Option<u64>,
    /// The newest entries without a gap, ending with the last one.
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    /// Entries up to here are durable and may leave the tail.
    durable_index: u64,
    /// Bytes appended since the node started, for the snapshot policy.
    appended_bytes: u64,
}

impl Cache {
    fn first_cached(&self) -> Option<u64> {
        self.tail.front().map(RaftEntry::index)
    }

    fn push(&mut self, entry: Entry) {
        let bytes = entry_bytes(&entry);
        self.tail_bytes += bytes;
        self.appended_bytes += bytes as u64;
        self.last = Some(entry.log_id());
        self.tail.push_back(entry);
    }

    fn evict(&mut self) {
        while self.tail_bytes > CACHE_BYTES_MAX
            && self
                .first_cached()
                .is_some_and(|index| index <= self.durable_index)
        {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(entry) = self.tail.pop_front() {
            self.tail_bytes -= entry_bytes(&entry);
        }
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    const OVERHEAD_BYTES: usize = 64;
    let payload_bytes = match &entry.payload {
        openraft::EntryPayload::Normal(EncodedEntry(bytes)) => bytes.len(),
        openraft::EntryPayload::Blank | openraft::EntryPayload::Membership(_) => 0,
    };
    payload_bytes + OVERHEAD_BYTES
}

const fn index_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

impl<R, E: Engine> LogStore<R, E> {
    /// Opens the log on its engine and checks every record: no gap, no broken checksum.
    ///
    /// # Errors
    /// `Corrupt` names the entry at fault; the node must not serve such a log.
    pub fn open(engine: E) -> Result<Self, EngineError> {
        let cache = record::load(&engine)?;
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                cache: Mutex::new(cache),
            }),
            runtime: PhantomData,
        })
    }

    /// Bytes of entries appended since the node started.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        self.cache().appended_bytes
    }

    /// Its last entry, or the last one purged.
    #[must_use]
    pub fn last_index(&self) -> Option<u64> {
        self.cache().last.map(|last| last.index)
    }

    /// What this log tells of the node's past.
    #[must_use]
    pub fn past(&self) -> Past {
        let cache = self.cache();
        match (cache.vote, cache.last) {
            (None, None) => Past::Blank,
            (vote, last) => Past::Kept {
                vote,
                last_index: last.map(|last| last.index),
                rebuilt_at: cache.rebuilt_at,
            },
        }
    }

    /// Notes durably that this log lacks what the node once had, until index `rebuilt_at` is applied.
    ///
    /// # Errors
    /// The engine's: the note may be lost.
    pub async fn begin_rebuild(&self, rebuilt_at: u64) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        batch.put(
            Space::Rows,
            REBUILT_AT_KEY,
            record::encode_index(rebuilt_at),
        );
        self.shared.engine.commit(batch).await?;
        self.cache().rebuilt_at = Some(rebuilt_at);
        Ok(())
    }

    /// Removes the note. When this returns, all entries appended before the call are durable too.
    ///
    /// # Errors
    /// The engine's: the note may be there still.
    pub async fn end_rebuild(&self) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        batch.delete(Space::Rows, REBUILT_AT_KEY);
        self.shared.engine.commit(batch).await?;
        self.cache().rebuilt_at = None;
        Ok(())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.shared
            .cache
            .lock()
            .expect("no holder of the cache panics")
    }

    /// Entries of `from..to` in order, about `bytes_max` bytes at most, at least one.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Entry>, EngineError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let first_cached = {
            let cache = self.cache();
            let first_cached = cache.first_cached().unwrap_or(u64::MAX);
            if from >= first_cached {
                let skip = usize::try_from(from - first_cached).unwrap_or(usize::MAX);
                for entry in cache.tail.iter().skip(skip) {
                    if entry.index() >= to || (bytes > 0 && bytes >= bytes_max) {
                        break;
                    }
                    bytes += entry_bytes(entry);
                    entries.push(entry.clone());
                }
                return Ok(entries);
            }
            first_cached
        };
        let mut next = from;
        let end = to.min(first_cached);
        while next < end && (entries.is_empty() || bytes < bytes_max) {
            let rows = self.shared.engine.scan(&Scan {
                space: Space::Entries,
                from: index_key(next).to_vec(),
                to: index_key(end).to_vec(),
                direction: Direction::Ascending,
                rows_max: READ_ROWS_MAX,
            })?;
            let Some((last_key, _)) = rows.last() else {
                // Nothing stored below the cache: what is asked for begins later.
                next = end;
                break;
            };
            next = record::index_of(last_key)? + 1;
            for (key, value) in &rows {
                let entry = record::decode_entry(key, value)?;
                bytes += entry_bytes(&entry);
                entries.push(entry);
                if bytes >= bytes_max {
                    return Ok(entries);
                }
            }
        }
        if next >= first_cached && next < to && bytes < bytes_max {
            entries.extend(self.read(next, to, bytes_max - bytes)?);
        }
        Ok(entries)
    }
}

impl<R: AsyncRuntime + 'static, E: Engine> RaftLogReader<Types<R>> for LogStore<R, E> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = half_open(&range);
        self.read(from, to, usize::MAX).map_err(to_io)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, READ_BYTES_MAX).map_err(to_io)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.cache().vote)
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(&index) => index,
        Bound::Excluded(&index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(&index) => index.saturating_add(1),
        Bound::Excluded(&index) => index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl<R: AsyncRuntime + 'static, E: Engine> RaftLogStorage<Types<R>> for LogStore<R, E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types<R>>, io::Error> {
        let cache = self.cache();
        Ok(LogState {
            last_purged_log_id: cache.purged,
            last_log_id: cache.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let mut batch = Batch::default();
        batch.put(Space::Rows, VOTE_KEY, record::encode_vote(vote));
        // A vote that is forgotten could be given twice: durable before anyone hears of it.
        self.shared.engine.commit(batch).await.map_err(to_io)?;
        self.cache().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Only a hint for a faster start: it rides along with the next append.
        self.cache().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.cache().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<Types<R>>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = Batch::default();
        let last_index = {
            let mut cache = self.cache();
            for entry in entries {
                batch.put(
                    Space::Entries,
                    index_key(entry.index()),
                    record::encode_entry(&entry),
                );
                cache.push(entry);
            }
            if let Some(committed) = &cache.committed {
                batch.put(Space::Rows, COMMITTED_KEY, record::encode_log_id(committed));
            }
            cache.last.map_or(0, |log_id| log_id.index)
        };
        // The write is queued here, in the order of the calls; only the waiting is a task of its own.
        let durable = self.shared.engine.commit(batch);
        let shared = Arc::clone(&self.shared);
        drop(R::spawn(async move {
            let result = durable.await;
            if result.is_ok() {
                let mut cache = shared.cache.lock().expect("no holder of the cache panics");
                // A truncation may have overtaken the report; what follows it is reported on its own.
                let last_index = cache.last.map_or(0, |log_id| log_id.index.min(last_index));
                cache.durable_index = cache.durable_index.max(last_index);
                cache.evict();
            }
            callback.io_completed(result.map_err(to_io));
        }));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let first_removed = last_log_id.map_or(0, |log_id| log_id.index + 1);
        let mut batch = Batch::default();
        batch.delete_range(
            Space::Entries,
            index_key(first_removed),
            index_key(u64::MAX),
        );
        self.shared.engine.commit(batch).await.map_err(to_io)?;
        let mut cache = self.cache();
        if cache.last.is_none_or(|last| last.index < first_removed) {
            return Ok(());
        }
        while cache
            .tail
            .back()
            .is_some_and(|entry| entry.index() >= first_removed)
        {
            if let Some(entry) = cache.tail.pop_back() {
                cache.tail_bytes -= entry_bytes(&entry);
            }
        }
        cache.last = last_log_id.or(cache.purged);
        cache.durable_index = cache.durable_index.min(first_removed.saturating_sub(1));
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let mut batch = Batch::default();
        batch.put(Space::Rows, PURGED_KEY, record::encode_log_id(&log_id));
        batch.delete_range(Space::Entries, index_key(0), index_key(log_id.index + 1));
        self.shared.engine.commit(batch).await.map_err(to_io)?;
        let mut cache = self.cache();
        while cache
            .first_cached()
            .is_some_and(|index| index <= log_id.index)
        {
            cache.drop_front();
        }
        cache.purged = Some(log_id);
        if cache.last.is_none_or(|last| last.index < log_id.index) {
            cache.last = Some(log_id);
        }
        Ok(())
    }
}

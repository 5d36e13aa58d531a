//! The ordered key-value engine under the log and the state, as a trait.
//!
//! An engine keeps rows in a few spaces, each ordered by key. `RocksDB` implements
//! it for production (`stellara-rocks`), `memory` for the simulator and most tests.

use std::future::Future;

use thiserror::Error;

pub mod carrying;
pub mod conformance;
pub mod memory;
pub mod names;
pub mod room;

/// A space of rows; engines keep each space's rows together and ordered by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Small and often rewritten: meta, queue places, live batches, accounts, effects, statuses.
    Rows,
    /// Written once, in key order: payments, attempts.
    Payments,
    /// Written once, in random order: idempotency keys.
    Keys,
    /// Written once, in key order: log entries (in the log), audit records (in the state).
    Entries,
}

impl Space {
    /// All spaces, in a fixed order.
    pub const ALL: [Self; 4] = [Self::Rows, Self::Payments, Self::Keys, Self::Entries];

    /// The stable name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Payments => "payments",
            Self::Keys => "keys",
            Self::Entries => "entries",
        }
    }
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Set a row.
    Put(Space, Vec<u8>, Vec<u8>),
    /// Remove a row, if there is one.
    Delete(Space, Vec<u8>),
    /// Remove all rows from the first key (inclusive) to the second (exclusive).
    DeleteRange(Space, Vec<u8>, Vec<u8>),
}

/// Writes that happen together or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The writes.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Adds a put.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes
            .push(Write::Put(space, key.into(), value.into()));
    }

    /// Adds a delete.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.writes.push(Write::Delete(space, key.into()));
    }

    /// Adds a range delete, `from` inclusive to `to` exclusive.
    pub fn delete_range(&mut self, space: Space, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        self.writes
            .push(Write::DeleteRange(space, from.into(), to.into()));
    }
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lower bound up.
    Ascending,
    /// From the upper bound down.
    Descending,
}

/// What to scan: `from` inclusive to `to` exclusive, at most `rows_max` rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The space.
    pub space: Space,
    /// Lower bound, inclusive.
    pub from: Vec<u8>,
    /// Upper bound, exclusive.
    pub to: Vec<u8>,
    /// Which way.
    pub direction: Direction,
    /// Stop after this many rows.
    pub rows_max: usize,
}

/// A row's key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EngineError {
    /// The disk has no room; nothing was written. The node turns read-only and hands leadership over.
    #[error("the disk of {path} is full: {detail}")]
    DiskFull {
        /// The folder.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// A write or a sync failed: what is durable is not known, so the node must stop. Never retried.
    #[error("cannot write {path}: {detail}")]
    WriteFailed {
        /// The folder.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// Stored bytes are not what was written: the node refuses to serve them.
    #[error("{path} is corrupt: {detail}")]
    Corrupt {
        /// The file or folder.
        path: String,
        /// Which checksum, which block.
        detail: String,
    },
    /// A read failed.
    #[error("cannot read {path}: {detail}")]
    ReadFailed {
        /// The folder.
        path: String,
        /// The system's words.
        detail: String,
    },
}

/// One ordered store. Cheap to share behind an `Arc`; all methods may be called at once from many tasks.
pub trait Engine: Send + Sync + 'static {
    /// The row's value.
    ///
    /// # Errors
    /// `ReadFailed` or `Corrupt`.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The values of many rows, in the order of the keys.
    ///
    /// # Errors
    /// `ReadFailed` or `Corrupt`.
    fn multi_get(
        &self,
        space: Space,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError>;

    /// Rows of a range.
    ///
    /// # Errors
    /// `ReadFailed` or `Corrupt`.
    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, EngineError>;

    /// Writes and syncs: when the future resolves, the batch and all before it are durable.
    /// Batches take effect in the order of the calls, whether or not the futures are awaited;
    /// batches that wait together share one sync.
    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<(), EngineError>> + Send + 'static;

    /// Writes without durability: readers see it at once; it is durable after the next `flush`
    /// (or `checkpoint`), and whole: a crash keeps a prefix of the batches.
    ///
    /// # Errors
    /// `DiskFull` or `WriteFailed`.
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;

    /// Makes everything applied so far durable.
    fn flush(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static;
}

/// What an engine is for; it tunes itself to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The Raft log: `commit` is the rule, rows are read soon and deleted in order.
    Log,
    /// The state: `apply` is the rule, the Raft log is its write-ahead log.
    State,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Its name within the checkpoint; no path separators.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// CRC-32 (IEEE) of its contents.
    pub crc32: u32,
}

/// Where engines and checkpoints live: the data folder, or its image in memory.
///
/// Names are relative and may contain one `/`.
pub trait Disk: Clone + Send + Sync + 'static {
    /// The engine it opens.
    type Engine: Engine;

    /// Opens the engine in folder `name`, creating it when it does not exist.
    ///
    /// # Errors
    /// `Corrupt` when its files do not hold, `WriteFailed` when another process holds it.
    fn open(&self, name: &str, purpose: Purpose) -> Result<Self::Engine, EngineError>;

    /// Writes a durable, consistent copy of the engine's rows to folder `name` and lists its files.
    ///
    /// # Errors
    /// `DiskFull` or `WriteFailed`; then no folder `name` remains.
    fn checkpoint(
        &self,
        engine: &Self::Engine,
        name: &str,
    ) -> impl Future<Output = Result<Vec<CheckpointFile>, EngineError>> + Send;

    /// The folders right under folder `name`, in order; empty when it does not exist.
    ///
    /// # Errors
    /// `ReadFailed`.
    fn list(&self, name: &str) -> Result<Vec<String>, EngineError>;

    /// The files of checkpoint `name`, with checksums computed from their contents.
    ///
    /// # Errors
    /// `ReadFailed`.
    fn files(&self, name: &str) -> Result<Vec<CheckpointFile>, EngineError>;

    /// At most `bytes_max` bytes of a checkpoint's file from `offset`; empty at its end.
    ///
    /// # Errors
    /// `ReadFailed`.
    fn read(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, EngineError>;

    /// Appends to a file of folder `name`, creating both; not durable before `seal`.
    ///
    /// # Errors
    /// `DiskFull` or `WriteFailed`.
    fn append(&self, name: &str, file: &str, data: &[u8]) -> Result<(), EngineError>;

    /// Makes all files of folder `name`, and the folder, durable.
    ///
    /// # Errors
    /// `DiskFull` or `WriteFailed`.
    fn seal(&self, name: &str) -> Result<(), EngineError>;

    /// Renames a folder, atomically and durably.
    ///
    /// # Errors
    /// `WriteFailed`.
    fn rename(&self, from: &str, to: &str) -> Result<(), EngineError>;

    /// Removes a folder and what is in it; nothing happens when it does not exist.
    ///
    /// # Errors
    /// `WriteFailed`.
    fn remove(&self, name: &str) -> Result<(), EngineError>;
}

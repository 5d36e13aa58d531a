//! An engine and its disk in memory that can misbehave: for the simulator and most tests.
//!
//! Deterministic: no threads, no clock, ordered maps, one seeded stream. A batch is
//! visible when its call returns and durable when its future resolves (`commit`) or
//! at the next flush; commits waiting together become durable at one moment, in order.
//! After `crash`, engines opened before it fail every call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::{EngineError, Space};

mod damage;
mod disk;
mod durable;
mod engine;
mod files;
mod folder;
mod key;
mod rows;
#[cfg(test)]
mod tests;

pub use damage::Misdirected;
pub use durable::Stored;
pub use engine::MemoryEngine;
use folder::Folder;

/// How long a sync takes: the future resolves when the disk is done.
pub trait SyncDelay: Send + Sync {
    /// Called when a sync starts, with the disk locked: it must not call the disk itself.
    fn delay(&self) -> BoxFuture<'static, ()>;
}

/// Syncs that take no time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Immediate;

impl SyncDelay for Immediate {
    fn delay(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What a crash does with writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of them are lost.
    Lost,
    /// A prefix of them, drawn from the seeded stream, survives.
    Drawn,
    /// All of them survive, as when the process dies and the machine does not.
    Kept,
}

/// How a flipped bit in a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlipShows {
    /// Reads of the file return `Corrupt`: the disk's own checksum finds it.
    OnRead,
    /// Reads return the altered bytes; only the listed CRC-32 tells.
    ByChecksum,
}

/// How the disk misbehaves.
#[derive(Clone)]
pub struct Faults {
    /// Seeds the stream that decides what survives a crash and which row a flip hits.
    pub seed: u64,
    /// Room for rows and files, in bytes of keys, values and contents; no limit when `None`.
    pub bytes_max: Option<u64>,
    /// How long a sync takes.
    pub sync_delay: Arc<dyn SyncDelay>,
    /// This many writes succeed, the next one fails with an I/O error.
    pub fail_write_in: Option<u64>,
    /// This many syncs succeed, the next one fails with an I/O error.
    pub fail_sync_in: Option<u64>,
    /// What a crash does with unsynced writes.
    pub unsynced: Unsynced,
}

impl Faults {
    /// A disk that works and keeps a drawn prefix of unsynced writes over a crash.
    #[must_use]
    pub fn none(seed: u64) -> Self {
        Self {
            seed,
            bytes_max: None,
            sync_delay: Arc::new(Immediate),
            fail_write_in: None,
            fail_sync_in: None,
            unsynced: Unsynced::Drawn,
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("seed", &self.seed)
            .field("bytes_max", &self.bytes_max)
            .field("fail_write_in", &self.fail_write_in)
            .field("fail_sync_in", &self.fail_sync_in)
            .field("unsynced", &self.unsynced)
            .finish_non_exhaustive()
    }
}

/// One machine's disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<State>>);

/// What the disk holds.
struct State {
    faults: Faults,
    draws: u64,
    /// Counts crashes; an engine of an earlier life is dead.
    life: u64,
    folders: BTreeMap<String, Folder>,
    /// The next record of this folder and space goes astray.
    misdirect: Option<(String, Space)>,
    misdirected: Option<Misdirected>,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryDisk")
            .field("faults", &state.faults)
            .field("life", &state.life)
            .field("folders", &state.folders.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new(Faults::none(0))
    }
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(State {
            draws: faults.seed,
            faults,
            life: 0,
            folders: BTreeMap::new(),
            misdirect: None,
            misdirected: None,
        })))
    }

    /// Power loss: unsynced writes go as `Unsynced` says, always a suffix of what was
    /// written to each engine and file. Engines opened before fail from now on, their
    /// waiting commits too; open them again. A failure or a full queue is forgotten.
    pub fn crash(&self) {
        let mut state = self.state();
        state.life += 1;
        let mut folders = std::mem::take(&mut state.folders);
        for folder in folders.values_mut() {
            folder.crash(|count| state.survivors(count));
        }
        folders.retain(|_, folder| !folder.is_empty());
        state.folders = folders;
    }

    /// Changes how long syncs take; a sync under way keeps its time.
    pub fn set_sync_delay(&self, sync_delay: Arc<dyn SyncDelay>) {
        self.state().faults.sync_delay = sync_delay;
    }

    /// Changes the room for rows and files; below what is used, only removals succeed.
    pub fn set_bytes_max(&self, bytes_max: Option<u64>) {
        self.state().faults.bytes_max = bytes_max;
    }

    /// Lets `successes` more writes succeed and fails the next one, once. An engine whose
    /// write failed fails every later write until it is opened again after a crash.
    pub fn fail_write_in(&self, successes: u64) {
        self.state().faults.fail_write_in = Some(successes);
    }

    /// Lets `successes` more syncs succeed and fails the next one, once, as `fail_write_in`.
    pub fn fail_sync_in(&self, successes: u64) {
        self.state().faults.fail_sync_in = Some(successes);
    }

    /// Changes what a crash does with unsynced writes.
    pub fn set_unsynced(&self, unsynced: Unsynced) {
        self.state().faults.unsynced = unsynced;
    }

    /// Bytes of rows and files in use.
    #[must_use]
    pub fn bytes_used(&self) -> u64 {
        self.state().bytes_used()
    }

    /// Turns over bit `bit` (modulo its length) of a row's value, or spoils the checksum of an
    /// empty one. Reads of the row then return `Corrupt`. `false` when there is no such row.
    #[must_use]
    pub fn flip_row(&self, folder: &str, space: Space, key: &[u8], bit: u64) -> bool {
        let mut state = self.state();
        let folder = state.folders.get_mut(folder);
        folder.is_some_and(|folder| folder.flip_row(space, key, bit))
    }

    /// Flips a drawn bit of a drawn row of the space; returns its key, `None` when there are no rows.
    #[must_use]
    pub fn flip_some_row(&self, folder: &str, space: Space) -> Option<Vec<u8>> {
        let mut state = self.state();
        let (nth, bit) = (state.draw(), state.draw());
        let folder = state.folders.get_mut(folder)?;
        let key = folder.nth_key(space, nth)?;
        folder.flip_row(space, &key, bit).then_some(key)
    }

    /// Turns over bit `bit` (modulo its length) of a file; `false` when it does not exist or is empty.
    #[must_use]
    pub fn flip_file(&self, folder: &str, file: &str, bit: u64, shows: FlipShows) -> bool {
        let mut state = self.state();
        let folder = state.folders.get_mut(folder);
        folder.is_some_and(|folder| folder.flip_file(file, bit, shows))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a failed assertion of a test: the rows are still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next number of the seeded stream (splitmix64, Steele, Lea and Flood 2014).
    fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.draws ^ (self.draws >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// How many of `count` unsynced writes survive a crash.
    fn survivors(&mut self, count: usize) -> usize {
        match self.faults.unsynced {
            Unsynced::Lost => 0,
            Unsynced::Kept => count,
            Unsynced::Drawn => {
                let drawn = self.draw() % (count as u64 + 1);
                usize::try_from(drawn).unwrap_or(count)
            }
        }
    }

    fn bytes_used(&self) -> u64 {
        self.folders.values().map(Folder::bytes).sum()
    }

    /// Whether `bytes` more fit, in the words of the error.
    fn room_for(&self, folder: &str, bytes: u64) -> Result<(), EngineError> {
        let Some(bytes_max) = self.faults.bytes_max.filter(|_| bytes > 0) else {
            return Ok(());
        };
        let used = self.bytes_used();
        if used.saturating_add(bytes) <= bytes_max {
            return Ok(());
        }
        Err(EngineError::DiskFull {
            path: folder.to_owned(),
            detail: format!("{used} of {bytes_max} bytes are used, {bytes} more asked for"),
        })
    }

    /// One write to the device; fails when its turn has come.
    fn write(&mut self, folder: &str) -> Result<(), EngineError> {
        count_down(
            &mut self.faults.fail_write_in,
            folder,
            "write: input/output error",
        )
    }

    /// One sync of the device; fails when its turn has come.
    fn sync(&mut self, folder: &str) -> Result<(), EngineError> {
        count_down(
            &mut self.faults.fail_sync_in,
            folder,
            "fsync: input/output error",
        )
    }
}

fn count_down(left: &mut Option<u64>, folder: &str, detail: &str) -> Result<(), EngineError> {
    match *left {
        None => Ok(()),
        Some(0) => {
            *left = None;
            Err(write_failed(folder, detail))
        }
        Some(more) => {
            *left = Some(more - 1);
            Ok(())
        }
    }
}

fn write_failed(folder: &str, detail: impl fmt::Display) -> EngineError {
    EngineError::WriteFailed {
        path: folder.to_owned(),
        detail: detail.to_string(),
    }
}

fn read_failed(folder: &str, detail: impl fmt::Display) -> EngineError {
    EngineError::ReadFailed {
        path: folder.to_owned(),
        detail: detail.to_string(),
    }
}

fn corrupt(path: impl Into<String>, detail: impl fmt::Display) -> EngineError {
    EngineError::Corrupt {
        path: path.into(),
        detail: detail.to_string(),
    }
}

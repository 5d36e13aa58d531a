//! One database: opened only when all that was synced is there, written by one rule.
//!
//! After a failed write or sync nothing more is written: what is durable is not known.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, FlushOptions, WriteBatch};
use stellara_raft_store::engine::room::Refusals;
use stellara_raft_store::engine::{Batch, EngineError, Purpose, Space, Write};

use crate::error::{Doing, corrupt, from_rocks, from_write, read_failed, write_failed};
use crate::wal::Wal;
use crate::watermark::{self, Watermark};
use crate::{files, options, wal};

/// Two engines and other programs may write meanwhile: little of the reserve is spent unseen.
const SPARE_PART: u64 = 32;

pub(crate) struct Store {
    pub db: DB,
    pub folder: PathBuf,
    pub purpose: Purpose,
    pub refusals: Arc<Refusals>,
    reserve_bytes: u64,
    /// Bytes that may be written before the disk is looked at again.
    spare_bytes: AtomicU64,
    failed: OnceLock<EngineError>,
    watermark: Mutex<Watermark>,
}

impl Store {
    /// Opens the database in `folder`, which exists.
    ///
    /// # Errors
    /// `Corrupt` when files are missing, do not hold, or end before what was synced.
    pub fn open(folder: &Path, purpose: Purpose, reserve_bytes: u64) -> Result<Self, EngineError> {
        refuse_headless(folder)?;
        let logs = wal::verify(folder)?;
        let mut watermark = Watermark::open(folder)?;
        let logged = logs.iter().map(|log| log.last_sequence).max().unwrap_or(0);
        if logged > watermark.sequence() {
            // Noted before the replay: it may remove logs that it did not replay.
            watermark.record(logged)?;
            watermark.sync()?;
        }
        let families = options::families(purpose);
        let database = options::database(purpose, files::background_writes(folder));
        let db = DB::open_cf_descriptors(&database, folder, families)
            .map_err(|error| from_rocks(&error, folder, Doing::Opening))?;
        let recovered = db.latest_sequence_number();
        if recovered < watermark.sequence() {
            let detail = format!(
                "rows end at sequence number {recovered}, but {} was synced",
                watermark.sequence()
            );
            return Err(corrupt(
                ends_early(&logs, recovered).unwrap_or(folder),
                detail,
            ));
        }
        Ok(Self {
            db,
            folder: folder.to_owned(),
            purpose,
            refusals: Arc::default(),
            reserve_bytes,
            spare_bytes: AtomicU64::new(0),
            failed: OnceLock::new(),
            watermark: Mutex::new(watermark),
        })
    }

    /// The column family of a space.
    pub fn family(&self, space: Space) -> &ColumnFamily {
        let family = self.db.cf_handle(space.name());
        family.expect("all spaces were opened")
    }

    pub fn read_error(&self, error: &rocksdb::Error) -> EngineError {
        from_rocks(error, &self.folder, Doing::Reading)
    }

    /// The error of every write after a failure.
    pub fn writable(&self) -> Result<(), EngineError> {
        match self.failed.get() {
            None => Ok(()),
            Some(failed) => Err(write_failed(
                &self.folder,
                format_args!("nothing is written after a failure: {failed}"),
            )),
        }
    }

    /// Whether `bytes` more, after `pending` that were let through and not written yet, leave the
    /// reserve alone. The reserve is for what the database writes by itself: without it, a full disk
    /// would show only in the middle of a write.
    ///
    /// The system is asked again after every [`SPARE_PART`] of the reserve.
    pub fn room_for(&self, pending: u64, bytes: u64) -> Result<(), EngineError> {
        if bytes == 0 || self.take_spare(bytes) {
            return Ok(());
        }
        let left = files::room_for(&self.folder, pending + bytes, self.reserve_bytes)?;
        let spare = left.min(self.reserve_bytes / SPARE_PART);
        self.spare_bytes.store(spare, Ordering::Relaxed);
        Ok(())
    }

    fn take_spare(&self, bytes: u64) -> bool {
        let take = |spare: u64| spare.checked_sub(bytes);
        self.spare_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Writes batches as one; durable on return when there is a log.
    pub fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>) -> Result<(), EngineError> {
        self.writable()?;
        let mut merged = WriteBatch::default();
        for write in batches.flat_map(|batch| &batch.writes) {
            self.add(&mut merged, write);
        }
        if merged.is_empty() {
            return Ok(());
        }
        let written = self.db.write_opt(merged, &options::writes(self.purpose));
        match self.purpose {
            Purpose::State => written.map_err(|error| self.failed_write(&error)),
            Purpose::Log => {
                written.map_err(|error| self.failed_write(&error))?;
                self.note(self.db.latest_sequence_number(), Watermark::record)
            }
        }
    }

    /// Makes everything written durable. Blocks for the write of all memtables of a state.
    pub fn flush(&self) -> Result<(), EngineError> {
        self.writable()?;
        match self.purpose {
            // Each write was synced.
            Purpose::Log => Ok(()),
            Purpose::State => {
                let written = self.db.latest_sequence_number();
                let families: Vec<_> = Space::ALL.map(|space| self.family(space)).into();
                let mut wait = FlushOptions::default();
                wait.set_wait(true);
                let flushed = self.db.flush_cfs_opt(&families, &wait);
                flushed.map_err(|error| self.failed_write(&error))?;
                self.note(written, record_and_sync)
            }
        }
    }

    /// Writes a durable copy of all rows to the new folder `target`.
    ///
    /// # Errors
    /// `DiskFull`, `WriteFailed`; nothing remains then.
    pub fn checkpoint(
        &self,
        target: &Path,
    ) -> Result<Vec<stellara_raft_store::engine::CheckpointFile>, EngineError> {
        self.writable()?;
        if target.exists() {
            return Err(write_failed(target, "the folder exists already"));
        }
        self.flush()?;
        let partial = files::hidden(target, "partial");
        let copied = self.copy_to(&partial).and_then(|listed| {
            files::rename(&partial, target)?;
            Ok(listed)
        });
        if copied.is_err() {
            // The copy's error is the one to report; what cannot be removed now is swept at start.
            let _ = fs::remove_dir_all(&partial);
        }
        copied
    }

    fn copy_to(
        &self,
        partial: &Path,
    ) -> Result<Vec<stellara_raft_store::engine::CheckpointFile>, EngineError> {
        if partial.exists() {
            fs::remove_dir_all(partial).map_err(|error| from_write(&error, partial))?;
        }
        if let Some(parent) = partial.parent() {
            fs::create_dir_all(parent).map_err(|error| from_write(&error, parent))?;
        }
        let checkpoint = Checkpoint::new(&self.db);
        let copied = checkpoint.and_then(|checkpoint| checkpoint.create_checkpoint(partial));
        copied.map_err(|error| from_rocks(&error, &self.folder, Doing::Writing))?;
        files::sync_all(partial)?;
        files::describe(partial)
    }

    fn add(&self, merged: &mut WriteBatch, write: &Write) {
        match write {
            Write::Put(space, key, value) => merged.put_cf(self.family(*space), key, value),
            Write::Delete(space, key) => merged.delete_cf(self.family(*space), key),
            // An empty range is refused by RocksDB, and nothing to us.
            Write::DeleteRange(_, from, to) if from >= to => {}
            Write::DeleteRange(space, from, to) => {
                merged.delete_range_cf(self.family(*space), from, to);
            }
        }
    }

    /// Translates a write's error and remembers it, if nothing may be written after it.
    fn failed_write(&self, error: &rocksdb::Error) -> EngineError {
        let error = from_rocks(error, &self.folder, Doing::Writing);
        let EngineError::DiskFull { detail, .. } = &error else {
            return self.fail(error);
        };
        match self.purpose {
            // Rows are in memory; RocksDB flushes them when there is room again.
            Purpose::State => error,
            Purpose::Log if detail.contains("sync") => {
                self.fail(write_failed(&self.folder, detail))
            }
            Purpose::Log => {
                // Part of the record may be in the file: writing behind it would look like corruption.
                let detail = format_args!("no room in the middle of a write: {detail}");
                self.fail(write_failed(&self.folder, detail));
                error
            }
        }
    }

    fn fail(&self, error: EngineError) -> EngineError {
        tracing::error!(%error, "the engine stops writing");
        // A second failure adds nothing to the first.
        let _ = self.failed.set(error.clone());
        error
    }

    fn note(
        &self,
        sequence: u64,
        how: impl FnOnce(&mut Watermark, u64) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut watermark = self
            .watermark
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if sequence <= watermark.sequence() {
            return Ok(());
        }
        how(&mut watermark, sequence).map_err(|error| self.fail(error))
    }
}

fn record_and_sync(watermark: &mut Watermark, sequence: u64) -> Result<(), EngineError> {
    watermark.record(sequence)?;
    watermark.sync()
}

/// The log that replay did not get past, or else the newest.
fn ends_early(logs: &[Wal], recovered: u64) -> Option<&Path> {
    let stopped = logs.iter().find(|log| log.last_sequence == recovered);
    stopped.or(logs.last()).map(|log| log.path.as_path())
}

/// Without `CURRENT`, `RocksDB` would start anew and delete what it does not know.
fn refuse_headless(folder: &Path) -> Result<(), EngineError> {
    let current = folder.join("CURRENT");
    if current.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(|error| read_failed(folder, error))? {
        let name = entry
            .map_err(|error| read_failed(folder, error))?
            .file_name();
        let name = name.to_string_lossy();
        let ours = ["LOCK", "LOG", watermark::NAME].contains(&name.as_ref());
        // A first start that was cut short leaves these, and nothing that was acknowledged.
        let unborn = ["IDENTITY", "MANIFEST-000001", "OPTIONS-", "LOG.old"];
        if !ours
            && !unborn.iter().any(|prefix| name.starts_with(prefix))
            && !name.ends_with(".dbtmp")
        {
            return Err(corrupt(&current, format_args!("missing beside {name}")));
        }
    }
    let synced = Watermark::open(folder)?.sequence();
    if synced > 0 {
        return Err(corrupt(
            &current,
            format_args!("missing, though {synced} was synced"),
        ));
    }
    Ok(())
}

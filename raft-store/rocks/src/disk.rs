//! The data folder: locked by one process, its engines and checkpoints by name.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use stellara_raft_store::engine::names::{check_file, check_folder};
use stellara_raft_store::engine::{CheckpointFile, Disk, EngineError, Purpose};

use crate::engine::RocksEngine;
use crate::error::{from_write, read_failed, write_failed};
use crate::files;
use crate::store::Store;

const LOCK: &str = "LOCK";
const HELD: &str = "another process holds it";

/// What the operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksConfig {
    /// Free space, in bytes, that writes of callers leave to flushes and compactions:
    /// below it they are refused with `DiskFull`, while removals go on.
    pub reserve_bytes: u64,
}

impl Default for RocksConfig {
    fn default() -> Self {
        // Two memtables of the log, all of the state's, and their compactions.
        let reserve_bytes = 256 * 1024 * 1024;
        Self { reserve_bytes }
    }
}

/// A data folder. Clones are the same folder; it is free again when all of them and their engines are gone.
#[derive(Clone, Debug)]
pub struct RocksDisk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    config: RocksConfig,
    /// Engine folders in use by this process.
    held: Mutex<BTreeSet<PathBuf>>,
    /// Locked as long as it is open; the system lets go when the process dies.
    _lock: File,
}

/// A folder in use, until dropped.
pub(crate) struct Held {
    disk: Arc<Inner>,
    folder: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self
            .disk
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.folder);
    }
}

impl RocksDisk {
    /// Opens `data_dir`, creating it when it does not exist, and holds it against other processes.
    ///
    /// # Errors
    /// `WriteFailed` when another process holds it, `DiskFull`, `ReadFailed`.
    pub fn open(data_dir: impl Into<PathBuf>, config: RocksConfig) -> Result<Self, EngineError> {
        let root = std::path::absolute(data_dir.into())
            .map_err(|error| write_failed(Path::new("data_dir"), error))?;
        files::make_folder(&root)?;
        let path = root.join(LOCK);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let lock = options
            .open(&path)
            .map_err(|error| from_write(&error, &path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => write_failed(&root, HELD),
            TryLockError::Error(error) => from_write(&error, &path),
        })?;
        files::sweep(&root)?;
        let entries = files::list(&root).map_err(|error| read_failed(&root, error))?;
        for folder in entries.iter().filter(|path| path.is_dir()) {
            files::sweep(folder)?;
        }
        Ok(Self(Arc::new(Inner {
            root,
            config,
            held: Mutex::default(),
            _lock: lock,
        })))
    }

    fn to_write(&self, name: &str) -> Result<PathBuf, EngineError> {
        let checked = check_folder(name);
        checked.map_err(|error| write_failed(&self.0.root, error))?;
        Ok(self.0.root.join(name))
    }

    fn to_read(&self, name: &str) -> Result<PathBuf, EngineError> {
        let checked = check_folder(name);
        checked.map_err(|error| read_failed(&self.0.root, error))?;
        Ok(self.0.root.join(name))
    }

    fn hold(&self, folder: &Path) -> Result<Held, EngineError> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.insert(folder.to_owned()) {
            return Err(write_failed(folder, HELD));
        }
        Ok(Held {
            disk: Arc::clone(&self.0),
            folder: folder.to_owned(),
        })
    }

    /// Runs `change` while no engine is, or gets, open in `folder` or below it.
    fn unheld(
        &self,
        folder: &Path,
        change: impl FnOnce() -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.iter().find(|held| held.starts_with(folder)) {
            return Err(write_failed(held, "an engine holds it"));
        }
        change()
    }
}

impl Disk for RocksDisk {
    type Engine = RocksEngine;

    fn open(&self, name: &str, purpose: Purpose) -> Result<RocksEngine, EngineError> {
        let folder = self.to_write(name)?;
        let held = self.hold(&folder)?;
        files::make_folder(&folder)?;
        let store = Store::open(&folder, purpose, self.0.config.reserve_bytes)?;
        RocksEngine::new(store, held)
    }

    async fn checkpoint(
        &self,
        engine: &RocksEngine,
        name: &str,
    ) -> Result<Vec<CheckpointFile>, EngineError> {
        engine.checkpoint(self.to_write(name)?).await
    }

    fn list(&self, name: &str) -> Result<Vec<String>, EngineError> {
        let folder = self.to_read(name)?;
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let paths = files::list(&folder).map_err(|error| read_failed(&folder, error))?;
        let folders = paths
            .iter()
            .filter(|path| path.is_dir() && !files::is_hidden(path));
        let names = folders.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn files(&self, name: &str) -> Result<Vec<CheckpointFile>, EngineError> {
        files::describe(&self.to_read(name)?)
    }

    fn read(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, EngineError> {
        let folder = self.to_read(name)?;
        check_file(file).map_err(|error| read_failed(&folder, error))?;
        let path = folder.join(file);
        let failed = |error: std::io::Error| read_failed(&path, error);
        let opened = File::open(&path).map_err(failed)?;
        // The caller's limit is not trusted with memory: the file's length bounds it too.
        let left = opened
            .metadata()
            .map_err(failed)?
            .len()
            .saturating_sub(offset);
        let mut bytes = vec![0; bytes_max.min(usize::try_from(left).unwrap_or(usize::MAX))];
        opened.read_exact_at(&mut bytes, offset).map_err(failed)?;
        Ok(bytes)
    }

    fn append(&self, name: &str, file: &str, data: &[u8]) -> Result<(), EngineError> {
        let folder = self.to_write(name)?;
        check_file(file).map_err(|error| write_failed(&folder, error))?;
        files::room_for(&self.0.root, data.len() as u64, self.0.config.reserve_bytes)?;
        self.unheld(&folder, || {
            files::make_folder(&folder)?;
            files::append(&folder.join(file), data)
        })
    }

    fn seal(&self, name: &str) -> Result<(), EngineError> {
        files::sync_all(&self.to_write(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let (from, to) = (self.to_write(from)?, self.to_write(to)?);
        self.unheld(&from, || files::rename(&from, &to))
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        let folder = self.to_write(name)?;
        self.unheld(&folder, || files::remove(&folder))
    }
}

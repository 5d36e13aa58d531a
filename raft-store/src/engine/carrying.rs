//! A disk for openraft's storage suite, which hands one store's snapshot to another without a transport.
//!
//! Renaming a folder that is on another disk of the family brings its files over first, as the transport would.

use std::sync::{Arc, Mutex};

use super::{CheckpointFile, Disk, EngineError, Purpose};

/// Bytes brought over at a time.
const CHUNK_BYTES: usize = 64 << 10;
const INCOMING: &str = "incoming/carried";

/// One disk of a family.
#[derive(Clone)]
pub struct Carrying<D> {
    own: D,
    family: Arc<Mutex<Vec<D>>>,
}

impl<D: Disk> Carrying<D> {
    /// Adds a disk to a family.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn new(own: D, family: &Arc<Mutex<Vec<D>>>) -> Self {
        family.lock().expect("no holder panics").push(own.clone());
        Self {
            own,
            family: Arc::clone(family),
        }
    }

    fn has(disk: &D, folder: &str) -> bool {
        let (parent, name) = folder.split_once('/').unwrap_or(("", folder));
        disk.list(parent)
            .is_ok_and(|names| names.iter().any(|found| found == name))
    }

    fn bring(&self, folder: &str) -> Result<(), EngineError> {
        let family = self.family.lock().expect("no holder panics").clone();
        let Some(holder) = family.iter().rev().find(|disk| Self::has(disk, folder)) else {
            return Ok(());
        };
        self.own.remove(INCOMING)?;
        for file in holder.files(folder)? {
            let mut offset = 0;
            loop {
                let data = holder.read(folder, &file.name, offset, CHUNK_BYTES)?;
                if data.is_empty() && offset > 0 || file.bytes == 0 {
                    break;
                }
                self.own.append(INCOMING, &file.name, &data)?;
                offset += data.len() as u64;
            }
        }
        self.own.seal(INCOMING)
    }
}

impl<D: Disk> Disk for Carrying<D> {
    type Engine = D::Engine;

    fn open(&self, name: &str, purpose: Purpose) -> Result<Self::Engine, EngineError> {
        self.own.open(name, purpose)
    }

    async fn checkpoint(
        &self,
        engine: &Self::Engine,
        name: &str,
    ) -> Result<Vec<CheckpointFile>, EngineError> {
        self.own.checkpoint(engine, name).await
    }

    fn list(&self, name: &str) -> Result<Vec<String>, EngineError> {
        self.own.list(name)
    }

    fn files(&self, name: &str) -> Result<Vec<CheckpointFile>, EngineError> {
        self.own.files(name)
    }

    fn read(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, EngineError> {
        self.own.read(name, file, offset, bytes_max)
    }

    fn append(&self, name: &str, file: &str, data: &[u8]) -> Result<(), EngineError> {
        self.own.append(name, file, data)
    }

    fn seal(&self, name: &str) -> Result<(), EngineError> {
        self.own.seal(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        if Self::has(&self.own, from) {
            return self.own.rename(from, to);
        }
        self.bring(from)?;
        self.own.rename(INCOMING, to)
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        self.own.remove(name)
    }
}

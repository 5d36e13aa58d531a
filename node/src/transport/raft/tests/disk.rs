//! A disk in memory, for files only.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex};

use stellara_raft_store::engine::{
    Batch, CheckpointFile, Disk, Engine, EngineError, Purpose, Row, Scan, Space,
};

type Files = BTreeMap<(String, String), Vec<u8>>;

/// Folders of files.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<Files>>);

impl MemoryDisk {
    pub(super) fn put(&self, folder: &str, file: &str, data: &[u8]) -> CheckpointFile {
        let key = (folder.to_owned(), file.to_owned());
        self.0.lock().unwrap().insert(key, data.to_vec());
        CheckpointFile {
            name: file.into(),
            bytes: data.len() as u64,
            crc32: crc32fast::hash(data),
        }
    }

    pub(super) fn folder(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let files = self.0.lock().unwrap();
        let inside = files.iter().filter(|((folder, _), _)| folder == name);
        inside
            .map(|((_, file), data)| (file.clone(), data.clone()))
            .collect()
    }
}

impl Disk for MemoryDisk {
    type Engine = NoEngine;

    fn open(&self, _: &str, _: Purpose) -> Result<NoEngine, EngineError> {
        Ok(NoEngine)
    }

    async fn checkpoint(&self, _: &NoEngine, _: &str) -> Result<Vec<CheckpointFile>, EngineError> {
        Err(no_engine())
    }

    fn list(&self, name: &str) -> Result<Vec<String>, EngineError> {
        let files = self.0.lock().unwrap();
        let prefix = format!("{name}/");
        let mut found: Vec<String> = files
            .keys()
            .filter_map(|(folder, _)| folder.strip_prefix(&prefix).map(Into::into))
            .collect();
        found.dedup();
        Ok(found)
    }

    fn files(&self, name: &str) -> Result<Vec<CheckpointFile>, EngineError> {
        let files = self.folder(name).into_iter();
        Ok(files
            .map(|(name, data)| CheckpointFile {
                name,
                bytes: data.len() as u64,
                crc32: crc32fast::hash(&data),
            })
            .collect())
    }

    fn read(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, EngineError> {
        let files = self.0.lock().unwrap();
        let data =
            files
                .get(&(name.into(), file.into()))
                .ok_or_else(|| EngineError::ReadFailed {
                    path: format!("{name}/{file}"),
                    detail: "no such file".into(),
                })?;
        let from = data.len().min(usize::try_from(offset).unwrap());
        let to = data.len().min(from + bytes_max);
        Ok(data[from..to].to_vec())
    }

    fn append(&self, name: &str, file: &str, data: &[u8]) -> Result<(), EngineError> {
        let mut files = self.0.lock().unwrap();
        let key = (name.to_owned(), file.to_owned());
        files.entry(key).or_default().extend_from_slice(data);
        Ok(())
    }

    fn seal(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let mut files = self.0.lock().unwrap();
        let moved = std::mem::take(&mut *files).into_iter();
        *files = moved
            .map(|((folder, file), data)| {
                let folder = if folder == from { to.into() } else { folder };
                ((folder, file), data)
            })
            .collect();
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        self.0
            .lock()
            .unwrap()
            .retain(|(folder, _), _| folder != name);
        Ok(())
    }
}

fn no_engine() -> EngineError {
    EngineError::ReadFailed {
        path: "memory".into(),
        detail: "this disk holds files only".into(),
    }
}

/// The engine that this disk does not have.
#[derive(Debug)]
pub(super) struct NoEngine;

impl Engine for NoEngine {
    fn get(&self, _: Space, _: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Err(no_engine())
    }

    fn multi_get(&self, _: Space, _: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        Err(no_engine())
    }

    fn scan(&self, _: &Scan) -> Result<Vec<Row>, EngineError> {
        Err(no_engine())
    }

    fn commit(&self, _: Batch) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        ready(Err(no_engine()))
    }

    fn apply(&self, _: Batch) -> Result<(), EngineError> {
        Err(no_engine())
    }

    fn flush(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        ready(Err(no_engine()))
    }
}

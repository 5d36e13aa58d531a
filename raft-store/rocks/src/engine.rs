//! The engine over one database.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;

use futures_channel::oneshot;
use stellara_raft_store::engine::room::put_bytes;
use stellara_raft_store::engine::{
    Batch, CheckpointFile, Direction, Engine, EngineError, Purpose, Row, Scan, Space,
};

use crate::disk::Held;
use crate::error::write_failed;
use crate::options;
use crate::store::Store;
use crate::writer::{Job, Outcome, Reply, Writer};

/// An engine of a `RocksDisk`. Dropping it writes what is queued and closes it; that blocks.
///
/// A `Log` engine's rows show when `commit` resolves or shortly before; its `apply` is
/// synced too. A `State` engine's `commit` shows at once and flushes.
pub struct RocksEngine {
    // Fields are dropped in this order: thread, database, then the folder is free.
    writer: Writer,
    store: Arc<Store>,
    _held: Held,
}

/// What waits for the writer thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Batches not yet durable.
    pub batches: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl RocksEngine {
    pub(crate) fn new(store: Store, held: Held) -> Result<Self, EngineError> {
        let store = Arc::new(store);
        Ok(Self {
            writer: Writer::start(&store)?,
            store,
            _held: held,
        })
    }

    /// Commits that wait for the disk: what admission control bounds.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting {
            batches: self.writer.queue.batches.load(Ordering::Relaxed),
            bytes: self.writer.queue.bytes.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn checkpoint(
        &self,
        target: PathBuf,
    ) -> impl Future<Output = Result<Vec<CheckpointFile>, EngineError>> + Send + 'static {
        let (reply, done) = oneshot::channel();
        self.writer.send(Job::Checkpoint { target, reply });
        let folder = self.store.folder.clone();
        async move {
            let ended = |_| Err(write_failed(&folder, "the writer thread ended"));
            done.await.unwrap_or_else(ended)
        }
    }

    fn write(&self, batch: Batch, reply: Reply) {
        let ticket = self.store.refusals.issue();
        self.writer.send(Job::Write {
            batch,
            ticket,
            reply,
        });
    }

    /// Writes to memory only; what is there is flushed later.
    fn write_unlogged(&self, batch: &Batch) -> Result<(), EngineError> {
        self.store.room_for(0, put_bytes(batch))?;
        self.store.write(std::iter::once(batch))
    }
}

impl Engine for RocksEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let family = self.store.family(space);
        let value = self.store.db.get_cf_opt(family, key, &options::reads());
        value.map_err(|error| self.store.read_error(&error))
    }

    fn multi_get(
        &self,
        space: Space,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        // Sorted keys let RocksDB visit each block and filter once.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|at| &keys[*at]);
        let sorted = order.iter().map(|at| &keys[*at]);
        let family = self.store.family(space);
        let found = self
            .store
            .db
            .batched_multi_get_cf_opt(family, sorted, true, &options::reads());
        let mut values = vec![None; keys.len()];
        for (at, value) in order.into_iter().zip(found) {
            let value = value.map_err(|error| self.store.read_error(&error))?;
            values[at] = value.map(|value| value.to_vec());
        }
        Ok(values)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, EngineError> {
        if scan.from >= scan.to {
            return Ok(Vec::new());
        }
        let mut reads = options::reads();
        reads.set_iterate_lower_bound(scan.from.clone());
        reads.set_iterate_upper_bound(scan.to.clone());
        let family = self.store.family(scan.space);
        let mut rows = Vec::new();
        let mut at = self.store.db.raw_iterator_cf_opt(family, reads);
        match scan.direction {
            Direction::Ascending => at.seek_to_first(),
            Direction::Descending => at.seek_to_last(),
        }
        while rows.len() < scan.rows_max
            && let Some((key, value)) = at.item()
        {
            rows.push((key.to_vec(), value.to_vec()));
            match scan.direction {
                Direction::Ascending => at.next(),
                Direction::Descending => at.prev(),
            }
        }
        at.status().map_err(|error| self.store.read_error(&error))?;
        Ok(rows)
    }

    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        let (reply, done) = oneshot::channel();
        let reply = Reply::Task(reply);
        let written = match self.store.purpose {
            Purpose::Log => {
                self.write(batch, reply);
                Ok(())
            }
            Purpose::State => {
                let written = self.write_unlogged(&batch);
                if written.is_ok() {
                    self.writer.send(Job::Flush { reply });
                }
                written
            }
        };
        let done = outcome(done, self.store.folder.clone());
        async move {
            written?;
            done.await
        }
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        match self.store.purpose {
            Purpose::State => self.write_unlogged(&batch),
            Purpose::Log => {
                let (reply, done) = sync_channel(1);
                self.write(batch, Reply::Thread(reply));
                let ended = |_| Err((write_failed(&self.store.folder, ENDED), None));
                let outcome = done.recv().unwrap_or_else(ended);
                outcome.map_err(|(error, _delivered)| error)
            }
        }
    }

    fn flush(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        let (reply, done) = oneshot::channel();
        let reply = Reply::Task(reply);
        self.writer.send(Job::Flush { reply });
        outcome(done, self.store.folder.clone())
    }
}

const ENDED: &str = "the writer thread ended";

async fn outcome(done: oneshot::Receiver<Outcome>, folder: PathBuf) -> Result<(), EngineError> {
    match done.await {
        Ok(outcome) => outcome.map_err(|(error, _delivered)| error),
        Err(oneshot::Canceled) => Err(write_failed(&folder, ENDED)),
    }
}

//! The engine in memory: batches, and the rounds that make them durable.

use std::future::Future;

use futures_util::FutureExt;

use super::folder::{Round, Store};
use super::rows::BadRow;
use super::{MemoryDisk, State, corrupt, read_failed, write_failed};
use crate::engine::room::{Undelivered, put_bytes};
use crate::engine::{Batch, Engine, EngineError, Row, Scan, Space};

const POWER_LOST: &str = "the disk lost power since the engine was opened";

/// An engine of a `MemoryDisk`. Dropping it closes it in order: nothing is lost by that.
pub struct MemoryEngine {
    handle: Handle,
}

/// Which store of which disk, and in which of the disk's lives.
#[derive(Clone)]
pub(super) struct Handle {
    pub disk: MemoryDisk,
    pub folder: String,
    pub life: u64,
}

/// What a commit has to wait for.
enum Progress {
    Done(Result<(), EngineError>),
    Wait(Round),
}

/// A refusal, and the mark that its caller does not know of it yet.
type Refused = (EngineError, Option<Undelivered>);

impl MemoryEngine {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn read<T>(&self, read: impl FnOnce(&Store) -> Result<T, BadRow>) -> Result<T, EngineError> {
        let Handle { disk, folder, life } = &self.handle;
        let state = disk.state();
        let store = live(&state, folder, *life).ok_or_else(|| read_failed(folder, POWER_LOST))?;
        read(store).map_err(|row| {
            let key = row.key.escape_ascii();
            let detail = format!("row checksum, space {}, key {key}", row.space.name());
            corrupt(folder, detail)
        })
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        let Handle { disk, folder, life } = &self.handle;
        if let Some(store) = live_mut(&mut disk.state(), folder, *life) {
            store.held = false;
        }
    }
}

impl Engine for MemoryEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|store| store.rows.get(space, key))
    }

    fn multi_get(
        &self,
        space: Space,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        self.read(|store| keys.iter().map(|key| store.rows.get(space, key)).collect())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, EngineError> {
        self.read(|store| store.rows.scan(scan))
    }

    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        // The batch takes its place now; the future only waits for the sync.
        let issued = self.handle.issue(batch);
        let handle = self.handle.clone();
        async move {
            match issued {
                Ok(number) => handle.durable(number).await,
                Err((error, undelivered)) => {
                    drop(undelivered);
                    Err(error)
                }
            }
        }
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let written = self.handle.write(batch);
        written.map(drop).map_err(|(error, _delivered)| error)
    }

    fn flush(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        let handle = self.handle.clone();
        let last = handle.want_last();
        async move { handle.durable(last?).await }
    }
}

impl Handle {
    /// Writes a batch and asks for a sync that covers it.
    fn issue(&self, batch: Batch) -> Result<u64, Refused> {
        self.write(batch)?;
        self.want_last().map_err(|error| (error, None))
    }

    /// Writes a batch and returns its number.
    fn write(&self, mut batch: Batch) -> Result<u64, Refused> {
        let mut state = self.disk.state();
        let bytes = put_bytes(&batch);
        let room = state.room_for(&self.folder, bytes);
        let store = self.writable(&mut state).map_err(|error| (error, None))?;
        let ticket = store.refusals.issue();
        if bytes > 0 && !store.refusals.admits(ticket) {
            let error = EngineError::DiskFull {
                path: self.folder.clone(),
                detail: "a batch before it found no room".to_owned(),
            };
            return Err((error, Some(store.refusals.refuse())));
        }
        if let Err(error) = room {
            return Err((error, Some(store.refusals.refuse())));
        }
        let written = state.write(&self.folder);
        state.misdirect(&self.folder, &mut batch);
        let store = self.writable(&mut state).map_err(|error| (error, None))?;
        if let Err(error) = written {
            store.failed = Some(error.clone());
            return Err((error, None));
        }
        let number = store.rows.apply(batch);
        if let Some(folder) = state.folders.get_mut(&self.folder) {
            // They are no longer what the rows are.
            folder.files.clear();
        }
        Ok(number)
    }

    /// Asks for everything written so far to become durable; returns the last batch's number.
    pub fn want_last(&self) -> Result<u64, EngineError> {
        let mut state = self.disk.state();
        let sync_delay = state.faults.sync_delay.clone();
        let store = self.writable(&mut state)?;
        store.wanted = store.rows.last();
        start_round(store, &*sync_delay);
        Ok(store.wanted)
    }

    /// Resolves when batch `number` is durable.
    pub async fn durable(&self, number: u64) -> Result<(), EngineError> {
        loop {
            match self.progress(number) {
                Progress::Done(result) => return result,
                Progress::Wait(round) => {
                    round.delay.clone().await;
                    self.finish(&round);
                }
            }
        }
    }

    fn progress(&self, number: u64) -> Progress {
        let mut state = self.disk.state();
        let sync_delay = state.faults.sync_delay.clone();
        let Some(store) = live_mut(&mut state, &self.folder, self.life) else {
            return Progress::Done(Err(write_failed(&self.folder, POWER_LOST)));
        };
        if store.rows.durable() >= number {
            return Progress::Done(Ok(()));
        }
        if let Some(failed) = &store.failed {
            return Progress::Done(Err(failed.clone()));
        }
        store.wanted = store.wanted.max(number);
        start_round(store, &*sync_delay);
        match &store.round {
            Some(round) => Progress::Wait(round.clone()),
            None => Progress::Done(Ok(())),
        }
    }

    /// Ends the round, unless another waiter of it did already, and starts the next if one is wanted.
    fn finish(&self, round: &Round) {
        let mut state = self.disk.state();
        let sync_delay = state.faults.sync_delay.clone();
        let current = live_mut(&mut state, &self.folder, self.life).and_then(|store| {
            store
                .round
                .take_if(|current| current.number == round.number)
        });
        if current.is_none() {
            return;
        }
        let synced = state.sync(&self.folder);
        let Some(store) = live_mut(&mut state, &self.folder, self.life) else {
            return;
        };
        match synced {
            Ok(()) => {
                store.rows.settle(round.covers);
                start_round(store, &*sync_delay);
            }
            Err(error) => store.failed = Some(error),
        }
    }

    fn writable<'a>(&self, state: &'a mut State) -> Result<&'a mut Store, EngineError> {
        let store = live_mut(state, &self.folder, self.life)
            .ok_or_else(|| write_failed(&self.folder, POWER_LOST))?;
        match &store.failed {
            Some(failed) => Err(write_failed(
                &self.folder,
                format_args!("nothing is written after a failure: {failed}"),
            )),
            None => Ok(store),
        }
    }
}

fn start_round(store: &mut Store, sync_delay: &dyn super::SyncDelay) {
    if store.round.is_some() || store.wanted <= store.rows.durable() {
        return;
    }
    store.rounds += 1;
    store.round = Some(Round {
        number: store.rounds,
        covers: store.rows.last(),
        delay: sync_delay.delay().shared(),
    });
}

fn live<'a>(state: &'a State, folder: &str, life: u64) -> Option<&'a Store> {
    let folder = state.folders.get(folder).filter(|_| state.life == life)?;
    folder.store.as_ref()
}

pub(super) fn live_mut<'a>(state: &'a mut State, folder: &str, life: u64) -> Option<&'a mut Store> {
    if state.life != life {
        return None;
    }
    state.folders.get_mut(folder)?.store.as_mut()
}

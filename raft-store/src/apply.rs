//! The state: applies committed entries through the machine, and swaps in snapshots.
//!
//! One writer: an entry's changes, its record and the applied index land in one
//! batch before anyone hears the reply. Readers use `view`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, RwLock};

use futures_util::{Stream, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::SnapshotOf;
use openraft::{EntryPayload, OptionalSend};
use openraft_rt::AsyncRuntime;
use openraft_rt::watch::{Watch, WatchSender};
use stellara_machine::command::Entry as MachineEntry;
use stellara_machine::decision::Outcome;
use stellara_machine::ids::{Hash, Index};
use stellara_machine::rows::{RowRequest, Rows, prefetch};
use stellara_machine::state::State;
use stellara_machine::step::step;

use crate::codec;
use crate::engine::{Batch, Disk, Engine, EngineError, Space};
use crate::error::to_io;
use crate::rows::{self, Applied};
use crate::snapshot::Snapshot;
use crate::types::{
    EncodedEntry, Entry, EntryReplies, LogId, SnapshotMeta, StoredMembership, Types,
};
use crate::view::View;

mod generation;

/// Digests of the newest entries that are kept for comparison between replicas.
const DIGESTS_MAX: usize = 256;

/// The state of one node, as openraft drives it. Clones share it.
pub struct StateStore<R: AsyncRuntime, D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
    applied: Arc<AppliedSignal<R>>,
}

impl<R: AsyncRuntime, D: Disk> Clone for StateStore<R, D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            applied: Arc::clone(&self.applied),
        }
    }
}

/// Tells waiters how far entries are applied.
struct AppliedSignal<R: AsyncRuntime> {
    tx: Mutex<<R::Watch as Watch>::Sender<u64>>,
    rx: AppliedIndex<R>,
}

/// The last index applied, as a watch.
pub type AppliedIndex<R> = <<R as AsyncRuntime>::Watch as Watch>::Receiver<u64>;

impl<R: AsyncRuntime> AppliedSignal<R> {
    fn new(index: u64) -> Self {
        let (tx, rx) = R::Watch::channel(index);
        Self {
            tx: Mutex::new(tx),
            rx,
        }
    }

    fn tell(&self, index: u64) {
        self.tx
            .lock()
            .expect("no holder of the signal panics")
            .send_if_greater(index);
    }
}

pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: D,
    pub(crate) current: RwLock<Current<D::Engine>>,
    /// Held while entries are applied or a checkpoint is taken, so that rows and meta agree.
    gate: futures_util::lock::Mutex<()>,
    snapshot: Mutex<Option<(SnapshotMeta, Snapshot)>>,
}

pub(crate) struct Current<E> {
    pub(crate) engine: Arc<E>,
    pub(crate) generation: u64,
    pub(crate) state: State,
    pub(crate) applied: Applied,
    /// The state's digest by index, newest last.
    pub(crate) digests: BTreeMap<u64, Hash>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Current<D::Engine>) -> T) -> T {
        look(&self.current.read().expect("no holder of the state panics"))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Current<D::Engine>) -> T) -> T {
        change(&mut self.current.write().expect("no holder of the state panics"))
    }
}

impl<R: AsyncRuntime, D: Disk> StateStore<R, D> {
    /// Opens the newest state under the data folder, or begins an empty one.
    ///
    /// # Errors
    /// `Corrupt` names the row or file at fault; the node must not serve such a state.
    pub fn open(disk: D) -> Result<Self, EngineError> {
        let (generation, engine) = generation::open_newest(&disk)?;
        let (applied, state) = rows::load(&engine)?;
        let snapshot = generation::newest_snapshot(&disk)?;
        let mut digests = BTreeMap::new();
        digests.insert(state.index().0, state.digest());
        let signal = AppliedSignal::new(applied.last.map_or(0, |log_id| log_id.index));
        let current = Current {
            engine: Arc::new(engine),
            generation,
            state,
            applied,
            digests,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                disk,
                current: RwLock::new(current),
                gate: futures_util::lock::Mutex::new(()),
                snapshot: Mutex::new(snapshot),
            }),
            applied: Arc::new(signal),
        })
    }

    /// Forgets a kept snapshot that would not reach the log. A state that is ahead of its log, as after a failed write of
    /// the log, makes Raft begin the log after the state; an older snapshot leaves a gap before it, so Raft makes another.
    ///
    /// # Errors
    /// The disk's.
    ///
    /// # Panics
    /// Never: no holder of the snapshot panics.
    pub fn reach_log(&self, last_index: Option<u64>) -> Result<(), EngineError> {
        let applied = self.applied_index().0;
        if applied <= last_index.unwrap_or_default() {
            return Ok(());
        }
        let kept = self.shared.snapshot.lock();
        let mut kept = kept.expect("no holder of the snapshot panics");
        let reaches = kept.as_ref().is_some_and(|(meta, _)| {
            let last = meta.last_log_id;
            last.is_some_and(|log_id| log_id.index == applied)
        });
        if reaches || kept.is_none() {
            return Ok(());
        }
        tracing::warn!(
            applied,
            "the state is ahead of the log: older snapshot removed"
        );
        *kept = None;
        generation::forget_snapshots(&self.shared.disk)
    }

    /// A reader of this state.
    #[must_use]
    pub fn view(&self) -> View<D> {
        View {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Follows the last index applied.
    #[must_use]
    pub fn applied(&self) -> AppliedIndex<R> {
        self.applied.rx.clone()
    }

    fn apply_entry(&self, entry: Entry) -> Result<EntryReplies, EngineError> {
        let index = entry.index();
        match entry.payload {
            EntryPayload::Blank => self.advance(entry.log_id, None),
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                self.advance(entry.log_id, Some(stored))
            }
            EntryPayload::Normal(EncodedEntry(bytes)) => {
                let decoded = codec::entry_from_bytes(index, &bytes)
                    .map_err(|error| rows::corrupt(&format!("log entry {index}"), error))?;
                self.decide(entry.log_id, &decoded)
            }
        }
    }

    /// Raft's own entries only move the applied index.
    fn advance(
        &self,
        log_id: LogId,
        membership: Option<StoredMembership>,
    ) -> Result<EntryReplies, EngineError> {
        self.shared.write(|current| {
            let mut batch = Batch::default();
            current.applied.last = Some(log_id);
            if let Some(membership) = membership {
                current.applied = Applied::new(Some(log_id), membership);
            }
            rows::write_meta(&mut batch, &current.applied, &current.state.meta());
            current.engine.apply(batch)
        })?;
        Ok(EntryReplies::default())
    }

    /// The rows are written before the lock is let go: who sees an index sees its rows.
    fn decide(&self, log_id: LogId, entry: &MachineEntry) -> Result<EntryReplies, EngineError> {
        let engine = self.shared.read(|current| Arc::clone(&current.engine));
        let mut prefetched = read_rows(&*engine, entry)?;
        self.shared.write(|current| {
            let Outcome {
                replies,
                changes,
                record,
            } = step(&mut current.state, entry, &mut prefetched)
                .map_err(|error| rows::corrupt("machine", format_args!("{error:?}")))?;
            current.applied.last = Some(log_id);
            let digest = current.state.digest();
            current.digests.insert(log_id.index, digest);
            while current.digests.len() > DIGESTS_MAX {
                current.digests.pop_first();
            }
            let mut batch = Batch::default();
            for change in changes {
                rows::write_change(&mut batch, change);
            }
            rows::write_record(&mut batch, &record);
            rows::write_meta(&mut batch, &current.applied, &current.state.meta());
            engine.apply(batch)?;
            Ok(EntryReplies(replies))
        })
    }

    fn remember_snapshot(&self, snapshot: Option<(SnapshotMeta, Snapshot)>) {
        *self
            .shared
            .snapshot
            .lock()
            .expect("no holder of the snapshot panics") = snapshot;
    }
}

/// Reads the rows that an entry's commands need, all at once.
fn read_rows(engine: &impl Engine, entry: &MachineEntry) -> Result<Rows, EngineError> {
    let mut keys = Vec::with_capacity(entry.commands.len());
    let mut named = Vec::with_capacity(entry.commands.len());
    let mut found = Rows::default();
    for request in entry.commands.iter().filter_map(prefetch) {
        match request {
            RowRequest::Key(developer, key) => {
                keys.push(rows::idempotency_key(developer, key));
                named.push((developer, key));
            }
            RowRequest::Payment(id) => {
                let Some(body) = engine.get(Space::Payments, &rows::payment_key(id))? else {
                    continue;
                };
                let status = engine.get(Space::Rows, &rows::status_key(id))?;
                let (payment, status) = rows::decode_payment(id, &body, status.as_deref())?;
                found.payments.insert(id, payment);
                found.statuses.extend(status.map(|status| (id, status)));
            }
        }
    }
    if keys.is_empty() {
        return Ok(found);
    }
    for ((developer, key), value) in named.into_iter().zip(engine.multi_get(Space::Keys, &keys)?) {
        if let Some(bytes) = value {
            let record = rows::decode("key", &bytes, |row| codec::key_from_row(&row))?;
            found.keys.insert((developer, key.clone()), record);
        }
    }
    Ok(found)
}

impl<R: AsyncRuntime + 'static, D: Disk> RaftStateMachine<Types<R>> for StateStore<R, D> {
    type SnapshotData = Snapshot;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.shared.read(|current| current.applied.clone());
        Ok((applied.last, applied.membership().clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types<R>>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let guard = self.shared.gate.lock().await;
            let index = entry.index();
            let replies = self.apply_entry(entry).map_err(to_io)?;
            drop(guard);
            self.applied.tell(index);
            if let Some(responder) = responder {
                responder.send(replies);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Snapshot,
    ) -> Result<(), io::Error> {
        let _gate = self.shared.gate.lock().await;
        let generation = self.shared.read(|current| current.generation) + 1;
        let engine =
            generation::adopt(&self.shared.disk, &snapshot.folder, generation).map_err(to_io)?;
        let (applied, state) = rows::load(&engine).map_err(to_io)?;
        if applied.last != meta.last_log_id {
            return Err(to_io(rows::corrupt(
                "snapshot",
                format_args!(
                    "it holds {:?}, announced was {:?}",
                    applied.last, meta.last_log_id
                ),
            )));
        }
        let kept = generation::keep_snapshot(&self.shared.disk, &engine, meta)
            .await
            .map_err(to_io)?;
        let old = self.shared.write(|current| {
            current.digests.clear();
            current.digests.insert(state.index().0, state.digest());
            current.state = state;
            current.applied = applied;
            current.engine = Arc::new(engine);
            std::mem::replace(&mut current.generation, generation)
        });
        self.remember_snapshot(Some((meta.clone(), kept)));
        self.applied.tell(self.applied_index().0);
        generation::remove(&self.shared.disk, old);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types<R>, Snapshot>>, io::Error> {
        let kept = self
            .shared
            .snapshot
            .lock()
            .expect("no holder of the snapshot panics")
            .clone();
        Ok(kept.map(|(meta, snapshot)| SnapshotOf::<Types<R>, Snapshot> { meta, snapshot }))
    }
}

impl<R: AsyncRuntime + 'static, D: Disk> RaftSnapshotBuilder<Types<R>> for StateStore<R, D> {
    type SnapshotData = Snapshot;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types<R>, Snapshot>, io::Error> {
        let engine = self.shared.read(|current| Arc::clone(&current.engine));
        // Most of the state reaches the disk here, while entries are still applied.
        engine.flush().await.map_err(to_io)?;
        let _gate = self.shared.gate.lock().await;
        let (engine, applied) = self
            .shared
            .read(|current| (Arc::clone(&current.engine), current.applied.clone()));
        let meta = SnapshotMeta {
            last_log_id: applied.last,
            last_membership: applied.membership().clone(),
        };
        let snapshot = generation::keep_snapshot(&self.shared.disk, &*engine, &meta)
            .await
            .map_err(to_io)?;
        self.remember_snapshot(Some((meta.clone(), snapshot.clone())));
        Ok(SnapshotOf::<Types<R>, Snapshot> { meta, snapshot })
    }
}

impl<R: AsyncRuntime, D: Disk> StateStore<R, D> {
    /// The last index applied, 0 before the first.
    #[must_use]
    pub fn applied_index(&self) -> Index {
        self.shared
            .read(|current| Index(current.applied.last.map_or(0, |log_id| log_id.index)))
    }
}

//! A log and a state machine in memory, which take snapshots on a [`MemoryDisk`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex};

use futures_util::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder,
    RaftStateMachine,
};
use openraft::{EntryPayload, OptionalSend};
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::snapshot::Snapshot;
use stellara_raft_store::types::{
    EncodedEntry, Entry, EntryReplies, LogId, SnapshotMeta, StoredMembership, Types, Vote,
};

use super::disk::MemoryDisk;

type C = Types<TokioRuntime>;

#[derive(Default)]
struct Log {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

/// The log.
#[derive(Clone, Default)]
pub(super) struct MemoryLog(Arc<Mutex<Log>>);

impl RaftLogReader<C> for MemoryLog {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: B,
    ) -> Result<Vec<Entry>, io::Error> {
        let log = self.0.lock().unwrap();
        Ok(log.entries.range(range).map(|(_, e)| e.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.0.lock().unwrap().vote)
    }
}

impl RaftLogStorage<C> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, io::Error> {
        let log = self.0.lock().unwrap();
        let last = log.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState {
            last_purged_log_id: log.purged,
            last_log_id: last.or(log.purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.0.lock().unwrap().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let numbered = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        self.0.lock().unwrap().entries.extend(numbered);
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let keep = last.map_or(0, |last| last.index + 1);
        self.0.lock().unwrap().entries.split_off(&keep);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut log = self.0.lock().unwrap();
        log.entries = log.entries.split_off(&(upto.index + 1));
        log.purged = Some(upto);
        Ok(())
    }
}

#[derive(Clone, Default)]
struct State {
    applied: Option<LogId>,
    membership: StoredMembership,
    bytes: Vec<u8>,
    snapshot: Option<(SnapshotMeta, Snapshot)>,
    installed: u64,
}

/// The state: all payloads, one after the other.
#[derive(Clone, Default)]
pub(super) struct MemoryState {
    state: Arc<Mutex<State>>,
    disk: MemoryDisk,
}

impl MemoryState {
    pub(super) fn on(disk: MemoryDisk) -> Self {
        Self {
            state: Arc::default(),
            disk,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    /// How many snapshots of others were installed.
    pub(super) fn installed(&self) -> u64 {
        self.state.lock().unwrap().installed
    }
}

impl RaftSnapshotBuilder<C> for MemoryState {
    type SnapshotData = Snapshot;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<C, Snapshot>, io::Error> {
        let mut state = self.state.lock().unwrap();
        let meta = SnapshotMeta {
            last_log_id: state.applied,
            last_membership: state.membership.clone(),
        };
        let folder = format!("snapshots/{}", state.applied.map_or(0, |id| id.index));
        let file = self.disk.put(&folder, "bytes", &state.bytes);
        let snapshot = Snapshot {
            folder,
            files: vec![file],
        };
        state.snapshot = Some((meta.clone(), snapshot.clone()));
        Ok(openraft::Snapshot { meta, snapshot })
    }
}

impl RaftStateMachine<C> for MemoryState {
    type SnapshotData = Snapshot;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let state = self.state.lock().unwrap();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<C>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            {
                let mut state = self.state.lock().unwrap();
                state.applied = Some(entry.log_id);
                match entry.payload {
                    EntryPayload::Blank => {}
                    EntryPayload::Normal(EncodedEntry(bytes)) => state.bytes.extend(bytes),
                    EntryPayload::Membership(membership) => {
                        state.membership = StoredMembership::new(Some(entry.log_id), membership);
                    }
                }
            }
            if let Some(responder) = responder {
                responder.send(EntryReplies::default());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Snapshot,
    ) -> Result<(), io::Error> {
        let folder = format!("snapshots/from-{}", snapshot.folder.replace('/', "-"));
        self.disk
            .rename(&snapshot.folder, &folder)
            .map_err(io::Error::other)?;
        let mut state = self.state.lock().unwrap();
        state.bytes = self.disk.folder(&folder)["bytes"].clone();
        state.applied = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        let moved = Snapshot {
            folder,
            files: snapshot.files,
        };
        state.snapshot = Some((meta.clone(), moved));
        state.installed += 1;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<C, Snapshot>>, io::Error> {
        let current = self.state.lock().unwrap().snapshot.clone();
        Ok(current.map(|(meta, snapshot)| openraft::Snapshot { meta, snapshot }))
    }
}

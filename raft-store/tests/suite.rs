//! openraft's own storage suite over the in-memory engine, and what a log tells of its node's past.

use std::sync::{Arc, Mutex};

use openraft::StorageError;
use openraft::storage::RaftLogStorage as _;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft_rt::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::engine::carrying::Carrying;
use stellara_raft_store::engine::memory::MemoryDisk;
use stellara_raft_store::engine::{Disk, Purpose};
use stellara_raft_store::log::{LogStore, Past};
use stellara_raft_store::types::{Types, vote};

type T = Types<TokioRuntime>;
type Log = LogStore<TokioRuntime, <MemoryDisk as Disk>::Engine>;
type State = StateStore<TokioRuntime, Carrying<MemoryDisk>>;

#[derive(Default)]
struct Fresh {
    family: Arc<Mutex<Vec<MemoryDisk>>>,
}

impl StoreBuilder<T, Log, State, ()> for Fresh {
    async fn build(&self) -> Result<((), Log, State), StorageError<T>> {
        let disk = Carrying::new(MemoryDisk::default(), &self.family);
        let log = LogStore::open(disk.open("log", Purpose::Log).expect("a fresh disk"))
            .expect("an empty log");
        let state = StateStore::open(disk).expect("an empty state");
        Ok(((), log, state))
    }
}

#[test]
fn the_store_passes_openrafts_suite_in_memory() {
    TokioRuntime::run(Suite::<T, Log, State, Fresh, ()>::test_all(Fresh::default())).unwrap();
}

#[test]
fn a_rebuild_is_remembered_through_a_power_loss() {
    let disk = MemoryDisk::default();
    let reopened = || {
        disk.crash();
        Log::open(disk.open("log", Purpose::Log).expect("the disk opens")).expect("the log holds")
    };
    TokioRuntime::run(async {
        let log = reopened();
        assert_eq!(log.past(), Past::Blank);
        log.begin_rebuild(42).await.unwrap();
        // The note alone is no memory of anything promised.
        let mut log = reopened();
        assert_eq!(log.past(), Past::Blank);
        let floor = vote(7, 2, true);
        log.save_vote(&floor).await.unwrap();
        let kept = |rebuilt_at| Past::Kept {
            vote: Some(floor),
            last_index: None,
            rebuilt_at,
        };
        let log = reopened();
        assert_eq!(log.past(), kept(Some(42)));
        log.end_rebuild().await.unwrap();
        assert_eq!(log.past(), kept(None));
        assert_eq!(reopened().past(), kept(None));
    });
}

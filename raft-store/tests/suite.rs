//! openraft's own storage suite over the in-memory engine.

use std::sync::{Arc, Mutex};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft_rt::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::engine::carrying::Carrying;
use stellara_raft_store::engine::memory::MemoryDisk;
use stellara_raft_store::engine::{Disk, Purpose};
use stellara_raft_store::log::LogStore;
use stellara_raft_store::types::Types;

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

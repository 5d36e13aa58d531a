//! openraft's own storage suite over RocksDB.

use std::sync::{Arc, Mutex};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft_rt::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::engine::carrying::Carrying;
use stellara_raft_store::engine::{Disk, Purpose};
use stellara_raft_store::log::LogStore;
use stellara_raft_store::types::Types;
use stellara_rocks::{RocksConfig, RocksDisk};
use tempfile::TempDir;

type T = Types<TokioRuntime>;
type Log = LogStore<TokioRuntime, <RocksDisk as Disk>::Engine>;
type State = StateStore<TokioRuntime, Carrying<RocksDisk>>;

#[derive(Default)]
struct Fresh {
    family: Arc<Mutex<Vec<RocksDisk>>>,
}

impl StoreBuilder<T, Log, State, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, Log, State), StorageError<T>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = RocksDisk::open(folder.path(), RocksConfig::default()).expect("an empty folder");
        let disk = Carrying::new(disk, &self.family);
        let log = LogStore::open(disk.open("log", Purpose::Log).expect("a fresh disk"))
            .expect("an empty log");
        let state = StateStore::open(disk).expect("an empty state");
        Ok((folder, log, state))
    }
}

#[test]
fn the_store_passes_openrafts_suite_on_rocksdb() {
    TokioRuntime::run(Suite::<T, Log, State, Fresh, TempDir>::test_all(
        Fresh::default(),
    ))
    .unwrap();
}

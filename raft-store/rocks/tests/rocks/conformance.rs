//! The rules that hold for every engine.

use futures_executor::block_on;
use stellara_raft_store::engine::{EngineError, conformance};
use stellara_rocks::RocksDisk;

use crate::support::{CONFIG, disk};

#[test]
fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    block_on(conformance::check(&disk));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "only the lock file is left");
}

#[test]
fn one_holder_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = disk(folder.path());
    match RocksDisk::open(folder.path(), CONFIG).err() {
        Some(EngineError::WriteFailed { detail, .. }) => {
            assert!(detail.contains("another process holds it"), "{detail}");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    drop(first);
    disk(folder.path());
}

#[test]
fn leftovers_of_a_crash_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    for left in [".state.removed", "snapshots/.7-9.partial"] {
        std::fs::create_dir_all(folder.path().join(left)).unwrap();
        std::fs::write(folder.path().join(left).join("000009.sst"), b"half").unwrap();
    }
    disk(folder.path());
    assert!(!folder.path().join(".state.removed").exists());
    assert!(!folder.path().join("snapshots/.7-9.partial").exists());
}

//! Damage to files: torn ends are forgiven, everything else is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use futures_executor::block_on;
use stellara_raft_store::engine::{Batch, Disk, Engine, EngineError, Purpose, Space};

use crate::support::{disk, entry, files, log, numbers};

const COMMITS: u64 = 200;

/// Commits entries one by one, closes, changes the newest log file, opens again.
fn reopen_log(spoil: impl FnOnce(&Path, &mut Vec<u8>)) -> (String, Result<Vec<u64>, EngineError>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let engine = log(&disk);
    for number in 0..COMMITS {
        block_on(engine.commit(entry(number))).unwrap();
    }
    drop(engine);
    let file = files(&folder.path().join("log"), ".log").pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    spoil(&file, &mut bytes);
    if file.exists() {
        fs::write(&file, &bytes).unwrap();
    }
    let open = || disk.open("log", Purpose::Log);
    let first = open().map(|engine| numbers(&engine, Space::Entries));
    if first.is_err() {
        assert!(open().is_err(), "a refusal stands when it is tried again");
    }
    (file.display().to_string(), first)
}

fn assert_names(file: &str, found: Result<Vec<u64>, EngineError>) {
    match found {
        Err(EngineError::Corrupt { path, .. }) => assert_eq!(path, file),
        other => panic!("expected {file} to be corrupt, got {other:?}"),
    }
}

fn all() -> Vec<u64> {
    (0..COMMITS).collect()
}

#[test]
fn a_flip_anywhere_in_the_log_is_found() {
    for part in 0..16 {
        let (file, found) = reopen_log(|_, bytes| {
            let at = bytes.len() * part / 16 + 8;
            bytes[at] ^= 0x10;
        });
        assert_names(&file, found);
    }
}

/// The later records tell, even when the watermark's last note was lost with the power.
#[test]
fn a_flip_with_records_behind_it_is_found_without_the_watermark() {
    for part in 0..8 {
        let (file, found) = reopen_log(|file, bytes| {
            fs::remove_file(file.with_file_name("SYNCED")).unwrap();
            let at = bytes.len() * part / 16 + 8;
            bytes[at] ^= 0x10;
        });
        assert_names(&file, found);
    }
}

#[test]
fn a_flip_in_the_last_record_is_found() {
    let (file, found) = reopen_log(|_, bytes| *bytes.last_mut().unwrap() ^= 1);
    assert_names(&file, found);
}

#[test]
fn a_cut_log_is_found() {
    for part in 0..8 {
        let (file, found) = reopen_log(|_, bytes| bytes.truncate(bytes.len() * part / 8));
        assert_names(&file, found);
    }
}

#[test]
fn a_missing_log_is_found() {
    let (_, found) = reopen_log(|file, _| fs::remove_file(file).unwrap());
    assert!(
        matches!(found, Err(EngineError::Corrupt { .. })),
        "{found:?}"
    );
}

#[test]
fn a_torn_end_is_forgiven() {
    let (_, found) = reopen_log(|_, bytes| {
        // A record that was being written: its header and some of its bytes.
        let record = bytes[..bytes.len().min(40)].to_vec();
        bytes.extend_from_slice(&record);
    });
    assert_eq!(found, Ok(all()));
    let (_, found) = reopen_log(|_, bytes| bytes.extend_from_slice(&[0; 5000]));
    assert_eq!(found, Ok(all()));
}

/// The watermark's last note may be lost with the power: the end of the log is then torn.
#[test]
fn a_torn_end_after_the_last_note_is_forgiven() {
    let (_, found) = reopen_log(|file, bytes| {
        fs::remove_file(file.with_file_name("SYNCED")).unwrap();
        bytes.truncate(bytes.len() - 9);
    });
    assert_eq!(found, Ok((0..COMMITS - 1).collect()));
}

#[test]
fn a_log_that_reuses_its_files_opens_and_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let mut engine = log(&disk);
    let (mut written, mut names) = (0.., BTreeMap::new());
    for round in 0..4 {
        for _ in 0..48 {
            let number: u64 = written.next().unwrap();
            let mut batch = Batch::default();
            batch.put(Space::Rows, b"last", number.to_be_bytes());
            batch.put(Space::Payments, number.to_be_bytes(), vec![7; 1024 * 1024]);
            block_on(engine.commit(batch)).unwrap();
            for file in files(&folder.path().join("log"), ".log") {
                // A file may be renamed between the listing and this look at it.
                if let Ok(found) = fs::metadata(&file) {
                    let known: &mut BTreeSet<_> = names.entry(found.ino()).or_default();
                    known.insert(file);
                }
            }
        }
        let last = engine.get(Space::Rows, b"last").unwrap().unwrap();
        if round % 2 == 1 {
            let mut purge = Batch::default();
            purge.delete_range(Space::Payments, [0], last.clone());
            block_on(engine.commit(purge)).unwrap();
        }
        drop(engine);
        engine = log(&disk);
        assert_eq!(engine.get(Space::Rows, b"last"), Ok(Some(last.clone())));
        assert!(engine.get(Space::Payments, &last).unwrap().is_some());
    }
    assert!(
        names.values().any(|known| known.len() > 1),
        "no file was reused"
    );
}

/// Applies and flushes rows twice, closes, changes the folder, opens and reads.
fn reopen_state(spoil: impl FnOnce(&Path)) -> Result<(), EngineError> {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let engine = disk.open("state", Purpose::State).unwrap();
    for number in 0..2 {
        engine.apply(entry(number)).unwrap();
        block_on(engine.flush()).unwrap();
    }
    drop(engine);
    spoil(&folder.path().join("state"));
    let engine = disk.open("state", Purpose::State)?;
    assert_eq!(numbers(&engine, Space::Entries), [0, 1]);
    Ok(())
}

fn assert_state_names(part: &str, found: Result<(), EngineError>) {
    match found {
        Err(EngineError::Corrupt { path, .. }) => assert!(path.contains(part), "{path}"),
        other => panic!("expected {part} to be corrupt, got {other:?}"),
    }
}

#[test]
fn missing_and_cut_files_of_the_state_are_found() {
    assert_eq!(reopen_state(|_| ()), Ok(()));
    let found = reopen_state(|state| fs::remove_file(state.join("CURRENT")).unwrap());
    assert_state_names("CURRENT", found);
    let found = reopen_state(|state| fs::remove_file(&files(state, ".sst")[0]).unwrap());
    assert_state_names(".sst", found);
    let found = reopen_state(|state| fs::write(state.join("SYNCED"), [9; 32]).unwrap());
    assert_state_names("SYNCED", found);
    let manifest = |state: &Path| {
        let current = fs::read_to_string(state.join("CURRENT")).unwrap();
        state.join(current.trim())
    };
    let found = reopen_state(|state| fs::remove_file(manifest(state)).unwrap());
    assert_state_names("MANIFEST", found);
    let found = reopen_state(|state| {
        let path = manifest(state);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 60);
        fs::write(&path, bytes).unwrap();
    });
    // RocksDB takes a cut manifest for a torn one and forgets its last flush: the watermark tells.
    assert_state_names("state", found);
}

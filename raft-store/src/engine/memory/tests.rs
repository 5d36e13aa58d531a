//! The memory engine keeps the contract, and its faults do what they say.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::future::poll_fn;

use super::*;
use crate::engine::{Batch, Disk, Engine, Purpose, conformance};

/// Polls until ready; nothing here waits for another thread.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future never resolves");
}

fn pending<F: Future + Unpin>(future: &mut F) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(future).as_mut().poll(&mut context).is_pending()
}

/// Syncs that end when the test says so.
#[derive(Default)]
struct Held {
    started: AtomicU64,
    allowed: Arc<AtomicU64>,
}

impl SyncDelay for Held {
    fn delay(&self) -> BoxFuture<'static, ()> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let allowed = Arc::clone(&self.allowed);
        Box::pin(poll_fn(move |context| {
            if allowed.load(Ordering::SeqCst) > number {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

fn row(key: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Space::Entries, key.to_be_bytes(), vec![7; 100]);
    batch
}

fn removal(key: u64) -> Batch {
    let mut batch = Batch::default();
    batch.delete(Space::Entries, key.to_be_bytes());
    batch
}

fn has(engine: &MemoryEngine, key: u64) -> bool {
    let row = engine.get(Space::Entries, &key.to_be_bytes());
    row.expect("healthy rows are read").is_some()
}

fn open(disk: &MemoryDisk) -> MemoryEngine {
    disk.open("log", Purpose::Log).expect("the folder opens")
}

fn kept(disk: &MemoryDisk, count: u64) -> Vec<bool> {
    let engine = open(disk);
    (0..count).map(|key| has(&engine, key)).collect()
}

#[test]
fn keeps_the_contract() {
    run(conformance::check(&MemoryDisk::default()));
}

#[test]
fn a_crash_keeps_commits_and_a_prefix_of_the_rest() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let disk = MemoryDisk::new(Faults::none(seed));
        let engine = open(&disk);
        for key in 0..4 {
            engine.apply(row(key)).unwrap();
        }
        run(engine.commit(row(4))).unwrap();
        for key in 5..10 {
            engine.apply(row(key)).unwrap();
        }
        disk.crash();
        assert!(matches!(
            engine.get(Space::Rows, b""),
            Err(EngineError::ReadFailed { .. })
        ));
        assert!(matches!(
            engine.apply(row(0)),
            Err(EngineError::WriteFailed { .. })
        ));
        let kept = kept(&disk, 10);
        let length = kept.iter().take_while(|kept| **kept).count();
        assert!(
            length >= 5,
            "a commit and what was applied before it: {kept:?}"
        );
        assert!(!kept[length..].contains(&true), "a prefix: {kept:?}");
        lengths.insert(length);
    }
    assert_eq!(lengths, (5..=10).collect(), "every torn tail is drawn");
}

#[test]
fn commits_that_wait_together_share_one_sync() {
    let held = Arc::new(Held::default());
    let disk = MemoryDisk::new(Faults {
        sync_delay: held.clone(),
        unsynced: Unsynced::Lost,
        ..Faults::none(1)
    });
    let engine = open(&disk);
    let mut commits: Vec<_> = (0..5)
        .map(|key| Box::pin(engine.commit(row(key))))
        .collect();
    assert!(
        commits.iter_mut().all(pending),
        "nothing is durable before the sync ends"
    );
    held.allowed.store(1, Ordering::SeqCst);
    // The first sync began with the first batch; the others came too late for it.
    assert_eq!(run(commits.remove(0)), Ok(()));
    assert!(commits.iter_mut().all(pending));
    held.allowed.store(2, Ordering::SeqCst);
    assert_eq!(run(commits.pop().unwrap()), Ok(()));
    assert!(
        !commits.iter_mut().any(pending),
        "all of a sync resolve at once"
    );
    assert_eq!(held.started.load(Ordering::SeqCst), 2);

    let late = engine.commit(row(5));
    disk.crash();
    assert!(matches!(run(late), Err(EngineError::WriteFailed { .. })));
    assert_eq!(kept(&disk, 6), [true, true, true, true, true, false]);
}

#[test]
fn the_same_seed_crashes_the_same_way() {
    let history = |seed| {
        let disk = MemoryDisk::new(Faults::none(seed));
        let survivors = |_| {
            let engine = open(&disk);
            (0..20).for_each(|key| engine.apply(row(key)).unwrap());
            disk.crash();
            kept(&disk, 20)
        };
        (0..10).map(survivors).collect::<Vec<_>>()
    };
    assert_eq!(history(3), history(3));
    assert_ne!(history(3), history(4));
}

#[test]
fn a_failed_write_or_sync_is_final() {
    let injections: [fn(&MemoryDisk); 2] =
        [|disk| disk.fail_write_in(1), |disk| disk.fail_sync_in(1)];
    for inject in injections {
        let disk = MemoryDisk::default();
        let engine = open(&disk);
        inject(&disk);
        assert_eq!(run(engine.commit(row(0))), Ok(()));
        for key in 1..4 {
            let failed = run(engine.commit(row(key)));
            assert!(
                matches!(failed, Err(EngineError::WriteFailed { .. })),
                "{failed:?}"
            );
        }
        assert!(engine.apply(removal(0)).is_err() && run(engine.flush()).is_err());
        disk.crash();
        assert!(kept(&disk, 4)[0]);
        run(open(&disk).commit(row(9))).unwrap();
    }
}

#[test]
fn a_full_disk_takes_removals_and_recovers() {
    let disk = MemoryDisk::new(Faults {
        bytes_max: Some(250),
        ..Faults::none(1)
    });
    let engine = open(&disk);
    run(engine.commit(row(0))).unwrap();
    run(engine.commit(row(1))).unwrap();
    let full = engine.commit(row(2));
    let mut small = Batch::default();
    small.put(Space::Rows, b"k", b"v");
    let behind = engine.commit(small.clone());
    assert!(matches!(run(full), Err(EngineError::DiskFull { .. })));
    let behind = run(behind);
    assert!(
        matches!(behind, Err(EngineError::DiskFull { .. })),
        "no gap: {behind:?}"
    );
    assert!(matches!(
        disk.append("in", "f", &[0; 99]),
        Err(EngineError::DiskFull { .. })
    ));
    assert_eq!(
        run(engine.commit(small)),
        Ok(()),
        "issued after the refusals were seen"
    );
    run(engine.commit(removal(0))).unwrap();
    run(engine.commit(row(2))).unwrap();
    assert_eq!([0, 1, 2].map(|key| has(&engine, key)), [false, true, true]);
    assert!(disk.bytes_used() <= 250);
}

#[test]
fn flipped_rows_are_corrupt_wherever_they_are_read() {
    let disk = MemoryDisk::default();
    let engine = open(&disk);
    (0..3).for_each(|key| engine.apply(row(key)).unwrap());
    assert_eq!(disk.flip_some_row("log", Space::Rows), None);
    let key = disk.flip_some_row("log", Space::Entries).unwrap();
    let all = crate::engine::Scan {
        space: Space::Entries,
        from: Vec::new(),
        to: vec![0xff],
        direction: crate::engine::Direction::Ascending,
        rows_max: 9,
    };
    let corrupt = |error| matches!(error, EngineError::Corrupt { .. });
    assert!(engine.get(Space::Entries, &key).is_err_and(corrupt));
    assert!(engine.multi_get(Space::Entries, &[key]).is_err_and(corrupt));
    assert!(engine.scan(&all).is_err_and(corrupt));
    run(disk.checkpoint(&engine, "copy")).unwrap();
    assert!(
        disk.open("copy", Purpose::State).is_err_and(corrupt),
        "copied as it is"
    );
}

#[test]
fn flipped_files_show_on_read_or_by_checksum() {
    let disk = MemoryDisk::default();
    disk.append("in", "a", b"aaaa").unwrap();
    disk.append("in", "b", b"bbbb").unwrap();
    let before = disk.files("in").unwrap();
    assert!(disk.flip_file("in", "a", 3, FlipShows::OnRead));
    assert!(disk.flip_file("in", "b", 3, FlipShows::ByChecksum));
    assert!(!disk.flip_file("in", "c", 3, FlipShows::OnRead));
    assert!(matches!(
        disk.read("in", "a", 0, 9),
        Err(EngineError::Corrupt { .. })
    ));
    assert_eq!(disk.read("in", "b", 1, 2).unwrap(), b"bb");
    let after = disk.files("in").unwrap();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before.crc32 != after.crc32)
    );
}

#[test]
fn a_crash_cuts_files_that_were_not_sealed() {
    let disk = MemoryDisk::new(Faults {
        unsynced: Unsynced::Lost,
        ..Faults::none(1)
    });
    disk.append("in", "a", b"sealed").unwrap();
    disk.seal("in").unwrap();
    disk.append("in", "a", b" and not").unwrap();
    disk.append("in", "b", b"never sealed").unwrap();
    disk.append("gone", "c", b"never sealed").unwrap();
    disk.crash();
    assert_eq!(disk.read("in", "a", 0, 99).unwrap(), b"sealed");
    assert_eq!(disk.files("in").unwrap().len(), 1);
    assert!(disk.files("gone").is_err());
}

#[test]
fn what_would_survive_is_told_before_the_crash() {
    let disk = MemoryDisk::new(Faults {
        unsynced: Unsynced::Lost,
        ..Faults::none(1)
    });
    let engine = disk.open("log", Purpose::Log).unwrap();
    let put = |key: &[u8], value: &[u8]| {
        let mut batch = Batch::default();
        batch.put(Space::Entries, key, value);
        batch
    };
    run(engine.commit(put(b"a", b"1"))).unwrap();
    run(engine.commit(put(b"b", b"1"))).unwrap();
    engine.apply(put(b"a", b"2")).unwrap();
    let mut batch = put(b"c", b"1");
    batch.delete(Space::Entries, b"b".as_slice());
    engine.apply(batch).unwrap();
    let before = disk.durable_rows("log", Space::Entries);
    let row = |key: &[u8]| (key.to_vec(), b"1".to_vec());
    assert_eq!(before, [row(b"a"), row(b"b")]);
    disk.crash();
    assert_eq!(disk.durable_rows("log", Space::Entries), before);
    assert!(disk.flip_row("log", Space::Entries, b"a", 0));
    assert!(!disk.row_holds("log", Space::Entries, b"a"));
    assert!(disk.row_holds("log", Space::Entries, b"none"));
    assert_eq!(disk.durable_rows("log", Space::Entries), [row(b"b")]);
}

#[test]
fn a_torn_row_is_found_by_its_checksum() {
    let disk = MemoryDisk::default();
    let engine = disk.open("log", Purpose::Log).unwrap();
    let mut batch = Batch::default();
    batch.put(Space::Entries, b"a".as_slice(), b"whole".as_slice());
    batch.put(Space::Entries, b"b".as_slice(), b"to be torn".as_slice());
    run(engine.commit(batch)).unwrap();
    assert_eq!(
        disk.tear_last_row("log", Space::Entries),
        Some(b"b".to_vec())
    );
    assert_eq!(disk.tear_last_row("log", Space::Keys), None);
    assert_eq!(engine.get(Space::Entries, b"a").unwrap().unwrap(), b"whole");
    let torn = engine.get(Space::Entries, b"b");
    assert!(matches!(torn, Err(EngineError::Corrupt { .. })), "{torn:?}");
}

#[test]
fn a_misdirected_row_lies_in_the_place_of_another() {
    let disk = MemoryDisk::default();
    let engine = disk.open("log", Purpose::Log).unwrap();
    let put = |key: &[u8], value: &[u8]| {
        let mut batch = Batch::default();
        batch.put(Space::Entries, key, value);
        batch
    };
    disk.misdirect_next("log", Space::Entries);
    run(engine.commit(put(b"a", b"first"))).unwrap();
    assert!(disk.will_misdirect(), "there was no other place");
    run(engine.commit(put(b"b", b"second"))).unwrap();
    assert!(!disk.will_misdirect());
    let landed = disk.misdirected().unwrap();
    assert_eq!(
        (landed.meant, landed.victim),
        (b"b".to_vec(), b"a".to_vec())
    );
    assert_eq!(
        engine.get(Space::Entries, b"a").unwrap().unwrap(),
        b"second"
    );
    assert_eq!(engine.get(Space::Entries, b"b").unwrap(), None);
    assert_eq!(disk.first_key("log", Space::Entries), Some(b"a".to_vec()));
}

#[test]
fn a_checkpoint_that_was_opened_can_still_be_sent() {
    let disk = MemoryDisk::default();
    let engine = disk.open("state", Purpose::State).unwrap();
    let mut batch = Batch::default();
    batch.put(Space::Rows, b"a".as_slice(), b"1".as_slice());
    engine.apply(batch.clone()).unwrap();
    let listed = run(disk.checkpoint(&engine, "copy")).unwrap();
    drop(disk.open("copy", Purpose::State).unwrap());
    assert_eq!(disk.files("copy").unwrap(), listed);
    let opened = disk.open("copy", Purpose::State).unwrap();
    opened.apply(batch).unwrap();
    assert_eq!(
        disk.files("copy").unwrap(),
        [],
        "it is a store of its own now"
    );
}

#[test]
fn what_is_durable_is_told_apart_from_what_is_stored() {
    let disk = MemoryDisk::default();
    let engine = open(&disk);
    let durable = |key: u64| {
        disk.durable_row("log", Space::Entries, &key.to_be_bytes(), <[u8]>::len)
            .is_some()
    };
    let stored = |key: u64| {
        disk.stored_row("log", Space::Entries, &key.to_be_bytes(), <[u8]>::len)
            .is_some()
    };
    let last = || disk.durable_last("log", Space::Entries, |key, _| key.to_vec());
    let name = |key: u64| Some(key.to_be_bytes().to_vec());
    assert_eq!(last(), None);
    run(engine.commit(row(0))).unwrap();
    run(engine.commit(row(1))).unwrap();
    engine.apply(row(2)).unwrap();
    engine.apply(removal(1)).unwrap();
    assert_eq!([0, 1, 2].map(durable), [true, true, false]);
    assert_eq!([0, 1, 2].map(stored), [true, false, true]);
    assert_eq!(last(), name(1));
    // Written again before the removal is durable.
    engine.apply(row(1)).unwrap();
    assert_eq!((durable(1), stored(1), last()), (true, true, name(1)));
    run(engine.flush()).unwrap();
    assert_eq!([0, 1, 2].map(durable), [true, true, true]);
    assert_eq!(last(), name(2));

    let mut down = Vec::new();
    disk.stored_back("log", Space::Entries, |key, _| {
        down.push(key.to_vec());
        down.len() < 2
    });
    assert_eq!(down, [name(2), name(1)].map(Option::unwrap));
    disk.append("in", "a", b"aaaa").unwrap();
    let mut all = Vec::new();
    disk.everything(|folder, stored, bytes| {
        let file = matches!(stored, Stored::File("a"));
        all.push((folder.to_owned(), file, bytes.len()));
    });
    let log = |_| ("log".to_owned(), false, 100);
    let expected: Vec<_> = std::iter::once(("in".to_owned(), true, 4))
        .chain((0..3).map(log))
        .collect();
    assert_eq!(all, expected);
}

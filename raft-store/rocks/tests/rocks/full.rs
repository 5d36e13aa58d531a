//! A file system that fills up, on a small tmpfs; skipped where it cannot be mounted.

use std::ffi::CString;
use std::path::Path;

use futures_executor::block_on;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use stellara_raft_store::engine::{Batch, Disk, Engine, EngineError, Purpose, Space};
use stellara_rocks::{RocksConfig, RocksDisk, RocksEngine};
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;

/// A tmpfs over a temporary folder, unmounted when dropped.
struct Small(TempDir);

impl Small {
    /// `None`, with the reason printed, when this process may not mount.
    fn mount(size_mib: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: mounting a tmpfs takes root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let size = CString::new(format!("size={size_mib}m")).unwrap();
        match mount(
            "tmpfs",
            folder.path(),
            "tmpfs",
            MountFlags::empty(),
            size.as_c_str(),
        ) {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                println!("skipped: cannot mount a tmpfs: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn grow(&self, size_mib: u64) {
        mount_remount(
            self.path(),
            MountFlags::empty(),
            format!("size={size_mib}m"),
        )
        .unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            println!("{} stays mounted: {error}", self.path().display());
        }
    }
}

fn open(small: &Small, reserve_mib: u64) -> RocksDisk {
    let reserve_bytes = reserve_mib * MIB as u64;
    RocksDisk::open(small.path(), RocksConfig { reserve_bytes }).unwrap()
}

/// A mebibyte that does not compress.
fn big(number: u64) -> Batch {
    let mut noise = number + 1;
    let mut value = Vec::with_capacity(MIB);
    while value.len() < MIB {
        noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        value.extend_from_slice(&noise.to_be_bytes());
    }
    let mut batch = Batch::default();
    batch.put(Space::Entries, number.to_be_bytes(), value);
    batch
}

fn fill(write: impl Fn(Batch) -> Result<(), EngineError>) -> (u64, EngineError) {
    for number in 0..1000 {
        if let Err(error) = write(big(number)) {
            return (number, error);
        }
    }
    panic!("the disk never fills");
}

fn assert_rows(engine: &RocksEngine, count: u64) {
    for number in 0..count {
        let row = engine.get(Space::Entries, &number.to_be_bytes()).unwrap();
        assert_eq!(row.map(|row| row.len()), Some(MIB), "row {number}");
    }
}

fn is_full(result: &Result<(), EngineError>) -> bool {
    matches!(result, Err(EngineError::DiskFull { .. }))
}

#[test]
fn the_log_refuses_before_it_is_full_and_goes_on_after() {
    let Some(small) = Small::mount(256) else {
        return;
    };
    let disk = open(&small, 128);
    let engine = disk.open("log", Purpose::Log).unwrap();
    let (count, error) = fill(|batch| block_on(engine.commit(batch)));
    assert!(matches!(error, EngineError::DiskFull { .. }), "{error:?}");
    assert!(count > 10, "{count}");

    let (first, second) = (
        engine.commit(big(count)),
        engine.commit(crate::support::entry(7777)),
    );
    let (first, second) = (block_on(first), block_on(second));
    assert!(is_full(&first) && is_full(&second), "{first:?}, {second:?}");
    let mut removal = Batch::default();
    removal.delete(Space::Entries, 7777_u64.to_be_bytes());
    block_on(engine.commit(removal)).unwrap();
    let appended = disk.append("incoming", "000009.sst", &[0; MIB]);
    assert!(is_full(&appended), "{appended:?}");

    small.grow(400);
    block_on(engine.commit(big(count))).unwrap();
    drop(engine);
    assert_rows(&disk.open("log", Purpose::Log).unwrap(), count + 1);
}

#[test]
fn the_state_refuses_before_it_is_full_and_goes_on_after() {
    let Some(small) = Small::mount(128) else {
        return;
    };
    let disk = open(&small, 100);
    let engine = disk.open("state", Purpose::State).unwrap();
    let (count, error) = fill(|batch| {
        engine.apply(batch)?;
        block_on(engine.flush())
    });
    assert!(matches!(error, EngineError::DiskFull { .. }), "{error:?}");
    small.grow(400);
    engine.apply(big(count)).unwrap();
    block_on(engine.flush()).unwrap();
    drop(engine);
    assert_rows(&disk.open("state", Purpose::State).unwrap(), count + 1);
}

/// Without a reserve the system itself says no, in the middle of a write.
#[test]
fn a_log_cut_off_by_the_system_loses_nothing_acknowledged() {
    let Some(small) = Small::mount(48) else {
        return;
    };
    let disk = open(&small, 0);
    let engine = disk.open("log", Purpose::Log).unwrap();
    let (count, _) = fill(|batch| block_on(engine.commit(batch)));
    let after = block_on(engine.commit(big(count)));
    assert!(after.is_err(), "{after:?}");
    small.grow(400);
    drop(engine);
    let engine = disk.open("log", Purpose::Log).unwrap();
    assert_rows(&engine, count);
    block_on(engine.commit(big(count))).unwrap();
}

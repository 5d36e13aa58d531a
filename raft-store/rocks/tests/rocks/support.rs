//! Disks in temporary folders, and rows that say which batch wrote them.

use std::path::{Path, PathBuf};

use stellara_raft_store::engine::{
    Batch, Direction, Disk, Engine, EngineError, Purpose, Row, Scan, Space,
};
use stellara_rocks::{RocksConfig, RocksDisk, RocksEngine};

/// Tests run on small disks: no reserve beyond the size of a batch.
pub const CONFIG: RocksConfig = RocksConfig {
    reserve_bytes: 1024 * 1024,
};

pub fn disk(folder: &Path) -> RocksDisk {
    RocksDisk::open(folder, CONFIG).unwrap()
}

pub fn log(disk: &RocksDisk) -> RocksEngine {
    disk.open("log", Purpose::Log).unwrap()
}

pub fn entry(number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Space::Entries, number.to_be_bytes(), value(number));
    batch
}

/// Bytes that only this number's row has; some rows span blocks of the log.
pub fn value(number: u64) -> Vec<u8> {
    let len = match number % 50 {
        49 => 70_000,
        other => 20 + usize::try_from(other).unwrap() * 10,
    };
    let noise = (0..len as u64).map(|at| at.wrapping_mul(31).wrapping_add(number * 7) % 251);
    noise.map(|byte| u8::try_from(byte).unwrap()).collect()
}

pub fn scan(engine: &RocksEngine, space: Space) -> Result<Vec<Row>, EngineError> {
    engine.scan(&Scan {
        space,
        from: Vec::new(),
        to: vec![0xff; 16],
        direction: Direction::Ascending,
        rows_max: usize::MAX,
    })
}

/// Numbers of the rows of a space, each with the value it was written with.
pub fn numbers(engine: &RocksEngine, space: Space) -> Vec<u64> {
    let number = |(key, found): Row| {
        let number = u64::from_be_bytes(key.try_into().unwrap());
        assert_eq!(found, value(number), "row {number}");
        number
    };
    scan(engine, space)
        .unwrap()
        .into_iter()
        .map(number)
        .collect()
}

/// Files of a folder whose names end so, in order.
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files.sort();
    files
}

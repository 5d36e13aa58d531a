//! What every engine and disk must do, as checks any implementation runs from its tests.
//!
//! The checks panic with the row or call that differs. They use folders whose names
//! start with `check-`, and leave nothing behind when they pass.

use super::{Batch, Direction, Disk, Engine, EngineError, Purpose, Row, Scan, Space};

mod checkpoints;
mod folders;
mod model;
mod rows;

/// Both purposes: the rules are the same.
const PURPOSES: [(Purpose, &str); 2] =
    [(Purpose::Log, "check-log"), (Purpose::State, "check-state")];

/// Runs every check against `disk`.
///
/// # Panics
/// When the disk or its engine breaks a rule.
pub async fn check<D: Disk>(disk: &D) {
    for (purpose, folder) in PURPOSES {
        rows::check(disk, purpose, folder).await;
        model::check(disk, purpose, folder).await;
        checkpoints::check(disk, purpose, folder).await;
    }
    folders::check(disk).await;
}

/// Opens a new engine in `folder`.
fn fresh<D: Disk>(disk: &D, purpose: Purpose, folder: &str) -> D::Engine {
    disk.remove(folder).expect("a closed folder can be removed");
    disk.open(folder, purpose).expect("a new folder opens")
}

fn reopen<D: Disk>(disk: &D, purpose: Purpose, folder: &str, engine: D::Engine) -> D::Engine {
    drop(engine);
    disk.open(folder, purpose)
        .expect("a closed folder opens again")
}

fn put(space: Space, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(space, key, value);
    batch
}

fn everything(engine: &impl Engine, space: Space) -> Vec<Row> {
    scan(
        engine,
        space,
        b"",
        &[0xff; 64],
        Direction::Ascending,
        usize::MAX,
    )
}

fn scan(
    engine: &impl Engine,
    space: Space,
    from: &[u8],
    to: &[u8],
    direction: Direction,
    rows_max: usize,
) -> Vec<Row> {
    let scan = Scan {
        space,
        from: from.to_vec(),
        to: to.to_vec(),
        direction,
        rows_max,
    };
    engine.scan(&scan).expect("a healthy engine scans")
}

fn assert_write_failed<T>(result: Result<T, EngineError>, words: &str) {
    match result.err() {
        Some(EngineError::WriteFailed { detail, .. }) => {
            assert!(detail.contains(words), "{detail:?} does not say {words:?}");
        }
        other => panic!("expected a failed write that says {words:?}, got {other:?}"),
    }
}

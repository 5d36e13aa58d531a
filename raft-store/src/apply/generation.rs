//! Folders of the state: its generations, the snapshot that is kept, and how one becomes the other.
//!
//! `state/<n>` is a generation, `snapshots/<term>-<index>` a checkpoint of one. A
//! generation appears by an atomic rename of a verified folder; the highest counts.

use crate::engine::{Disk, EngineError, Purpose};
use crate::rows;
use crate::snapshot::Snapshot;
use crate::types::{SnapshotMeta, term_of};

const STATE: &str = "state";
const SNAPSHOTS: &str = "snapshots";

fn folder(generation: u64) -> String {
    format!("{STATE}/{generation:016}")
}

/// Opens the highest generation and removes the ones before it.
pub(super) fn open_newest<D: Disk>(disk: &D) -> Result<(u64, D::Engine), EngineError> {
    let mut generations: Vec<u64> = disk
        .list(STATE)?
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    generations.sort_unstable();
    let newest = generations.pop().unwrap_or(1);
    let engine = disk.open(&folder(newest), Purpose::State)?;
    for old in generations {
        remove(disk, old);
    }
    Ok((newest, engine))
}

/// Removes a generation that no longer counts; what cannot be removed now is at the next start.
pub(super) fn remove<D: Disk>(disk: &D, generation: u64) {
    if let Err(error) = disk.remove(&folder(generation)) {
        tracing::warn!(generation, %error, "old state not removed");
    }
}

/// Turns a received, verified folder into the state's next generation.
pub(super) fn adopt<D: Disk>(
    disk: &D,
    received: &str,
    generation: u64,
) -> Result<D::Engine, EngineError> {
    let target = folder(generation);
    disk.remove(&target)?;
    disk.rename(received, &target)?;
    disk.open(&target, Purpose::State)
}

/// Writes a checkpoint of the engine as the snapshot to send, and removes older ones.
pub(super) async fn keep_snapshot<D: Disk>(
    disk: &D,
    engine: &D::Engine,
    meta: &SnapshotMeta,
) -> Result<Snapshot, EngineError> {
    let name = meta.last_log_id.map_or_else(
        || "0-0".to_owned(),
        |log_id| format!("{:016}-{:016}", term_of(&log_id), log_id.index),
    );
    let target = format!("{SNAPSHOTS}/{name}");
    disk.remove(&target)?;
    let files = disk.checkpoint(engine, &target).await?;
    for other in disk.list(SNAPSHOTS)? {
        if other != name {
            disk.remove(&format!("{SNAPSHOTS}/{other}"))?;
        }
    }
    Ok(Snapshot {
        folder: target,
        files,
    })
}

/// Removes what is kept to be sent.
pub(super) fn forget_snapshots<D: Disk>(disk: &D) -> Result<(), EngineError> {
    disk.remove(SNAPSHOTS)
}

/// The snapshot that an earlier run kept. Its meta is read from its own rows, in a copy
/// that is opened and dropped, so that a folder cut short by a crash is not offered.
pub(super) fn newest_snapshot<D: Disk>(
    disk: &D,
) -> Result<Option<(SnapshotMeta, Snapshot)>, EngineError> {
    let mut names = disk.list(SNAPSHOTS)?;
    names.sort_unstable();
    let Some(name) = names.pop() else {
        return Ok(None);
    };
    let target = format!("{SNAPSHOTS}/{name}");
    let opened = disk
        .open(&target, Purpose::State)
        .and_then(|engine| rows::load(&engine));
    let applied = match opened {
        Ok((applied, _)) => applied,
        Err(error) => {
            tracing::warn!(snapshot = %name, %error, "kept snapshot is not whole; removed");
            disk.remove(&target)?;
            return Ok(None);
        }
    };
    let meta = SnapshotMeta {
        last_log_id: applied.last,
        last_membership: applied.membership().clone(),
    };
    let files = disk.files(&target)?;
    Ok(Some((
        meta,
        Snapshot {
            folder: target,
            files,
        },
    )))
}

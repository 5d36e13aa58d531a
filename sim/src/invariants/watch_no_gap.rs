//! Who watches by a cursor hears every event once and in order, over crashes and whichever node it resumes on (etcd
//! #15271, #17529): one watcher stays with each node, one goes from node to node.

use std::collections::BTreeMap;
use std::time::Duration;

use stellara_machine::ids::Index;
use stellara_raft_store::types::NodeId;
use xxhash_rust::xxh3::xxh3_128;

use super::{Breach, Invariant, Record, Sight};
use crate::runtime::SimTime;

/// Records read at a time, as the API does.
const RECORDS_MAX: usize = 32;
/// How long the watcher without a home stays with a node.
const STAYS: Duration = Duration::from_secs(1);

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Watcher {
    /// It stays with a node.
    At(NodeId),
    /// It goes from node to node.
    Roaming,
}

#[derive(Debug, Default)]
pub struct WatchNoGap {
    /// Everything that was ever told, by the hash of its record.
    told: BTreeMap<u64, u128>,
    /// The last entry that each was told of.
    cursors: BTreeMap<Watcher, u64>,
    moves_at: SimTime,
    compared: u64,
}

impl WatchNoGap {
    fn tell(
        &mut self,
        watcher: Watcher,
        node_id: NodeId,
        index: u64,
        hash: u128,
    ) -> Result<(), Breach> {
        let breach = |what: String| Err(Breach::by(node_id, format!("a watcher {what}")));
        let cursor = self.cursors.get(&watcher).copied().unwrap_or_default();
        if let Some(first) = self.told.get(&index) {
            self.compared += 1;
            if *first != hash {
                return breach(format!("hears other events of entry {index} than before"));
            }
        } else if let Some((other, at)) = self.cursors.iter().find(|(_, at)| **at > index) {
            let detail = format!("hears of entry {index}, which {other:?} at {at} was not told of");
            return breach(detail);
        }
        if index <= cursor {
            // A node that applied again what it had lost tells nothing new.
            return Ok(());
        }
        if let Some((missed, _)) = self.told.range(cursor + 1..index).next() {
            return breach(format!("hears nothing of entry {missed}"));
        }
        self.told.insert(index, hash);
        self.cursors.insert(watcher, index);
        Ok(())
    }

    fn roam(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        let Some((node_id, _, running)) = sight.changed().next() else {
            return Ok(());
        };
        if sight.at < self.moves_at {
            return Ok(());
        }
        self.moves_at = sight.at + STAYS;
        loop {
            let cursor = self.cursors.get(&Watcher::Roaming).copied();
            let cursor = Index(cursor.unwrap_or_default());
            // A state that cannot be read stops its node, which is told on its own.
            let Ok(rows) = running.view.record_rows_after(cursor, RECORDS_MAX) else {
                return Ok(());
            };
            let mut last = cursor;
            for (index, bytes) in &rows {
                if *index <= last {
                    let detail = format!("hears of entry {} after {}", index.0, last.0);
                    return Err(Breach::by(node_id, format!("a watcher {detail}")));
                }
                last = *index;
                self.tell(Watcher::Roaming, node_id, index.0, xxh3_128(bytes))?;
            }
            if rows.len() < RECORDS_MAX {
                return Ok(());
            }
        }
    }
}

impl Invariant for WatchNoGap {
    fn name(&self) -> &'static str {
        "watch_no_gap"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            for Record { index, hash, .. } in &running.records {
                self.tell(Watcher::At(node_id), node_id, index.0, *hash)?;
            }
        }
        self.roam(sight)
    }

    /// Records that were told to more than one watcher.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::check;
    use super::*;

    #[test]
    fn a_gap_is_found_whoever_comes_first() {
        check::<WatchNoGap>(Ending::Midway, "hears nothing of entry", |stage| {
            stage.running(2).records.remove(5);
        });
        check::<WatchNoGap>(Ending::Midway, "was not told of", |stage| {
            stage.running(1).records.remove(5);
        });
    }

    #[test]
    fn other_events_and_going_back_are_found() {
        check::<WatchNoGap>(Ending::Midway, "hears other events", |stage| {
            stage.running(3).records[5].hash ^= 1;
        });
    }
}

//! Logs that hold an entry of the same index and term hold the same bytes there, and the same before it (Raft,
//! section 5.3): compared as the entries reach the disks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use stellara_raft_store::engine::Space;
use stellara_raft_store::log::inspect;
use stellara_raft_store::types::{NodeId, term_of};
use xxhash_rust::xxh3::xxh3_128;

use super::{Breach, Invariant, Seen, Sight};

/// An entry as it was first seen.
#[derive(Clone, Copy, Debug)]
struct Written {
    hash: u128,
    /// The term of the entry before it, once that was seen.
    before: Option<u64>,
    by: NodeId,
}

/// A log as it was last looked at: the term of each entry.
#[derive(Debug, Default)]
struct Log {
    life: u64,
    terms: BTreeMap<u64, u64>,
}

#[derive(Debug, Default)]
pub struct LogMatching {
    entries: BTreeMap<(u64, u64), Written>,
    logs: BTreeMap<NodeId, Log>,
    compared: u64,
}

/// An entry on a disk.
struct Found {
    index: u64,
    term: u64,
    hash: u128,
}

impl Log {
    /// The entries from the last one down to one that was seen before, in the order of the log.
    fn news(&mut self, seen: &Seen) -> Vec<Found> {
        if self.life != seen.life {
            *self = Self {
                life: seen.life,
                terms: BTreeMap::new(),
            };
        }
        let mut news = Vec::new();
        seen.disk
            .stored_back(inspect::FOLDER, Space::Entries, |key, value| {
                // A record that does not hold is found by its checksum, and its node stops.
                let Ok(position) = inspect::entry_position(key, value) else {
                    return true;
                };
                let (index, term) = (position.index, term_of(&position));
                let known = self.terms.get(&index) == Some(&term);
                let hash = xxh3_128(value);
                news.push(Found { index, term, hash });
                !known
            });
        news.reverse();
        if let Some(last) = news.last() {
            drop(self.terms.split_off(&(last.index + 1)));
        }
        for found in &news {
            self.terms.insert(found.index, found.term);
        }
        news
    }
}

impl LogMatching {
    fn compare(
        &mut self,
        node_id: NodeId,
        found: &Found,
        before: Option<u64>,
    ) -> Result<(), Breach> {
        let Found { index, term, hash } = *found;
        match self.entries.entry((index, term)) {
            Slot::Vacant(slot) => {
                let by = node_id;
                slot.insert(Written { hash, before, by });
            }
            Slot::Occupied(mut slot) => {
                let first = slot.get_mut();
                let by = first.by;
                if first.hash != hash {
                    let detail = format!(
                        "entry {index} of term {term} is not the one that node {by} has: other bytes"
                    );
                    return Err(Breach::by(node_id, detail));
                }
                if let (Some(first), Some(now)) = (first.before, before)
                    && first != now
                {
                    let detail = format!(
                        "before entry {index} of term {term} comes one of term {now}, on node {by} one of term {first}"
                    );
                    return Err(Breach::by(node_id, detail));
                }
                first.before = first.before.or(before);
                self.compared += u64::from(by != node_id);
            }
        }
        Ok(())
    }
}

impl Invariant for LogMatching {
    fn name(&self) -> &'static str {
        "log_matching"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, seen, _) in sight.changed() {
            let news = self.logs.entry(node_id).or_default().news(seen);
            let mut before: Option<&Found> = None;
            for found in &news {
                let next = before.filter(|before| before.index + 1 == found.index);
                self.compare(node_id, found, next.map(|before| before.term))?;
                before = Some(found);
            }
        }
        Ok(())
    }

    /// Entries that were seen on more than one disk.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use stellara_raft_store::engine::memory::MemoryDisk;

    use super::super::Ending;
    use super::super::stage::{Stage, check};
    use super::*;

    /// The value of the last entry of a log.
    fn last_value(disk: &MemoryDisk) -> Option<Vec<u8>> {
        disk.durable_last(inspect::FOLDER, Space::Entries, |_, value| value.to_vec())
    }

    #[test]
    fn other_bytes_at_one_place_are_found() {
        let other = Stage::of_run(6);
        check::<LogMatching>(Ending::Midway, "other bytes", |stage| {
            let disk = &other.nodes[&1].disk;
            stage.rewrite(2, |folder, space, key, value| {
                let log = folder == inspect::FOLDER && space == Space::Entries;
                // The other run wrote something else in the same term at the same place.
                let theirs = disk.stored_row(folder, space, key, <[u8]>::to_vec);
                let theirs = theirs.filter(|_| log);
                Some(theirs.unwrap_or_else(|| value.to_vec()))
            });
        });
    }

    #[test]
    fn entries_are_compared_as_they_come() {
        let stage = Stage::of_run(5);
        let mut invariant = LogMatching::default();
        stage.look(&mut invariant).unwrap();
        let compared = invariant.compared();
        assert!(compared > 20, "{compared}");
        assert!(last_value(&stage.nodes[&1].disk).is_some());
        stage.look(&mut invariant).unwrap();
        assert!(invariant.compared() <= compared + 3, "nothing is new");
    }
}

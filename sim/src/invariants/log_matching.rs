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

/// No entry's term.
const NO_TERM: u64 = u64::MAX;

/// A log as it was last looked at: the term of each entry, by its index.
#[derive(Debug, Default)]
struct Log {
    life: u64,
    terms: Vec<u64>,
}

/// All entries that were ever seen.
#[derive(Debug, Default)]
struct Entries {
    /// The first of each index, and its term.
    first: Vec<Option<(u64, Written)>>,
    /// Those of another term than the first, by index and term.
    others: BTreeMap<(u64, u64), Written>,
}

impl Entries {
    /// The entry as it was first seen; `None` when that is now.
    fn first(&mut self, index: u64, term: u64, now: Written) -> Option<&mut Written> {
        let at = place(index);
        if self.first.len() <= at {
            self.first.resize(at + 1, None);
        }
        match &mut self.first[at] {
            none @ None => {
                *none = Some((term, now));
                None
            }
            Some((first, written)) if *first == term => Some(written),
            Some(_) => match self.others.entry((index, term)) {
                Slot::Vacant(slot) => {
                    slot.insert(now);
                    None
                }
                Slot::Occupied(slot) => Some(slot.into_mut()),
            },
        }
    }
}

fn place(index: u64) -> usize {
    usize::try_from(index).expect("a log fits in memory")
}

#[derive(Debug, Default)]
pub struct LogMatching {
    entries: Entries,
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
                terms: Vec::new(),
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
                let known = self.terms.get(place(index)) == Some(&term);
                let hash = xxh3_128(value);
                news.push(Found { index, term, hash });
                !known
            });
        news.reverse();
        if let Some(last) = news.last() {
            self.terms.resize(place(last.index) + 1, NO_TERM);
        }
        for found in &news {
            self.terms[place(found.index)] = found.term;
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
        let by = node_id;
        let Some(first) = self
            .entries
            .first(index, term, Written { hash, before, by })
        else {
            return Ok(());
        };
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

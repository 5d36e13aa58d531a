//! The rows of one folder, with the way back to what is durable.
//!
//! Every batch leaves a step that undoes it until the batch is durable; a crash
//! undoes steps from the newest, so what is left is always a prefix of the batches.
//! Each row carries a checksum, verified on every read: while nothing can have altered the bytes, it is theirs.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::key::Key;
use crate::engine::{Batch, Direction, Row, Scan, Space, Write};

/// A row's bytes do not match its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadRow {
    pub space: Space,
    pub key: Vec<u8>,
}

/// What is known of a row's checksum.
#[derive(Clone, Copy, Debug)]
enum Checksum {
    /// It is that of the bytes, which nobody asked for yet.
    OfBytes,
    /// It is that of the bytes, and this.
    Made(u32),
    /// It was this when the bytes were written, and they may be others now.
    Written(u32),
}

#[derive(Clone, Debug)]
struct Stored {
    value: Vec<u8>,
    checksum: Cell<Checksum>,
}

impl Stored {
    fn new(value: Vec<u8>) -> Self {
        Self {
            value,
            checksum: Cell::new(Checksum::OfBytes),
        }
    }

    /// The checksum as it is stored.
    fn crc32(&self, key: &[u8]) -> u32 {
        match self.checksum.get() {
            Checksum::Made(crc32) | Checksum::Written(crc32) => crc32,
            Checksum::OfBytes => {
                let crc32 = checksum(key, &self.value);
                self.checksum.set(Checksum::Made(crc32));
                crc32
            }
        }
    }

    fn holds(&self, key: &[u8]) -> bool {
        match self.checksum.get() {
            Checksum::OfBytes | Checksum::Made(_) => true,
            Checksum::Written(crc32) => Rows::holds(key, &self.value, crc32),
        }
    }

    /// Alters the bytes and leaves the checksum of those that were written; if there are none to alter, the checksum.
    fn spoil(&mut self, key: &[u8], alter: impl FnOnce(&mut Vec<u8>)) {
        let crc32 = self.crc32(key);
        if self.value.is_empty() {
            self.checksum.set(Checksum::Written(crc32 ^ 1));
        } else {
            self.checksum.set(Checksum::Written(crc32));
            alter(&mut self.value);
        }
    }
}

/// Undoes one write: what the key held before.
struct Undo {
    space: Space,
    key: Vec<u8>,
    before: Option<Stored>,
}

/// Rows in memory: all are visible, those of the last `tail.len()` batches are not durable.
#[derive(Default)]
pub(super) struct Rows {
    spaces: [BTreeMap<Key, Stored>; Space::ALL.len()],
    /// Undo steps of the batches after `durable`, oldest first.
    tail: VecDeque<Vec<Undo>>,
    durable: u64,
    bytes: u64,
}

impl Rows {
    /// The number of the last batch.
    pub fn last(&self) -> u64 {
        self.durable + self.tail.len() as u64
    }

    /// The number of the last durable batch.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Applies a batch and returns its number.
    pub fn apply(&mut self, batch: Batch) -> u64 {
        let mut step = Vec::with_capacity(batch.writes.len());
        for write in batch.writes {
            match write {
                Write::Put(space, key, value) => {
                    let row = Stored::new(value);
                    let before = self.set(space, &key, Some(row));
                    step.push(Undo { space, key, before });
                }
                Write::Delete(space, key) => {
                    let before = self.set(space, &key, None);
                    step.push(Undo { space, key, before });
                }
                Write::DeleteRange(space, from, to) => {
                    for key in self.keys(space, &from, &to) {
                        let before = self.set(space, &key, None);
                        step.push(Undo { space, key, before });
                    }
                }
            }
        }
        self.tail.push_back(step);
        self.last()
    }

    /// Everything up to and including batch `number` is durable from now on.
    pub fn settle(&mut self, number: u64) {
        while self.durable < number && self.tail.pop_front().is_some() {
            self.durable += 1;
        }
    }

    /// Batches a crash may lose.
    pub fn unsettled(&self) -> usize {
        self.tail.len()
    }

    /// Undoes the newest batches until `keep` unsettled ones are left; those become durable.
    pub fn crash(&mut self, keep: usize) {
        while self.tail.len() > keep {
            let Some(step) = self.tail.pop_back() else {
                break;
            };
            for undo in step.into_iter().rev() {
                self.set(undo.space, &undo.key, undo.before);
            }
        }
        self.settle(self.last());
    }

    /// The rows of a space that are left when all unsettled batches are undone, but for those that do not hold.
    pub fn durable_rows(&self, space: Space) -> Vec<Row> {
        let mut durable: BTreeMap<&[u8], &Stored> = BTreeMap::new();
        for (key, stored) in self.of(space) {
            durable.insert(key, stored);
        }
        for undo in self.tail.iter().rev().flat_map(|step| step.iter().rev()) {
            if undo.space != space {
                continue;
            }
            match &undo.before {
                Some(stored) => durable.insert(&undo.key, stored),
                None => durable.remove(undo.key.as_slice()),
            };
        }
        let sound = durable
            .into_iter()
            .filter(|(key, stored)| stored.holds(key));
        sound
            .map(|(key, stored)| (key.to_vec(), stored.value.clone()))
            .collect()
    }

    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, BadRow> {
        let stored = self.of(space).get(&Key::from(key));
        stored
            .map(|stored| verified(space, key, stored))
            .transpose()
    }

    pub fn scan(&self, scan: &Scan) -> Result<Vec<Row>, BadRow> {
        if scan.from >= scan.to {
            return Ok(Vec::new());
        }
        let range = self.of(scan.space).range(bounds(&scan.from, &scan.to));
        let row = |(key, stored): (&Key, &Stored)| {
            verified(scan.space, key, stored).map(|value| (key.to_vec(), value))
        };
        match scan.direction {
            Direction::Ascending => range.take(scan.rows_max).map(row).collect(),
            Direction::Descending => range.rev().take(scan.rows_max).map(row).collect(),
        }
    }

    /// A row's value, not verified.
    pub fn value(&self, space: Space, key: &[u8]) -> Option<&[u8]> {
        let stored = self.of(space).get(&Key::from(key))?;
        Some(stored.value.as_slice())
    }

    /// The rows of a space from the last one down, not verified, until `look` says no.
    pub fn back(&self, space: Space, mut look: impl FnMut(&[u8], &[u8]) -> bool) {
        for (key, stored) in self.of(space).iter().rev() {
            if !look(key, &stored.value) {
                return;
            }
        }
    }

    /// A row's value if everything unsettled were lost.
    pub fn durable_value(&self, space: Space, key: &[u8]) -> Option<&[u8]> {
        let undone = self.tail.iter().flatten();
        let mut undone = undone.filter(|undo| undo.space == space && undo.key == key);
        match undone.next() {
            Some(first) => Some(first.before.as_ref()?.value.as_slice()),
            None => self.value(space, key),
        }
    }

    /// The last row of a space if everything unsettled were lost.
    pub fn durable_last(&self, space: Space) -> Option<(&[u8], &[u8])> {
        let mut overlay: BTreeMap<&[u8], Option<&Stored>> = BTreeMap::new();
        for undo in self.tail.iter().flatten() {
            if undo.space == space {
                let before = undo.before.as_ref();
                overlay.entry(undo.key.as_slice()).or_insert(before);
            }
        }
        let rows = self.of(space).iter();
        let mut settled = rows.rev().map(|(key, stored)| (key.as_slice(), stored));
        let settled = settled.find(|(key, _)| !overlay.contains_key(key));
        let undone = overlay.iter().rev();
        let mut undone = undone.filter_map(|(key, before)| Some((*key, (*before)?)));
        let last = settled.into_iter().chain(undone.next());
        let last = last.max_by_key(|(key, _)| *key);
        last.map(|(key, stored)| (key, stored.value.as_slice()))
    }

    /// All rows in order, as they are stored.
    pub fn all(&self) -> impl Iterator<Item = (Space, &[u8], &[u8], u32)> {
        Space::ALL.into_iter().flat_map(|space| {
            self.of(space).iter().map(move |(key, stored)| {
                let crc32 = stored.crc32(key);
                (space, key.as_slice(), stored.value.as_slice(), crc32)
            })
        })
    }

    /// Puts a durable row whose checksum was found to hold.
    pub fn load(&mut self, space: Space, key: &[u8], value: Vec<u8>) {
        self.set(space, key, Some(Stored::new(value)));
    }

    /// The row's checksum matches its bytes.
    pub fn holds(key: &[u8], value: &[u8], crc32: u32) -> bool {
        checksum(key, value) == crc32
    }

    /// Turns one bit of a row's value over, modulo its length; an empty value gets a wrong checksum.
    pub fn flip(&mut self, space: Space, key: &[u8], bit: u64) -> Option<()> {
        let row = self.of_mut(space).get_mut(&Key::from(key))?;
        row.spoil(key, |value| flip_bit(value, bit));
        Some(())
    }

    /// Leaves half of the last row's value under the checksum of the whole; returns its key.
    pub fn tear_last(&mut self, space: Space) -> Option<Vec<u8>> {
        let (key, row) = self.of_mut(space).iter_mut().next_back()?;
        let len = row.value.len();
        row.spoil(key, |value| value.truncate(len / 2));
        let (key, lost) = (key.to_vec(), len - row.value.len());
        self.bytes -= lost as u64;
        Some(key)
    }

    /// The key of the `nth` row of a space, modulo their count.
    pub fn nth_key(&self, space: Space, nth: u64) -> Option<Vec<u8>> {
        let rows = self.of(space);
        let at = usize::try_from(nth.checked_rem(rows.len() as u64)?).ok()?;
        rows.keys().nth(at).map(|key| key.to_vec())
    }

    fn keys(&self, space: Space, from: &[u8], to: &[u8]) -> Vec<Vec<u8>> {
        if from >= to {
            return Vec::new();
        }
        let range = self.of(space).range(bounds(from, to));
        range.map(|(key, _)| key.to_vec()).collect()
    }

    fn of(&self, space: Space) -> &BTreeMap<Key, Stored> {
        &self.spaces[at(space)]
    }

    fn of_mut(&mut self, space: Space) -> &mut BTreeMap<Key, Stored> {
        &mut self.spaces[at(space)]
    }

    fn set(&mut self, space: Space, key: &[u8], row: Option<Stored>) -> Option<Stored> {
        let rows = &mut self.spaces[at(space)];
        let size = |row: &Stored| (key.len() + row.value.len()) as u64;
        let after = row.as_ref().map_or(0, size);
        let before = match row {
            Some(row) => rows.insert(Key::from(key), row),
            None => rows.remove(&Key::from(key)),
        };
        self.bytes = self.bytes + after - before.as_ref().map_or(0, size);
        before
    }
}

/// Turns over bit `bit` of `bytes`, modulo their length.
pub(super) fn flip_bit(bytes: &mut [u8], bit: u64) {
    let bits = bytes.len() as u64 * 8;
    if let Some(at) = bit.checked_rem(bits)
        && let Some(byte) = usize::try_from(at / 8)
            .ok()
            .and_then(|at| bytes.get_mut(at))
    {
        *byte ^= 1 << (at % 8);
    }
}

/// A space's place in [`Space::ALL`], which lists them as they are declared.
const fn at(space: Space) -> usize {
    space as usize
}

fn bounds(from: &[u8], to: &[u8]) -> (Bound<Key>, Bound<Key>) {
    (
        Bound::Included(Key::from(from)),
        Bound::Excluded(Key::from(to)),
    )
}

fn verified(space: Space, key: &[u8], stored: &Stored) -> Result<Vec<u8>, BadRow> {
    if stored.holds(key) {
        return Ok(stored.value.clone());
    }
    Err(BadRow {
        space,
        key: key.to_vec(),
    })
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

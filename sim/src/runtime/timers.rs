//! Pending timers: an indexed heap, ordered by true time.
//!
//! Those of the far future wait beside the heap, unordered, so that it stays
//! small. Equal times fire in the order of registration. A timer can be cancelled in
//! O(log n) without leaving a tombstone, because most time limits never fire.
//! Wakers are handed out, never dropped in here: dropping one may run code
//! that comes back to the timers.

use std::task::Waker;
use std::time::Duration;

use super::clock::{SimInstant, SimTime};
use super::nodes::NodeIndex;

/// Names a registered timer; stale once it fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimerKey {
    slot: u32,
    generation: u32,
}

/// The clock a deadline is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// True time.
    True(SimTime),
    /// The monotonic clock of a node.
    Node(NodeIndex, SimInstant),
}

pub(super) struct Timer {
    pub(super) deadline: Deadline,
    /// The node whose task waits: its timers go when it is killed.
    pub(super) owner: NodeIndex,
    pub(super) waker: Waker,
}

/// Where the item of a timer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Near(u32),
    Far(u32),
}

struct Entry {
    generation: u32,
    position: Position,
    timer: Option<Timer>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    at: SimTime,
    serial: u64,
    slot: u32,
}

#[derive(Default)]
pub(super) struct Timers {
    /// Those up to `horizon`; empty only when there are no timers.
    heap: Vec<Item>,
    /// The others.
    far: Vec<Item>,
    horizon: SimTime,
    entries: Vec<Entry>,
    free: Vec<u32>,
    next_serial: u64,
}

impl Timers {
    pub(super) fn len(&self) -> usize {
        self.heap.len() + self.far.len()
    }

    pub(super) fn next_at(&self) -> Option<SimTime> {
        self.heap.first().map(|item| item.at)
    }

    pub(super) fn insert(&mut self, at: SimTime, timer: Timer) -> TimerKey {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.entries.push(Entry {
                    generation: 0,
                    position: Position::Near(0),
                    timer: None,
                });
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 timers fit in memory")
            }
        };
        let entry = &mut self.entries[slot as usize];
        entry.timer = Some(timer);
        let key = TimerKey {
            slot,
            generation: entry.generation,
        };
        let item = Item {
            at,
            serial: self.next_serial,
            slot,
        };
        self.next_serial += 1;
        if at <= self.horizon {
            self.heap.push(item);
            self.rise(self.heap.len() - 1);
        } else {
            self.far.push(item);
            self.place_far(self.far.len() - 1);
            self.refill();
        }
        key
    }

    /// Replaces the waker of a pending timer and returns the one to drop; gives
    /// the new one back if the timer is no longer pending.
    pub(super) fn set_waker(&mut self, key: TimerKey, waker: &Waker) -> SetWaker {
        match self.entry(key).and_then(|entry| entry.timer.as_mut()) {
            None => SetWaker::Stale,
            Some(timer) if timer.waker.will_wake(waker) => SetWaker::Same,
            Some(timer) => SetWaker::Replaced(std::mem::replace(&mut timer.waker, waker.clone())),
        }
    }

    pub(super) fn cancel(&mut self, key: TimerKey) -> Option<Waker> {
        let position = self.entry(key)?.position;
        let waker = match position {
            Position::Near(position) => self.take(position as usize).waker,
            Position::Far(position) => self.take_far(position as usize).waker,
        };
        Some(waker)
    }

    /// Takes the first timer that is due at `now`.
    pub(super) fn pop_due(&mut self, now: SimTime) -> Option<Waker> {
        let first = self.heap.first()?;
        (first.at <= now).then(|| self.take(0).waker)
    }

    /// Cancels every timer that a task of `owner` waits for.
    pub(super) fn cancel_owned(&mut self, owner: NodeIndex) -> Vec<Waker> {
        let owned: Vec<TimerKey> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| {
                entry
                    .timer
                    .as_ref()
                    .is_some_and(|timer| timer.owner == owner)
            })
            .map(|(slot, entry)| TimerKey {
                slot: slot as u32,
                generation: entry.generation,
            })
            .collect();
        owned
            .into_iter()
            .filter_map(|key| self.cancel(key))
            .collect()
    }

    /// Places the timers on the clock of `node` anew, after that clock changed.
    pub(super) fn reschedule(
        &mut self,
        node: NodeIndex,
        true_time: impl Fn(SimInstant) -> SimTime,
    ) {
        self.heap.append(&mut self.far);
        for item in &mut self.heap {
            let timer = self.entries[item.slot as usize].timer.as_ref();
            match timer.map(|timer| timer.deadline) {
                Some(Deadline::Node(on, deadline)) if on == node => item.at = true_time(deadline),
                Some(Deadline::Node(..) | Deadline::True(_)) | None => {}
            }
        }
        // A sorted array is a heap.
        self.heap.sort_unstable();
        self.horizon = self.next_at().unwrap_or_default() + NEAR;
        let horizon = self.horizon;
        let near = self.heap.partition_point(|item| item.at <= horizon);
        self.far = self.heap.split_off(near);
        (0..self.heap.len()).for_each(|position| self.place(position));
        (0..self.far.len()).for_each(|position| self.place_far(position));
    }

    /// When no near timer is left: the next of the far ones are near from now on.
    fn refill(&mut self) {
        if !self.heap.is_empty() {
            return;
        }
        let Some(first) = self.far.iter().map(|item| item.at).min() else {
            return;
        };
        self.horizon = first + NEAR;
        let mut position = 0;
        while let Some(item) = self.far.get(position).copied() {
            if item.at <= self.horizon {
                self.remove_far(position);
                self.heap.push(item);
                self.rise(self.heap.len() - 1);
            } else {
                position += 1;
            }
        }
    }

    fn remove_far(&mut self, position: usize) -> Item {
        let item = self.far.swap_remove(position);
        if position < self.far.len() {
            self.place_far(position);
        }
        item
    }

    fn take_far(&mut self, position: usize) -> Timer {
        let item = self.remove_far(position);
        self.release(item)
    }

    fn entry(&mut self, key: TimerKey) -> Option<&mut Entry> {
        self.entries
            .get_mut(key.slot as usize)
            .filter(|entry| entry.generation == key.generation)
    }

    fn take(&mut self, position: usize) -> Timer {
        let item = self.heap.swap_remove(position);
        if position < self.heap.len() {
            self.place(position);
            if !self.rise(position) {
                self.sink(position);
            }
        }
        self.refill();
        self.release(item)
    }

    fn release(&mut self, item: Item) -> Timer {
        let entry = &mut self.entries[item.slot as usize];
        // A key is stale from here on; 2^32 reuses of one slot within one wait do not happen.
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(item.slot);
        entry
            .timer
            .take()
            .expect("the slot of an item holds a timer")
    }

    fn place(&mut self, position: usize) {
        let slot = self.heap[position].slot;
        self.entries[slot as usize].position = Position::Near(position as u32);
    }

    fn place_far(&mut self, position: usize) {
        let slot = self.far[position].slot;
        self.entries[slot as usize].position = Position::Far(position as u32);
    }

    /// Moves an item up to its place; tells whether it moved.
    fn rise(&mut self, start: usize) -> bool {
        let item = self.heap[start];
        let mut position = start;
        while position > 0 {
            let parent = (position - 1) / CHILDREN;
            if self.heap[parent] <= item {
                break;
            }
            self.heap[position] = self.heap[parent];
            self.place(position);
            position = parent;
        }
        self.heap[position] = item;
        self.place(position);
        position != start
    }

    fn sink(&mut self, start: usize) {
        let item = self.heap[start];
        let mut position = start;
        loop {
            let first = CHILDREN * position + 1;
            let end = (first + CHILDREN).min(self.heap.len());
            let children = self.heap.get(first..end).unwrap_or_default();
            let least = children.iter().zip(first..).min();
            match least {
                Some((child, at)) if *child < item => {
                    self.heap[position] = *child;
                    self.place(position);
                    position = at;
                }
                Some(_) | None => break,
            }
        }
        self.heap[position] = item;
        self.place(position);
    }
}

/// How far ahead a timer is near. The far ones are gone through once in this time at most.
const NEAR: Duration = Duration::from_secs(2);

/// Of each item of the heap: a heap of four is half as deep as one of two, and its children lie side by side.
const CHILDREN: usize = 4;

/// What became of a waker offered to a timer.
pub(super) enum SetWaker {
    /// The timer fired or was cancelled.
    Stale,
    /// It already wakes the same task.
    Same,
    /// Taken; the earlier one is to be dropped by the caller.
    Replaced(Waker),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rng::RandomStream;
    use super::*;

    fn timer(owner: u32) -> Timer {
        Timer {
            deadline: Deadline::True(SimTime::ZERO),
            owner: NodeIndex(owner),
            waker: Waker::noop().clone(),
        }
    }

    /// Random inserts, cancels and pops behave as an ordered map does.
    fn check_against_map(seed: u64) {
        let mut random = RandomStream::derive(&[seed]);
        let mut timers = Timers::default();
        let mut model: BTreeMap<(SimTime, usize), TimerKey> = BTreeMap::new();
        let mut now = SimTime::ZERO;
        for serial in 0..2_000 {
            match random.below(4) {
                0 | 1 => {
                    let far = random.below(2) * random.below(5) * 1_000_000_000;
                    let at = SimTime::from_ns(now.as_ns() + far + random.below(50));
                    model.insert((at, serial), timers.insert(at, timer(0)));
                }
                2 if !model.is_empty() => {
                    let at = random.below(model.len() as u64) as usize;
                    let chosen = *model.keys().nth(at).unwrap();
                    let key = model.remove(&chosen).unwrap();
                    assert!(timers.cancel(key).is_some());
                    assert!(timers.cancel(key).is_none(), "a cancelled key is stale");
                }
                _ => {
                    let Some((&(at, first), &key)) = model.first_key_value() else {
                        continue;
                    };
                    assert_eq!(timers.next_at(), Some(at));
                    now = at;
                    assert!(timers.pop_due(now).is_some());
                    assert!(timers.cancel(key).is_none(), "a fired key is stale");
                    model.remove(&(at, first));
                }
            }
            assert_eq!(timers.len(), model.len());
            assert_eq!(timers.next_at(), model.keys().next().map(|(at, _)| *at));
        }
    }

    #[test]
    fn the_heap_behaves_as_an_ordered_map() {
        for seed in 0..20 {
            check_against_map(seed);
        }
    }

    #[test]
    fn cancelling_an_owner_leaves_the_others() {
        let mut timers = Timers::default();
        for at in 0..30 {
            timers.insert(SimTime::from_ns(at), timer((at % 3) as u32));
        }
        assert_eq!(timers.cancel_owned(NodeIndex(1)).len(), 10);
        assert_eq!(timers.len(), 20);
        assert_eq!(timers.cancel_owned(NodeIndex(1)).len(), 0);
    }
}

//! The queues in memory: one group per (treasury, memo, lane), and when each is due.
//!
//! A payment that never backed off is `ready`: 24 bytes of payload in a map that is filled at
//! its end and drained at its front. One that did is `delayed`. Which of the two depends on
//! the stored row alone, so reloading gives the same queues. Deadlines are derived, never
//! digested; they hold for the policy of the last `set_timing`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::command::{GroupKey, Policy};
use crate::decision::{BatchPayment, Queued, Trigger};
use crate::fees::book::place;
use crate::fees::market::Congestion;
use crate::ids::PaymentId;
use crate::units::{Lane, UnixMs};

/// A waiting payment, without what its group already says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Since when, for the batch timeout.
    pub queued_at: UnixMs,
    /// Failures so far.
    pub failures: u16,
}

/// A waiting payment that backed off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// Since when, for the batch timeout.
    pub queued_at: UnixMs,
    /// Not before this moment.
    pub not_before: UnixMs,
    /// Failures so far.
    pub failures: u16,
}

/// The payments of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    ready: BTreeMap<PaymentId, Waiting>,
    delayed: BTreeMap<PaymentId, Delayed>,
    /// The delayed ones by when they may leave.
    maturing: BTreeSet<(UnixMs, PaymentId)>,
    /// What the index of deadlines holds for this group.
    due_at: Option<UnixMs>,
}

/// When a group is due, as the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timing {
    size_max: usize,
    size_min: usize,
    timeout_ms: u64,
    immediate_from: Lane,
    /// How long each lane waits for a cheaper ledger, in milliseconds.
    hold_ms: [u64; 4],
    /// The wait after which a payment of each lane counts for the next one, in milliseconds.
    urgent_after_ms: [u64; 4],
}

const LANES: [Lane; 4] = [Lane::Low, Lane::Medium, Lane::High, Lane::Critical];

/// Due groups of a lane of which it is asked whether they count for the next one.
const AGED_LOOK_MAX: usize = 64;

impl Timing {
    fn of(policy: &Policy, congestion: Congestion) -> Self {
        let urgent_after_ms = LANES.map(|lane| policy.lane(lane).urgent_after_ms());
        let (size_max, deferred) = match congestion {
            Congestion::Calm | Congestion::Busy => (policy.batch_size_max, None),
            Congestion::Surge => (
                policy.surge_size_max.min(policy.batch_size_max),
                policy.defer_up_to,
            ),
        };
        let hold = |lane: Lane| {
            let waits = deferred.is_some_and(|up_to| lane <= up_to);
            if waits {
                policy.lane(lane).urgent_after_ms()
            } else {
                0
            }
        };
        Self {
            hold_ms: LANES.map(hold),
            urgent_after_ms,
            size_max: usize::from(size_max).max(1),
            size_min: usize::from(policy.batch_size_min),
            timeout_ms: policy.batch_timeout_ms,
            immediate_from: policy.immediate_from,
        }
    }
}

impl Group {
    /// How many payments wait, those in back-off included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len().saturating_add(self.delayed.len())
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.delayed.is_empty()
    }

    /// The place of a payment, without its group.
    #[must_use]
    pub fn get(&self, payment: PaymentId) -> Option<Delayed> {
        match self.ready.get(&payment) {
            Some(waiting) => Some(undelayed(*waiting)),
            None => self.delayed.get(&payment).copied(),
        }
    }

    /// All places, the ready ones first, each part in the order of acceptance.
    pub fn places(&self) -> impl Iterator<Item = (PaymentId, Delayed)> + '_ {
        let ready = self
            .ready
            .iter()
            .map(|(id, place)| (*id, undelayed(*place)));
        ready.chain(self.delayed.iter().map(|(id, place)| (*id, *place)))
    }

    fn insert(&mut self, payment: PaymentId, place: Delayed) -> Option<Delayed> {
        let old = self.remove(payment);
        if place.not_before <= place.queued_at {
            let Delayed {
                queued_at,
                not_before: _,
                failures,
            } = place;
            self.ready.insert(
                payment,
                Waiting {
                    queued_at,
                    failures,
                },
            );
        } else {
            self.maturing.insert((place.not_before, payment));
            self.delayed.insert(payment, place);
        }
        old
    }

    fn remove(&mut self, payment: PaymentId) -> Option<Delayed> {
        if let Some(waiting) = self.ready.remove(&payment) {
            return Some(undelayed(waiting));
        }
        let place = self.delayed.remove(&payment)?;
        self.maturing.remove(&(place.not_before, payment));
        Some(place)
    }

    /// The first `size_max` that may leave at `now`, by id; of those that backed off, the
    /// first to have matured compete.
    fn candidates(&self, now: UnixMs, size_max: usize) -> Vec<BatchPayment> {
        let place = |(id, place): (&PaymentId, &Waiting)| BatchPayment {
            payment: *id,
            queued_at: place.queued_at,
            failures: place.failures,
        };
        let mut found: Vec<BatchPayment> = self.ready.iter().take(size_max).map(place).collect();
        if !self.maturing.is_empty() {
            let matured = self.maturing.range(..=(now, PaymentId(u64::MAX)));
            found.extend(matured.take(size_max).filter_map(|(_, id)| {
                let place = self.delayed.get(id)?;
                let Delayed {
                    queued_at,
                    not_before: _,
                    failures,
                } = *place;
                Some(BatchPayment {
                    payment: *id,
                    queued_at,
                    failures,
                })
            }));
            found.sort_unstable_by_key(|candidate| candidate.payment);
            found.truncate(size_max);
        }
        found
    }

    /// Since when the first ready payment waits, or the first that matures, whichever is longer ago.
    fn oldest(&self) -> Option<UnixMs> {
        let ready = self
            .ready
            .first_key_value()
            .map(|(_, first)| first.queued_at);
        let matured = self
            .maturing
            .first()
            .and_then(|(_, id)| self.delayed.get(id))
            .map(|place| place.queued_at);
        ready.into_iter().chain(matured).min()
    }

    /// The moment from which `count` payments may leave, if that many wait.
    fn full_at(&self, count: usize) -> Option<UnixMs> {
        let missing = count.saturating_sub(self.ready.len());
        match missing.checked_sub(1) {
            None => self
                .ready
                .first_key_value()
                .map(|(_, first)| first.queued_at),
            Some(nth) if missing <= self.maturing.len() => {
                self.maturing.iter().nth(nth).map(|(at, _)| *at)
            }
            Some(_) => None,
        }
    }

    /// The earliest reason to form a batch, and when it holds.
    ///
    /// The age that counts is that of the first ready payment and of the first to mature.
    fn due(&self, lane: Lane, timing: Timing) -> Option<(UnixMs, Trigger)> {
        let size = self.full_at(timing.size_max).map(|at| (at, Trigger::Size));
        let ready = self
            .ready
            .first_key_value()
            .map(|(_, first)| undelayed(*first));
        let matured = self
            .maturing
            .first()
            .and_then(|(_, id)| self.delayed.get(id).copied());
        let firsts = [ready, matured];
        let other = if lane >= timing.immediate_from {
            let at = firsts
                .into_iter()
                .flatten()
                .map(|place| place.not_before.max(place.queued_at));
            at.min().map(|at| (at, Trigger::Immediate))
        } else {
            let company_at = self.full_at(timing.size_min.max(1));
            let at = firsts.into_iter().flatten().map(|place| {
                let alone = place.queued_at.plus(timing.timeout_ms.saturating_mul(2));
                let together = company_at.map(|at| at.max(place.queued_at.plus(timing.timeout_ms)));
                let waited = together.map_or(alone, |together| together.min(alone));
                waited.max(place.not_before)
            });
            at.min().map(|at| (at, Trigger::Time))
        };
        // Nobody of a lane that waits for a cheaper ledger leaves before the oldest becomes urgent.
        let oldest = self.oldest().unwrap_or_default();
        let held_until = oldest.plus(timing.hold_ms.get(place(lane)).copied().unwrap_or(0));
        let held = |(at, trigger): (UnixMs, Trigger)| (at.max(held_until), trigger);
        let (size, other) = (size.map(held), other.map(held));
        // At the same moment a full batch is called full.
        match (size, other) {
            (Some(size), Some(other)) if size.0 <= other.0 => Some(size),
            (size, other) => other.or(size),
        }
    }
}

fn undelayed(waiting: Waiting) -> Delayed {
    let Waiting {
        queued_at,
        failures,
    } = waiting;
    Delayed {
        queued_at,
        not_before: queued_at,
        failures,
    }
}

/// All groups and their deadlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    groups: BTreeMap<GroupKey, Group>,
    /// Per lane, the most urgent first: a lane that is due goes before any slower one.
    deadlines: BTreeMap<core::cmp::Reverse<Lane>, BTreeSet<(UnixMs, GroupKey)>>,
    queued: u64,
    timing: Timing,
}

impl Queues {
    /// Empty queues under a policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            groups: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            queued: 0,
            timing: Timing::of(policy, Congestion::Calm),
        }
    }

    /// The groups with waiting payments.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<GroupKey, Group> {
        &self.groups
    }

    /// Payments waiting in all groups.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Puts a payment in its group; gives back the place it had there.
    pub fn insert(&mut self, payment: PaymentId, queued: &Queued) -> Option<Delayed> {
        let Queued {
            group,
            queued_at,
            not_before,
            failures,
        } = queued;
        let place = Delayed {
            queued_at: *queued_at,
            not_before: *not_before,
            failures: *failures,
        };
        let old = match self.groups.get_mut(group) {
            Some(found) => found.insert(payment, place),
            None => self
                .groups
                .entry(group.clone())
                .or_default()
                .insert(payment, place),
        };
        if old.is_none() {
            self.queued = self.queued.saturating_add(1);
        }
        self.reschedule(group);
        old
    }

    /// Takes a payment out of its group; gives back the place it had.
    pub fn remove(&mut self, payment: PaymentId, group: &GroupKey) -> Option<Delayed> {
        let old = self.groups.get_mut(group)?.remove(payment)?;
        self.queued = self.queued.saturating_sub(1);
        self.reschedule(group);
        Some(old)
    }

    /// Takes over a policy, and how hard it is to get into a ledger: every deadline may move.
    pub fn set_timing(&mut self, policy: &Policy, congestion: Congestion) {
        let timing = Timing::of(policy, congestion);
        if timing == self.timing {
            return;
        }
        self.timing = timing;
        self.deadlines.clear();
        for (key, group) in &mut self.groups {
            group.due_at = group.due(key.lane, timing).map(|(at, _)| at);
            if let Some(at) = group.due_at {
                let lane = self
                    .deadlines
                    .entry(core::cmp::Reverse(key.lane))
                    .or_default();
                lane.insert((at, key.clone()));
            }
        }
    }

    /// Brings the deadline of one group up to date; most insertions leave it as it is.
    fn reschedule(&mut self, key: &GroupKey) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let due_at = group.due(key.lane, self.timing).map(|(at, _)| at);
        let old = core::mem::replace(&mut group.due_at, due_at);
        if group.is_empty() {
            self.groups.remove(key);
        }
        if old == due_at {
            return;
        }
        let lane = self
            .deadlines
            .entry(core::cmp::Reverse(key.lane))
            .or_default();
        if let Some(at) = old {
            lane.remove(&(at, key.clone()));
        }
        if let Some(at) = due_at {
            lane.insert((at, key.clone()));
        }
    }

    /// Why a batch of this group may form now, if it may.
    #[must_use]
    pub fn trigger(&self, key: &GroupKey, now: UnixMs) -> Option<Trigger> {
        let (at, trigger) = self.groups.get(key)?.due(key.lane, self.timing)?;
        (at <= now).then_some(trigger)
    }

    /// The payments that a batch of this group takes now, by id.
    #[must_use]
    pub fn candidates(&self, key: &GroupKey, now: UnixMs) -> Vec<BatchPayment> {
        let group = self.groups.get(key);
        group
            .map(|group| group.candidates(now, self.timing.size_max))
            .unwrap_or_default()
    }

    /// The groups that are due, the most urgent lane first, in it the earliest due first; before them those of the
    /// lane below whose payments waited so long that they count for this one.
    pub fn due(&self, now: UnixMs) -> impl Iterator<Item = &GroupKey> {
        let aged =
            move |(at, key): (usize, &GroupKey)| at < AGED_LOOK_MAX && self.is_aged(key, now);
        LANES.into_iter().rev().flat_map(move |lane| {
            let below = LANES.into_iter().rev().find(|other| *other < lane);
            let risen = below.into_iter().flat_map(move |lane| {
                let due = self.due_in(lane, now).enumerate();
                due.filter(move |at| aged(*at)).map(|(_, key)| key)
            });
            let own = self.due_in(lane, now).enumerate();
            let own = own.filter(move |at| !aged(*at)).map(|(_, key)| key);
            risen.chain(own)
        })
    }

    fn due_in(&self, lane: Lane, now: UnixMs) -> impl Iterator<Item = &GroupKey> {
        let deadlines = self.deadlines.get(&core::cmp::Reverse(lane));
        deadlines.into_iter().flat_map(move |deadlines| {
            let due = deadlines.iter().take_while(move |(at, _)| *at <= now);
            due.map(|(_, key)| key)
        })
    }

    /// Whether the oldest payment of a group counts for the next lane.
    fn is_aged(&self, key: &GroupKey, now: UnixMs) -> bool {
        let after_ms = self.timing.urgent_after_ms.get(place(key.lane));
        let oldest = self.groups.get(key).and_then(Group::oldest);
        key.lane < Lane::Critical
            && after_ms
                .zip(oldest)
                .is_some_and(|(after_ms, oldest)| now.since(oldest) >= *after_ms)
    }

    /// The earliest moment at which some group is due.
    #[must_use]
    pub fn next_due_at(&self) -> Option<UnixMs> {
        self.deadlines
            .values()
            .filter_map(|lane| lane.first())
            .map(|(at, _)| *at)
            .min()
    }

    /// Whether one more group would be new.
    #[must_use]
    pub fn holds(&self, key: &GroupKey) -> bool {
        self.groups.contains_key(key)
    }
}

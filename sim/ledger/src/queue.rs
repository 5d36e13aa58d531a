//! Pending transactions, in stellar-core's rules: one for each source account, replaced only by
//! a fee bump at ten times the rate, dropped and banned when they grow old or are outbid.
//! Invariants: the queue holds at most `capacity_ops`; `fees` is the sum of the pending bids.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use stellar_xdr::AccountId;

use crate::book::Book;
use crate::codes::{TxError, Verdict};
use crate::config::Config;
use crate::envelope::{Parsed, TxHash};
use crate::validity::{self, Moment};

/// A replacement must offer this many times the rate of what it replaces.
const REPLACE_FACTOR: i128 = 10;

/// A fee offered for a number of operations. Rates are compared without division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bid {
    pub(crate) fee_stroops: i64,
    pub(crate) ops: u32,
}

impl Bid {
    fn of(parsed: &Parsed) -> Self {
        Self {
            fee_stroops: parsed.fee_max_stroops(),
            ops: parsed.ops(),
        }
    }

    pub(crate) fn compare_rate(self, other: Self) -> Ordering {
        let left = i128::from(self.fee_stroops) * i128::from(other.ops);
        let right = i128::from(other.fee_stroops) * i128::from(self.ops);
        left.cmp(&right)
    }

    /// Stroops for one operation, rounded down.
    pub(crate) fn rate_stroops(self) -> i64 {
        self.fee_stroops / i64::from(self.ops.max(1))
    }

    /// The fee with which `ops` operations beat this rate.
    fn to_beat(self, ops: u32) -> i64 {
        let exact = i128::from(self.fee_stroops) * i128::from(ops) / i128::from(self.ops.max(1));
        i64::try_from(exact + 1).unwrap_or(i64::MAX)
    }

    /// The fee with which `ops` operations replace this bid.
    fn to_replace(self, ops: u32) -> i64 {
        let old_ops = i128::from(self.ops.max(1));
        let product = REPLACE_FACTOR * i128::from(self.fee_stroops) * i128::from(ops);
        i64::try_from((product + old_ops - 1) / old_ops).unwrap_or(i64::MAX)
    }
}

/// A transaction of ours that waits.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) parsed: Parsed,
    age_ledgers: u32,
}

/// A transaction of others that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForeignTx {
    pub(crate) bid: Bid,
    pub(crate) tie: u64,
    age_ledgers: u32,
}

/// What the queue says of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Pending,
    Duplicate,
    TryAgainLater,
    Refused(Verdict),
}

/// Who waits at some place.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Ours(AccountId),
    Foreign(usize),
}

/// One waiting transaction as an auction sees it.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) slot: Slot,
    pub(crate) bid: Bid,
    tie: u64,
}

/// All that waits, and what may not come back yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    by_source: BTreeMap<AccountId, Pending>,
    foreign: Vec<ForeignTx>,
    fees: BTreeMap<AccountId, i128>,
    /// The ledger from which a hash may be submitted again.
    banned_until: BTreeMap<TxHash, u32>,
    /// The highest bid evicted since the last close: newcomers must beat it.
    evicted: Option<Bid>,
    ops: u64,
}

impl Queue {
    /// Takes the transaction in or says why not. `latest` is the last closed ledger.
    pub(crate) fn submit(
        &mut self,
        book: &Book,
        parsed: Parsed,
        moment: Moment,
        config: &Config,
        latest: u32,
    ) -> Admission {
        if self.banned_until.contains_key(&parsed.outer_hash) {
            return Admission::TryAgainLater;
        }
        let bid = Bid::of(&parsed);
        if bid.fee_stroops < 0 {
            return Admission::Refused(Verdict::Outer(TxError::Malformed));
        }
        let source = parsed.source();
        let replaced = match self.replaceable(&source, &parsed, bid) {
            Ok(replaced) => replaced,
            Err(refusal) => return refusal,
        };
        let victims = match self.make_room(bid, &source, replaced, config) {
            Ok(victims) => victims,
            Err(needed) => {
                self.ban(parsed.outer_hash, latest, config);
                let error = TxError::InsufficientFee(needed);
                return Admission::Refused(Verdict::Outer(error));
            }
        };
        if let Err(verdict) = validity::check(book, &parsed, moment) {
            return Admission::Refused(verdict);
        }
        if !self.covers_fees(book, &parsed, moment) {
            return Admission::Refused(Verdict::Outer(TxError::InsufficientBalance));
        }
        self.evict(victims, latest, config);
        self.remove(&source);
        *self.fees.entry(parsed.fee_source()).or_default() += i128::from(bid.fee_stroops);
        self.ops += u64::from(bid.ops);
        let pending = Pending {
            parsed,
            age_ledgers: 0,
        };
        self.by_source.insert(source, pending);
        Admission::Pending
    }

    /// The bid that the transaction would replace, if its source has one pending.
    fn replaceable(
        &self,
        source: &AccountId,
        parsed: &Parsed,
        bid: Bid,
    ) -> Result<Option<Bid>, Admission> {
        let Some(current) = self.by_source.get(source) else {
            return Ok(None);
        };
        let current = &current.parsed;
        let same = current.outer_hash == parsed.outer_hash;
        // The bare inner transaction of a pending bump is the same transaction again.
        let inner_of_current = parsed.bump.is_none() && current.inner_hash == parsed.outer_hash;
        if same || inner_of_current {
            return Err(Admission::Duplicate);
        }
        if parsed.tx.seq_num < current.tx.seq_num {
            let verdict = Verdict::Outer(TxError::BadSeq);
            return Err(Admission::Refused(verdict));
        }
        if parsed.bump.is_none() || parsed.tx.seq_num != current.tx.seq_num {
            return Err(Admission::TryAgainLater);
        }
        let old = Bid::of(current);
        let needed = old.to_replace(bid.ops);
        if bid.fee_stroops < needed {
            let error = TxError::InsufficientFee(needed);
            return Err(Admission::Refused(Verdict::Outer(error)));
        }
        Ok(Some(old))
    }

    /// Who must leave so that the bid fits; the error is the fee that would have been needed.
    fn make_room(
        &self,
        bid: Bid,
        source: &AccountId,
        replaced: Option<Bid>,
        config: &Config,
    ) -> Result<Vec<Offer>, i64> {
        if let Some(evicted) = self.evicted
            && bid.compare_rate(evicted) != Ordering::Greater
        {
            return Err(evicted.to_beat(bid.ops));
        }
        let freed = replaced.map_or(0, |old| u64::from(old.ops));
        let mut ops = self.ops + u64::from(bid.ops) - freed;
        let mut victims = Vec::new();
        if ops <= capacity_ops(config) {
            return Ok(victims);
        }
        let mut lowest_last = self.offers();
        while ops > capacity_ops(config) {
            let Some(lowest) = lowest_last.pop() else {
                // Only a ledger smaller than one transaction comes here.
                return Err(i64::MAX);
            };
            if matches!(&lowest.slot, Slot::Ours(id) if id == source) {
                continue;
            }
            if bid.compare_rate(lowest.bid) != Ordering::Greater {
                return Err(lowest.bid.to_beat(bid.ops));
            }
            ops -= u64::from(lowest.bid.ops);
            victims.push(lowest);
        }
        Ok(victims)
    }

    /// Whether the fee source can pay every pending maximum and this one.
    fn covers_fees(&self, book: &Book, parsed: &Parsed, moment: Moment) -> bool {
        let fee_source = parsed.fee_source();
        let mut total = self.fees.get(&fee_source).copied().unwrap_or(0);
        total += i128::from(parsed.fee_max_stroops());
        if let Some(current) = self.by_source.get(&parsed.source())
            && current.parsed.fee_source() == fee_source
        {
            total -= i128::from(current.parsed.fee_max_stroops());
        }
        let available = book
            .get(&fee_source)
            .map_or(0, |a| a.available_stroops(moment.base_reserve_stroops));
        i128::from(available) >= total
    }

    /// Everything that waits, best bid first; ties by hash.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let mut offers = Vec::with_capacity(self.by_source.len() + self.foreign.len());
        for (source, pending) in &self.by_source {
            offers.push(Offer {
                slot: Slot::Ours(source.clone()),
                bid: Bid::of(&pending.parsed),
                tie: tie_of(pending.parsed.outer_hash),
            });
        }
        for (index, foreign) in self.foreign.iter().enumerate() {
            offers.push(Offer {
                slot: Slot::Foreign(index),
                bid: foreign.bid,
                tie: foreign.tie,
            });
        }
        offers.sort_by(|a, b| b.bid.compare_rate(a.bid).then(a.tie.cmp(&b.tie)));
        offers
    }

    /// Adds foreign transactions, then evicts the lowest bids until the queue fits.
    pub(crate) fn offer_foreign(
        &mut self,
        offered: impl IntoIterator<Item = (Bid, u64)>,
        latest: u32,
        config: &Config,
    ) {
        for (bid, tie) in offered {
            self.ops += u64::from(bid.ops);
            self.foreign.push(ForeignTx {
                bid,
                tie,
                age_ledgers: 0,
            });
        }
        if self.ops <= capacity_ops(config) {
            return;
        }
        let mut lowest_last = self.offers();
        let mut ops = self.ops;
        let mut victims = Vec::new();
        while ops > capacity_ops(config)
            && let Some(lowest) = lowest_last.pop()
        {
            ops -= u64::from(lowest.bid.ops);
            victims.push(lowest);
        }
        self.evict(victims, latest, config);
    }

    fn evict(&mut self, victims: Vec<Offer>, latest: u32, config: &Config) {
        let mut foreign_gone = vec![false; self.foreign.len()];
        for victim in victims {
            let beats = self
                .evicted
                .is_none_or(|old| victim.bid.compare_rate(old) == Ordering::Greater);
            if beats {
                self.evicted = Some(victim.bid);
            }
            match victim.slot {
                Slot::Ours(source) => {
                    if let Some(pending) = self.remove(&source) {
                        self.ban(pending.parsed.outer_hash, latest, config);
                    }
                }
                Slot::Foreign(index) => foreign_gone[index] = true,
            }
        }
        self.remove_foreign(&foreign_gone);
    }

    /// Removes the foreign transactions whose places are marked.
    pub(crate) fn remove_foreign(&mut self, gone: &[bool]) {
        let mut ops = self.ops;
        let mut places = gone.iter();
        self.foreign.retain(|foreign| {
            let leaves = places.next().copied().unwrap_or(false);
            if leaves {
                ops -= u64::from(foreign.bid.ops);
            }
            !leaves
        });
        self.ops = ops;
    }

    /// Forgets all foreign transactions and the bar that they set.
    pub(crate) fn clear_foreign(&mut self) {
        let all = vec![true; self.foreign.len()];
        self.remove_foreign(&all);
        self.evicted = None;
    }

    /// Takes out the pending transaction of a source account.
    pub(crate) fn remove(&mut self, source: &AccountId) -> Option<Pending> {
        let pending = self.by_source.remove(source)?;
        let bid = Bid::of(&pending.parsed);
        let fee_source = pending.parsed.fee_source();
        if let Some(total) = self.fees.get_mut(&fee_source) {
            *total -= i128::from(bid.fee_stroops);
            if *total == 0 {
                self.fees.remove(&fee_source);
            }
        }
        self.ops -= u64::from(bid.ops);
        Some(pending)
    }

    pub(crate) fn ban(&mut self, hash: TxHash, latest: u32, config: &Config) {
        let until = latest.saturating_add(config.ban_ledgers);
        self.banned_until.insert(hash, until);
    }

    /// Ends a ledger: ages what still waits, drops the old, lifts bans that ran out.
    pub(crate) fn shift(&mut self, closed: u32, config: &Config) {
        self.banned_until.retain(|_, until| *until > closed);
        let mut old = Vec::new();
        for (source, pending) in &mut self.by_source {
            pending.age_ledgers += 1;
            if pending.age_ledgers >= config.pending_ledgers {
                old.push(source.clone());
            }
        }
        for source in old {
            if let Some(pending) = self.remove(&source) {
                self.ban(pending.parsed.outer_hash, closed, config);
            }
        }
        for foreign in &mut self.foreign {
            foreign.age_ledgers += 1;
        }
        let gone: Vec<bool> = self
            .foreign
            .iter()
            .map(|f| f.age_ledgers >= config.pending_ledgers)
            .collect();
        self.remove_foreign(&gone);
        self.evicted = None;
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = (&AccountId, &Pending)> {
        self.by_source.iter()
    }

    pub(crate) fn foreign_bid(&self, index: usize) -> Bid {
        self.foreign[index].bid
    }

    pub(crate) fn foreign_len(&self) -> usize {
        self.foreign.len()
    }
}

fn capacity_ops(config: &Config) -> u64 {
    u64::from(config.ledger_ops_max) * u64::from(config.queue_ledgers)
}

fn tie_of(hash: TxHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

//! The decision state: what some decision needs, and nothing else.
//!
//! `absorb` is the only writer of what rows hold; it never fails, and applying an entry and
//! loading the rows again both go through it. Indexes (deadlines, free channels, treasuries)
//! are derived from the rows and stay out of the digest.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::command::{AccountRole, GroupKey, Policy};
use crate::decision::{
    Account, Batch, BatchStage, Change, Effect, PaymentStatus, Queued, Stage, Trigger,
};
use crate::fees::book::FeeHour;
use crate::fees::market::Market;
use crate::ids::{AccountId, BatchId, Hash, Index, PaymentId};
use crate::limits::LIVE_BATCHES_MAX;
use crate::state::digest::{Item, ItemSum};
use crate::state::queue::{Delayed, Group, Queues};
use crate::units::UnixMs;

mod digest;
pub mod queue;

/// The version of the rules that a new cluster starts with.
pub const PROTOCOL_VERSION: u32 = 1;

/// Sums since the first entry; they saturate, which no real cluster reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payments accepted.
    pub submitted: u64,
    /// Payments paid.
    pub settled: u64,
    /// Payments dead-lettered.
    pub failed: u64,
    /// Payments withdrawn.
    pub cancelled: u64,
    /// Attempts stored.
    pub attempts: u64,
    /// Batches that ended settled.
    pub batches_settled: u64,
    /// Batches that ended failed on the ledger.
    pub batches_rolled_back: u64,
    /// Batches given up before the ledger took them.
    pub batches_abandoned: u64,
    /// Fees the ledger charged for settled and rolled back batches, in stroops.
    pub fee_charged_stroops: i128,
}

/// What the state holds that is no row of its own; stored beside the rows at every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMeta {
    /// The machine's time.
    pub now: UnixMs,
    /// The last entry applied.
    pub index: Index,
    /// The version of the rules in force.
    pub protocol_version: u32,
    /// The sums.
    pub totals: Totals,
    /// The audit chain's head.
    pub chain: Hash,
}

impl Default for StateMeta {
    fn default() -> Self {
        Self {
            now: UnixMs(0),
            index: Index(0),
            protocol_version: PROTOCOL_VERSION,
            totals: Totals::default(),
            chain: Hash::default(),
        }
    }
}

/// Everything decisions read besides the prefetched rows.
#[derive(Clone, Debug)]
pub struct State {
    now: UnixMs,
    index: Index,
    protocol_version: u32,
    totals: Totals,
    chain: Hash,
    policy: Policy,
    market: Market,
    hour: FeeHour,
    queues: Queues,
    batches: BTreeMap<BatchId, Batch>,
    /// Payments of the live batches together.
    batched: u64,
    effects: BTreeSet<Effect>,
    accounts: BTreeMap<AccountId, Account>,
    treasuries: BTreeSet<AccountId>,
    free_channels: BTreeSet<AccountId>,
    items: ItemSum,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// The state before the first entry, under the built-in policy.
    #[must_use]
    pub fn new() -> Self {
        let policy = Policy::default();
        let mut items = ItemSum::default();
        let (market, hour) = (Market::default(), FeeHour::default());
        items.add(Item::Policy(&policy));
        items.add(Item::Market(&market));
        items.add(Item::Hour(&hour));
        let StateMeta {
            now,
            index,
            protocol_version,
            totals,
            chain,
        } = StateMeta::default();
        Self {
            now,
            index,
            protocol_version,
            totals,
            chain,
            queues: Queues::new(&policy),
            policy,
            market,
            hour,
            batches: BTreeMap::new(),
            batched: 0,
            effects: BTreeSet::new(),
            accounts: BTreeMap::new(),
            treasuries: BTreeSet::new(),
            free_channels: BTreeSet::new(),
            items,
        }
    }

    /// The state that the stored rows describe, in any order: places in queues as `Enqueue`,
    /// live batches as `PutBatch`, open effects, accounts, and the policy if it was ever set.
    #[must_use]
    pub fn rebuild(meta: StateMeta, rows: impl Iterator<Item = Change>) -> Self {
        let mut state = Self::new();
        for row in rows {
            state.absorb(&row);
        }
        let StateMeta {
            now,
            index,
            protocol_version,
            totals,
            chain,
        } = meta;
        Self {
            now,
            index,
            protocol_version,
            totals,
            chain,
            ..state
        }
    }

    /// The rows that `rebuild` needs to reach this state again.
    pub fn rows(&self) -> impl Iterator<Item = Change> + '_ {
        let places = self.groups().iter().flat_map(|(key, group)| {
            group.places().map(|(payment, place)| {
                let Delayed {
                    queued_at,
                    not_before,
                    failures,
                } = place;
                let group = key.clone();
                Change::Enqueue(
                    payment,
                    Queued {
                        group,
                        queued_at,
                        not_before,
                        failures,
                    },
                )
            })
        });
        let batches = self.batches.values().cloned().map(Change::PutBatch);
        let effects = self.effects.iter().copied().map(Change::PutEffect);
        let accounts = self.accounts.values().cloned().map(Change::PutAccount);
        let policy = core::iter::once_with(|| Change::PutPolicy(self.policy.clone()));
        let market = core::iter::once_with(|| Change::PutMarket(self.market));
        let hour = core::iter::once_with(|| Change::PutFeeHour(Box::new(self.hour)));
        places
            .chain(batches)
            .chain(effects)
            .chain(accounts)
            .chain(policy)
            .chain(market)
            .chain(hour)
    }

    /// What is stored beside the rows.
    #[must_use]
    pub fn meta(&self) -> StateMeta {
        StateMeta {
            now: self.now,
            index: self.index,
            protocol_version: self.protocol_version,
            totals: self.totals,
            chain: self.chain,
        }
    }

    /// Takes over a stored fact. Never fails: whatever was there before under the same
    /// identity is replaced, and taking out what is not there does nothing.
    pub fn absorb(&mut self, change: &Change) {
        match change {
            Change::PutPayment(_) => add(&mut self.totals.submitted),
            Change::PutStatus(_, status) => self.count_status(status),
            Change::PutKey(..) => {}
            Change::Enqueue(payment, queued) => self.enqueue(*payment, queued),
            Change::Dequeue(payment, group) => self.dequeue(*payment, group),
            Change::PutBatch(batch) => self.put_batch(batch),
            Change::EndBatch(batch) => self.end_batch(batch),
            Change::PutAttempt(..) => add(&mut self.totals.attempts),
            Change::PutEffect(effect) => {
                if self.effects.insert(*effect) {
                    self.items.add(Item::Effect(effect));
                }
            }
            Change::RemoveEffect(effect) => {
                if self.effects.remove(effect) {
                    self.items.subtract(Item::Effect(effect));
                }
            }
            Change::PutAccount(account) => self.put_account(account),
            Change::PutPolicy(policy) => {
                self.items.subtract(Item::Policy(&self.policy));
                self.policy = policy.clone();
                self.items.add(Item::Policy(&self.policy));
                self.set_timing();
            }
            Change::PutMarket(market) => {
                self.items.subtract(Item::Market(&self.market));
                self.market = *market;
                self.items.add(Item::Market(&self.market));
                self.set_timing();
            }
            Change::PutFeeSample(..) => {}
            Change::LeaveDeadLetters(_) => {
                self.totals.failed = self.totals.failed.saturating_sub(1);
            }
            Change::PutFeeHour(hour) => {
                self.items.subtract(Item::Hour(&self.hour));
                self.hour = **hour;
                self.items.add(Item::Hour(&self.hour));
            }
        }
    }

    fn set_timing(&mut self) {
        self.queues
            .set_timing(&self.policy, self.market.congestion());
    }

    fn count_status(&mut self, status: &PaymentStatus) {
        match status.stage {
            Stage::Queued { .. } | Stage::Batched { .. } => {}
            Stage::Settled { .. } => add(&mut self.totals.settled),
            Stage::Failed { .. } => add(&mut self.totals.failed),
            Stage::Cancelled => add(&mut self.totals.cancelled),
        }
    }

    fn enqueue(&mut self, payment: PaymentId, queued: &Queued) {
        let Queued {
            group,
            queued_at,
            not_before,
            failures,
        } = queued;
        if let Some(old) = self.queues.insert(payment, queued) {
            self.items.subtract(Item::Place(payment, group, old));
        }
        // The queue keeps no wait that already was over when the payment came.
        let not_before = *not_before.max(queued_at);
        let place = Delayed {
            queued_at: *queued_at,
            not_before,
            failures: *failures,
        };
        self.items.add(Item::Place(payment, group, place));
    }

    fn dequeue(&mut self, payment: PaymentId, group: &GroupKey) {
        if let Some(old) = self.queues.remove(payment, group) {
            self.items.subtract(Item::Place(payment, group, old));
        }
    }

    fn put_batch(&mut self, batch: &Batch) {
        self.forget_batch(batch.id);
        self.items.add(Item::Batch(batch));
        self.batched = self.batched.saturating_add(payments_of(batch));
        self.batches.insert(batch.id, batch.clone());
    }

    fn end_batch(&mut self, batch: &Batch) {
        self.forget_batch(batch.id);
        match batch.stage {
            BatchStage::Building | BatchStage::InFlight => {}
            BatchStage::Settled {
                ledger: _,
                fee_charged,
            } => {
                add(&mut self.totals.batches_settled);
                self.charge(fee_charged.0);
            }
            BatchStage::RolledBack {
                ledger: _,
                fee_charged,
            } => {
                add(&mut self.totals.batches_rolled_back);
                self.charge(fee_charged.0);
            }
            BatchStage::Abandoned { .. } => add(&mut self.totals.batches_abandoned),
        }
    }

    fn forget_batch(&mut self, batch: BatchId) {
        if let Some(old) = self.batches.remove(&batch) {
            self.items.subtract(Item::Batch(&old));
            self.batched = self.batched.saturating_sub(payments_of(&old));
        }
    }

    fn charge(&mut self, fee_stroops: i64) {
        let sum = self
            .totals
            .fee_charged_stroops
            .saturating_add(i128::from(fee_stroops));
        self.totals.fee_charged_stroops = sum;
    }

    fn put_account(&mut self, account: &Account) {
        let id = account.account;
        if let Some(old) = self.accounts.insert(id, account.clone()) {
            self.items.subtract(Item::Account(&old));
            self.treasuries.remove(&id);
            self.free_channels.remove(&id);
        }
        self.items.add(Item::Account(account));
        match account.role {
            AccountRole::Treasury => {
                self.treasuries.insert(id);
            }
            // A channel at the end of its sequence range has nothing left to lend.
            AccountRole::Channel => {
                if account.lent_to.is_none() && account.sequence.next().is_some() {
                    self.free_channels.insert(id);
                }
            }
            AccountRole::Fee => {}
        }
    }

    /// Moves to the entry that is about to be applied; time never runs backwards.
    pub(crate) fn begin(&mut self, index: Index, proposed_at: UnixMs) {
        self.index = index;
        self.now = self.now.max(proposed_at);
    }

    pub(crate) fn set_chain(&mut self, chain: Hash) {
        self.chain = chain;
    }
}

fn add(total: &mut u64) {
    *total = total.saturating_add(1);
}

fn payments_of(batch: &Batch) -> u64 {
    u64::try_from(batch.payments.len()).unwrap_or(u64::MAX)
}

/// Reading.
impl State {
    /// The machine's time: the latest stamp of the leaders.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// The last entry applied.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }

    /// The version of the rules in force.
    #[must_use]
    pub fn protocol_version(&self) -> u32 {
        self.protocol_version
    }

    /// The sums.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The audit chain's head.
    #[must_use]
    pub fn chain(&self) -> Hash {
        self.chain
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is known of the network's fees.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// What happened in the hour of the last batch that ended.
    #[must_use]
    pub fn hour(&self) -> &FeeHour {
        &self.hour
    }

    /// The groups with waiting payments.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<GroupKey, Group> {
        self.queues.groups()
    }

    /// Payments waiting in all groups.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queues.queued()
    }

    /// Payments of all live batches.
    #[must_use]
    pub fn batched(&self) -> u64 {
        self.batched
    }

    /// The batches that are formed and not ended.
    #[must_use]
    pub fn batches(&self) -> &BTreeMap<BatchId, Batch> {
        &self.batches
    }

    /// What the leader has to do outside.
    #[must_use]
    pub fn effects(&self) -> &BTreeSet<Effect> {
        &self.effects
    }

    /// The accounts of ours.
    #[must_use]
    pub fn accounts(&self) -> &BTreeMap<AccountId, Account> {
        &self.accounts
    }

    /// The registered treasuries.
    #[must_use]
    pub fn treasuries(&self) -> &BTreeSet<AccountId> {
        &self.treasuries
    }

    /// The channels that no batch holds.
    #[must_use]
    pub fn free_channels(&self) -> &BTreeSet<AccountId> {
        &self.free_channels
    }

    /// Why a batch of this group may form at `now`, if it may.
    #[must_use]
    pub fn trigger(&self, group: &GroupKey, now: UnixMs) -> Option<Trigger> {
        self.queues.trigger(group, now)
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.queues
    }

    /// How many batches can form now: free channels, within the limit of live batches.
    #[must_use]
    pub fn batches_free(&self) -> usize {
        let places = LIVE_BATCHES_MAX.saturating_sub(self.batches.len());
        places.min(self.free_channels.len())
    }

    /// The group to form a batch from at `now`: the most urgent lane, in it the earliest due.
    /// `None` also while no channel is free or too many batches are live.
    #[must_use]
    pub fn due(&self, now: UnixMs) -> Option<GroupKey> {
        self.form_candidates(now, 1).pop()
    }

    /// Up to `limit` groups to form batches from at `now`, in the order of `due`, and no more
    /// than can form.
    #[must_use]
    pub fn form_candidates(&self, now: UnixMs, limit: usize) -> Vec<GroupKey> {
        self.queues
            .due(now)
            .take(limit.min(self.batches_free()))
            .cloned()
            .collect()
    }

    /// When some group is due next, maybe already; `None` while none waits or no batch can
    /// form: then ask again after the next change.
    #[must_use]
    pub fn next_due_at(&self) -> Option<UnixMs> {
        (self.batches_free() > 0)
            .then(|| self.queues.next_due_at())
            .flatten()
    }
}

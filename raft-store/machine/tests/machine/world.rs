//! A store in memory around the machine: it prefetches rows, writes changes, and checks after
//! every entry what must always hold.

use std::collections::{BTreeMap, BTreeSet};

use stellara_machine::audit::verify_chain;
use stellara_machine::command::{
    AccountRole, Command, Entry, PaymentBody, Policy, RegisterAccount, SetPolicy, SubmitPayment,
};
use stellara_machine::decision::{
    Account, Batch, BatchStage, Change, Effect, KeyRecord, Outcome, Payment, PaymentStatus, Queued,
    Rejection, Reply, Stage,
};
use stellara_machine::fees::book::FeeHour;
use stellara_machine::fees::market::Market;
use stellara_machine::ids::{
    AccountId, BatchId, Destination, DeveloperId, IdempotencyKey, Index, PaymentId,
};
use stellara_machine::rows::{RowRequest, Rows, prefetch};
use stellara_machine::state::State;
use stellara_machine::step::step;
use stellara_machine::units::{AccountSequence, Lane, Stroops, UnixMs};

use crate::ledger::{Envelope, Ledger};

/// The time at which every test starts.
pub const START: UnixMs = UnixMs(1_700_000_000_000);
pub const TREASURY: AccountId = AccountId([1; 32]);

pub fn channel(number: u8) -> AccountId {
    AccountId([100 + number; 32])
}

/// The rows that the store keeps.
#[derive(Default)]
pub struct Store {
    pub keys: BTreeMap<(DeveloperId, IdempotencyKey), KeyRecord>,
    pub payments: BTreeMap<PaymentId, Payment>,
    pub statuses: BTreeMap<PaymentId, PaymentStatus>,
    pub places: BTreeMap<PaymentId, Queued>,
    pub batches: BTreeMap<BatchId, Batch>,
    pub ended: BTreeMap<BatchId, Batch>,
    pub effects: BTreeSet<Effect>,
    pub accounts: BTreeMap<AccountId, Account>,
    pub policy: Option<Policy>,
    pub market: Option<Market>,
    pub hour: Option<FeeHour>,
}

impl Store {
    fn read(&self, commands: &[Command]) -> Rows {
        let mut rows = Rows::default();
        for request in commands.iter().filter_map(prefetch) {
            match request {
                RowRequest::Key(developer, key) => {
                    let id = (developer, key.clone());
                    if let Some(record) = self.keys.get(&id) {
                        rows.keys.insert(id, record.clone());
                    }
                }
                RowRequest::Payment(id) => {
                    let payment = self.payments.get(&id).map(|found| (id, found.clone()));
                    rows.payments.extend(payment);
                    let status = self.statuses.get(&id).map(|found| (id, found.clone()));
                    rows.statuses.extend(status);
                }
            }
        }
        rows
    }

    fn write(&mut self, change: &Change) {
        match change.clone() {
            Change::PutPayment(payment) => {
                let old = self.payments.insert(payment.id, payment);
                assert!(old.is_none(), "a payment is written once: {old:?}");
            }
            Change::PutStatus(id, status) => {
                self.statuses.insert(id, status);
            }
            Change::PutKey(developer, key, record) => {
                self.keys.insert((developer, key), record);
            }
            Change::Enqueue(id, queued) => {
                self.places.insert(id, queued);
            }
            Change::Dequeue(id, group) => {
                let old = self.places.remove(&id);
                assert_eq!(
                    old.map(|queued| queued.group),
                    Some(group),
                    "dequeued elsewhere"
                );
            }
            Change::PutBatch(batch) => {
                self.batches.insert(batch.id, batch);
            }
            Change::EndBatch(batch) => {
                self.batches.remove(&batch.id);
                let old = self.ended.insert(batch.id, batch);
                assert!(old.is_none(), "a batch ends once: {old:?}");
            }
            Change::PutAttempt(..) => {}
            Change::PutEffect(effect) => {
                self.effects.insert(effect);
            }
            Change::RemoveEffect(effect) => {
                self.effects.remove(&effect);
            }
            Change::PutAccount(account) => {
                self.accounts.insert(account.account, account);
            }
            Change::PutPolicy(policy) => self.policy = Some(policy),
            Change::PutMarket(market) => self.market = Some(market),
            Change::PutFeeSample(..) | Change::LeaveDeadLetters(_) => {}
            Change::PutFeeHour(hour) => self.hour = Some(*hour),
        }
    }

    /// The rows a restart reads, deliberately in another order than the state lists them.
    fn live_rows(&self) -> Vec<Change> {
        let policy = self.policy.iter().cloned().map(Change::PutPolicy);
        let market = self.market.iter().copied().map(Change::PutMarket);
        let hour = self
            .hour
            .iter()
            .copied()
            .map(|hour| Change::PutFeeHour(Box::new(hour)));
        let places = self.places.iter().rev();
        let places = places.map(|(id, queued)| Change::Enqueue(*id, queued.clone()));
        let batches = self.batches.values().cloned().map(Change::PutBatch);
        let effects = self.effects.iter().copied().map(Change::PutEffect);
        let accounts = self.accounts.values().cloned().map(Change::PutAccount);
        accounts
            .chain(effects)
            .chain(batches)
            .chain(places)
            .chain(hour)
            .chain(policy)
            .chain(market)
            .collect()
    }
}

/// The machine, its store, and the ledger outside.
pub struct World {
    pub state: State,
    pub store: Store,
    pub ledger: Ledger,
    pub log: Vec<Entry>,
    pub time: UnixMs,
    /// The last sequence a channel's ended batch used.
    used: BTreeMap<AccountId, AccountSequence>,
}

impl World {
    pub fn new() -> Self {
        Self {
            state: State::new(),
            store: Store::default(),
            ledger: Ledger::default(),
            log: Vec::new(),
            time: START,
            used: BTreeMap::new(),
        }
    }

    /// One treasury and so many channels, all with sequence 0 on the ledger.
    pub fn with_channels(channels: u8) -> Self {
        let mut world = Self::new();
        let treasury = register(TREASURY, AccountRole::Treasury, 0);
        let channels = (0..channels).map(|no| register(channel(no), AccountRole::Channel, 0));
        let commands = std::iter::once(treasury).chain(channels).collect();
        let outcome = world.entry(commands);
        assert!(
            outcome.replies.iter().all(Result::is_ok),
            "{:?}",
            outcome.replies
        );
        world
    }

    /// Applies one entry and checks everything that must always hold.
    pub fn entry(&mut self, commands: Vec<Command>) -> Outcome {
        let index = Index(self.state.index().0 + 1);
        let entry = Entry {
            index,
            proposed_at: self.time,
            commands,
        };
        let before = self.state.clone();
        let mut rows = self.store.read(&entry.commands);
        let outcome = match step(&mut self.state, &entry, &mut rows) {
            Ok(outcome) => outcome,
            Err(error) => panic!("a correct entry was refused: {error:?}"),
        };
        for change in &outcome.changes {
            self.store.write(change);
            self.follow(change);
        }
        assert!(
            verify_chain(before.chain(), &outcome.record),
            "the audit chain is broken"
        );
        assert_eq!(outcome.record.audits.len(), entry.commands.len());
        if outcome.replies.iter().all(Result::is_err) {
            assert_eq!(
                outcome.changes,
                Vec::new(),
                "a rejected command changes nothing"
            );
            assert!(
                self.state.rows().eq(before.rows()),
                "a rejected command moved a row"
            );
            assert_eq!(self.state.totals(), before.totals());
        }
        self.log.push(entry);
        self.check();
        outcome
    }

    /// Applies one command alone.
    pub fn one(&mut self, command: Command) -> Result<Reply, Rejection> {
        match self.entry(vec![command]).replies.pop() {
            Some(reply) => reply,
            None => panic!("a command without a reply"),
        }
    }

    /// Hands recorded envelopes to the ledger and follows the sequences of ended batches.
    fn follow(&mut self, change: &Change) {
        match change {
            Change::PutAttempt(attempt, _) => {
                let batch = &self.store.batches[&attempt.batch];
                let payments = batch.payments.iter().map(|place| place.payment).collect();
                let broken = attempt.envelope.first() == Some(&0);
                let attempt = attempt.clone();
                self.ledger.envelopes.push(Envelope {
                    attempt,
                    payments,
                    broken,
                });
            }
            Change::EndBatch(batch) => match batch.stage {
                BatchStage::Settled { .. } | BatchStage::RolledBack { .. } => {
                    let old = self.used.insert(batch.channel, batch.sequence);
                    assert!(old < Some(batch.sequence), "a sequence used twice");
                }
                BatchStage::Abandoned { .. } => {}
                BatchStage::Building | BatchStage::InFlight => {
                    panic!("ended in a live stage: {batch:?}")
                }
            },
            Change::PutPayment(_)
            | Change::PutStatus(..)
            | Change::PutKey(..)
            | Change::Enqueue(..)
            | Change::Dequeue(..)
            | Change::PutBatch(_)
            | Change::PutEffect(_)
            | Change::RemoveEffect(_)
            | Change::PutAccount(_)
            | Change::PutPolicy(_)
            | Change::LeaveDeadLetters(_)
            | Change::PutMarket(_)
            | Change::PutFeeSample(..)
            | Change::PutFeeHour(_) => {}
        }
    }

    fn check(&self) {
        let state = &self.state;
        assert_eq!(
            state.digest(),
            state.recompute_digest(),
            "the digest drifted"
        );
        let rebuilt = State::rebuild(state.meta(), self.store.live_rows().into_iter());
        assert_eq!(
            rebuilt.digest(),
            state.digest(),
            "reloading gives another state"
        );
        assert_eq!(
            rebuilt.next_due_at(),
            state.next_due_at(),
            "reloading moves deadlines"
        );
        assert_eq!(rebuilt.free_channels(), state.free_channels());
        self.check_places();
        self.check_channels();
        self.check_paid();
    }

    /// No payment is in two places, and none is lost.
    fn check_places(&self) {
        let state = &self.state;
        let mut seen = BTreeSet::new();
        for batch in state.batches().values() {
            for place in &batch.payments {
                assert!(
                    seen.insert(place.payment),
                    "in two batches: {:?}",
                    place.payment
                );
            }
        }
        assert_eq!(state.batched(), count(seen.len()));
        for group in state.groups().values() {
            for (payment, _) in group.places() {
                assert!(seen.insert(payment), "queued and elsewhere: {payment:?}");
            }
        }
        let totals = state.totals();
        let ended = totals.settled + totals.failed + totals.cancelled;
        assert_eq!(
            totals.submitted,
            state.queued() + state.batched() + ended,
            "{totals:?}"
        );
        assert_eq!(totals.submitted, count(self.store.payments.len()));
    }

    fn check_channels(&self) {
        let state = &self.state;
        for batch in state.batches().values() {
            let account = &state.accounts()[&batch.channel];
            assert_eq!(account.lent_to, Some(batch.id), "the channel of {batch:?}");
            assert_eq!(account.sequence.next(), Some(batch.sequence), "{batch:?}");
            assert!(state.effects().contains(&Effect::SettleBatch(batch.id)));
        }
        let lent = state
            .accounts()
            .values()
            .filter(|account| account.lent_to.is_some())
            .count();
        assert_eq!(lent, state.batches().len());
        assert_eq!(state.effects().len(), state.batches().len());
    }

    /// The exactly-once law, against what the ledger did so far.
    pub fn check_paid(&self) {
        for (id, count) in &self.ledger.paid {
            assert_eq!(*count, 1, "paid twice: {id:?}");
        }
        for (id, status) in &self.store.statuses {
            let paid = self.ledger.paid.contains_key(id);
            match status.stage {
                Stage::Settled { .. } => assert!(paid, "settled and not paid: {id:?}"),
                Stage::Failed { .. } | Stage::Cancelled | Stage::Queued { .. } => {
                    assert!(!paid, "paid and not in a batch: {id:?} {status:?}");
                }
                Stage::Batched { .. } => {}
            }
        }
    }

    /// The log applied again, with the rows of its own time.
    pub fn replay(&self) -> State {
        let mut store = Store::default();
        let mut state = State::new();
        for entry in &self.log {
            let mut rows = store.read(&entry.commands);
            match step(&mut state, entry, &mut rows) {
                Ok(outcome) => outcome
                    .changes
                    .iter()
                    .for_each(|change| store.write(change)),
                Err(error) => panic!("an applied entry was refused: {error:?}"),
            }
        }
        state
    }
}

pub fn register(account: AccountId, role: AccountRole, sequence: i64) -> Command {
    let sequence = AccountSequence(sequence);
    Command::RegisterAccount(RegisterAccount {
        account,
        role,
        sequence,
    })
}

/// A payment of developer 7.
pub fn submission(key: &str, body: PaymentBody) -> SubmitPayment {
    SubmitPayment {
        developer: DeveloperId(7),
        key: IdempotencyKey(key.to_owned()),
        body,
    }
}

pub fn body(lane: Lane) -> PaymentBody {
    let account = AccountId([50; 32]);
    PaymentBody {
        destination: Destination {
            account,
            muxed_id: None,
        },
        amount: Stroops(5),
        lane,
        ..PaymentBody::default()
    }
}

pub fn submit(key: &str, lane: Lane) -> Command {
    Command::SubmitPayment(submission(key, body(lane)))
}

pub fn set_policy(version_seen: u64, policy: Policy) -> Command {
    Command::SetPolicy(SetPolicy {
        version_seen,
        policy,
    })
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

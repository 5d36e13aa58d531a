//! A cluster in memory that keeps batches as the machine does, as far as settlement sees it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use stellara_machine::command::{
    AccountRole, AttemptOutcome, Command, GroupKey, PaymentBody, Policy, RecordAttempt,
    RecordOutcome, Refusal,
};
use stellara_machine::decision::{
    Account, AttemptFate, AttemptSummary, Batch, BatchPayment, BatchStage, Effect, Payment,
    Rejection, Reply, Trigger,
};
use stellara_machine::fees::bid::BidReason;
use stellara_machine::fees::charge::Charge;
use stellara_machine::fees::market::Market;
use stellara_machine::fees::predict::Prediction;
use stellara_machine::ids::{
    AccountId, AttemptNo, BatchId, Destination, DeveloperId, IdempotencyKey, Index, PaymentId,
};
use stellara_machine::units::{AccountSequence, Lane, Stroops, UnixMs};
use tokio::sync::Notify;

use crate::executor::{Cluster, ProposeError, ReadError};
use crate::ports::Clock;

use super::fake_ledger::FakeClock;

/// How the next proposal fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Applied, but the caller does not learn it.
    UnknownApplied,
    /// Not applied, and the caller does not learn it.
    UnknownLost,
    NotLeader,
    Overloaded,
}

#[derive(Clone)]
pub(super) struct FakeCluster {
    clock: FakeClock,
    state: Arc<Mutex<State>>,
    moved: Arc<Notify>,
}

#[derive(Default)]
pub(super) struct State {
    index: u64,
    pub(super) batches: BTreeMap<BatchId, Batch>,
    pub(super) ended: BTreeMap<BatchId, Batch>,
    pub(super) attempts: BTreeMap<(BatchId, AttemptNo), RecordAttempt>,
    pub(super) payments: BTreeMap<PaymentId, Payment>,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) due: VecDeque<GroupKey>,
    pub(super) failures: VecDeque<Option<Failure>>,
    pub(super) commands: Vec<Command>,
}

impl FakeCluster {
    pub(super) fn new(clock: FakeClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
            moved: Arc::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Puts a batch of `count` payments under way, each of its own amount.
    pub(super) fn add_batch(&self, group: GroupKey, count: u64, channel: AccountId) -> BatchId {
        let mut state = self.state();
        let id = BatchId(u64::try_from(state.batches.len() + state.ended.len()).unwrap() + 1);
        let payments: Vec<Payment> = (1..=count)
            .map(|at| {
                let number = id.0 * 1_000 + at;
                payment(number, &group)
            })
            .collect();
        let lent = state.accounts.get_mut(&channel).unwrap();
        lent.lent_to = Some(id);
        let sequence = lent.sequence.next().unwrap();
        let batch = Batch {
            ending: None,
            id,
            group,
            payments: payments.iter().map(place).collect(),
            trigger: Trigger::Size,
            formed_at: self.clock.now(),
            channel,
            sequence,
            stage: BatchStage::Building,
            attempts: Vec::new(),
            failures: 0,
            not_before: UnixMs(0),
            fee_bid: Stroops(100),
            fee_cap: Stroops(100_000),
            bid_reason: BidReason::Base,
            counts_as: Lane::Medium,
            prediction: Prediction::default(),
            charge: Charge::default(),
        };
        for payment in payments {
            state.payments.insert(payment.id, payment);
        }
        state.batches.insert(id, batch);
        drop(state);
        self.moved.notify_waiters();
        id
    }

    /// Resolves once the condition holds.
    pub(super) async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let moved = self.moved.notified();
            if holds(&self.state()) {
                return;
            }
            moved.await;
        }
    }
}

fn payment(number: u64, group: &GroupKey) -> Payment {
    Payment {
        id: PaymentId(number),
        developer: DeveloperId(1),
        key: IdempotencyKey(format!("key-{number}")),
        body: PaymentBody {
            treasury: Some(group.treasury),
            destination: Destination {
                account: AccountId([9; 32]),
                muxed_id: Some(number),
            },
            amount: Stroops(i64::try_from(number).unwrap()),
            memo: group.memo.clone(),
            lane: group.lane,
            ..PaymentBody::default()
        },
        accepted_at: UnixMs(0),
    }
}

fn place(payment: &Payment) -> BatchPayment {
    BatchPayment {
        payment: payment.id,
        queued_at: UnixMs(0),
        failures: 0,
    }
}

impl State {
    fn apply(&mut self, now: UnixMs, command: &Command) -> Result<Reply, Rejection> {
        match command {
            Command::RecordAttempt(attempt) => self.record_attempt(attempt),
            Command::RecordOutcome(outcome) => self.record_outcome(now, outcome),
            Command::RegisterAccount(register) => {
                let account = Account {
                    account: register.account,
                    role: register.role,
                    sequence: register.sequence,
                    lent_to: None,
                };
                self.accounts.insert(register.account, account);
                Ok(Reply::AccountRegistered)
            }
            Command::FormBatch(form) => {
                let at = self.due.iter().position(|group| *group == form.group);
                self.due.remove(at.ok_or(Rejection::NotDue)?);
                Ok(Reply::BatchFormed { batch: BatchId(0) })
            }
            Command::RecordFees(_) => Ok(Reply::FeesRecorded),
            Command::SubmitPayment(_)
            | Command::CancelPayment(_)
            | Command::RetryPayment(_)
            | Command::SetPolicy(_) => {
                panic!("the executor proposes no {command:?}")
            }
        }
    }

    fn record_attempt(&mut self, attempt: &RecordAttempt) -> Result<Reply, Rejection> {
        let id = attempt.batch;
        let unknown = Rejection::BatchUnknown { batch: id };
        let batch = self.batches.get_mut(&id).ok_or(unknown)?;
        let last = batch.attempts.last();
        let expected = AttemptNo(last.map_or(0, |last| last.attempt.0) + 1);
        if attempt.attempt != expected {
            return Err(Rejection::AttemptOutOfOrder { expected });
        }
        assert_eq!(
            (attempt.channel, attempt.sequence),
            (batch.channel, batch.sequence)
        );
        if let Some(last) = last
            && batch.stage == BatchStage::InFlight
            && last.inner_hash != attempt.inner_hash
        {
            return Err(Rejection::EarlierAttemptLive {
                attempt: last.attempt,
            });
        }
        batch.attempts.push(AttemptSummary {
            fate: AttemptFate::Open,
            attempt: attempt.attempt,
            inner_hash: attempt.inner_hash,
            outer_hash: attempt.outer_hash,
            time_bound_s: attempt.time_bound_s,
            ledger_bound: attempt.ledger_bound,
            fee_max: attempt.fee_max,
        });
        batch.stage = BatchStage::InFlight;
        self.attempts.insert((id, attempt.attempt), attempt.clone());
        Ok(Reply::AttemptRecorded)
    }

    fn record_outcome(&mut self, now: UnixMs, record: &RecordOutcome) -> Result<Reply, Rejection> {
        let id = record.batch;
        let unknown = Rejection::BatchUnknown { batch: id };
        let batch = self.batches.get_mut(&id).ok_or(unknown)?;
        let last = batch.attempts.last().map(|last| last.attempt);
        let is_last = last == Some(record.attempt);
        let in_flight = batch.stage == BatchStage::InFlight;
        let mut used = batch.sequence;
        let end = match &record.outcome {
            AttemptOutcome::Applied {
                ledger,
                fee_charged,
            } => BatchStage::Settled {
                ledger: *ledger,
                fee_charged: *fee_charged,
            },
            AttemptOutcome::AppliedFailed {
                ledger,
                fee_charged,
                ..
            } => BatchStage::RolledBack {
                ledger: *ledger,
                fee_charged: *fee_charged,
            },
            AttemptOutcome::Refused(Refusal::Terminal { code }) if is_last && in_flight => {
                used = AccountSequence(batch.sequence.0 - 1);
                BatchStage::Abandoned {
                    reason: code.clone(),
                }
            }
            AttemptOutcome::Refused(_) if !is_last => {
                let expected = last.unwrap_or_default();
                return Err(Rejection::AttemptOutOfOrder { expected });
            }
            AttemptOutcome::Refused(Refusal::InsufficientFee { fee_needed }) => {
                let operations = i64::try_from(batch.payments.len()).unwrap() + 1;
                batch.fee_bid = Stroops((fee_needed.0 / operations).clamp(100, 100_000));
                batch.stage = BatchStage::Building;
                return Ok(Reply::OutcomeRecorded);
            }
            AttemptOutcome::SequenceLost { account_sequence } => {
                batch.sequence = account_sequence.next().unwrap();
                batch.stage = BatchStage::Building;
                return Ok(Reply::OutcomeRecorded);
            }
            AttemptOutcome::Refused(_) | AttemptOutcome::Expired => {
                if in_flight && is_last {
                    batch.failures += 1;
                    batch.not_before = now.plus(1_000);
                    batch.stage = BatchStage::Building;
                }
                return Ok(Reply::OutcomeRecorded);
            }
        };
        let mut batch = self.batches.remove(&id).unwrap();
        batch.stage = end;
        let channel = self.accounts.get_mut(&batch.channel).unwrap();
        channel.sequence = used;
        channel.lent_to = None;
        self.ended.insert(id, batch);
        Ok(Reply::OutcomeRecorded)
    }
}

impl Cluster for FakeCluster {
    async fn propose(&self, command: Command) -> Result<Reply, ProposeError> {
        // A round trip: other tasks run meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let now = self.clock.now();
        let mut state = self.state();
        let failure = state.failures.pop_front().flatten();
        let applied = match failure {
            None | Some(Failure::UnknownApplied) => {
                state.commands.push(command.clone());
                state.index += 1;
                state.apply(now, &command)
            }
            Some(Failure::UnknownLost) => return Err(ProposeError::Unknown),
            Some(Failure::NotLeader) => return Err(ProposeError::NotLeader),
            Some(Failure::Overloaded) => return Err(ProposeError::Overloaded),
        };
        drop(state);
        self.moved.notify_waiters();
        if failure.is_some() {
            return Err(ProposeError::Unknown);
        }
        applied.map_err(ProposeError::Rejected)
    }

    fn batch(&self, batch: BatchId) -> Option<Batch> {
        self.state().batches.get(&batch).cloned()
    }

    fn effects(&self) -> Vec<Effect> {
        let state = self.state();
        state
            .batches
            .keys()
            .copied()
            .map(Effect::SettleBatch)
            .collect()
    }

    fn due(&self, _now: UnixMs) -> Option<GroupKey> {
        self.state().due.front().cloned()
    }

    fn next_due_at(&self) -> Option<UnixMs> {
        None
    }

    fn market(&self) -> Market {
        Market::default()
    }

    fn policy(&self) -> Policy {
        Policy::default()
    }

    fn accounts(&self) -> Vec<Account> {
        self.state().accounts.values().cloned().collect()
    }

    async fn payments(&self, payments: &[PaymentId]) -> Result<Vec<Payment>, ReadError> {
        let state = self.state();
        Ok(payments
            .iter()
            .map(|id| state.payments[id].clone())
            .collect())
    }

    async fn attempt(
        &self,
        batch: BatchId,
        attempt: AttemptNo,
    ) -> Result<Option<RecordAttempt>, ReadError> {
        Ok(self.state().attempts.get(&(batch, attempt)).cloned())
    }

    fn applied(&self) -> Index {
        Index(self.state().index)
    }

    async fn applied_past(&self, seen: Index) {
        self.until(|state| state.index > seen.0).await;
    }
}

/// An account of ours, as registered.
pub(super) const fn account(account: AccountId, role: AccountRole, sequence: i64) -> Account {
    Account {
        account,
        role,
        sequence: AccountSequence(sequence),
        lent_to: None,
    }
}

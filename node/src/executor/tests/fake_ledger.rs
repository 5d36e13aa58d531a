//! A ledger in memory with the rules that exactly-once rests on: one transaction per sequence, bounds, a queue that
//! may hold bytes longer than anybody knows, look-ups that lag, and answers by script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use stellara_machine::ids::{AccountId, Hash};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops, UnixMs};
use tokio::time::Instant;

use crate::executor::envelope::{Network, SignedEnvelope, check};
use crate::ports::ledger::{
    AccountState, FeeDistribution, FeeStats, FoundTransaction, Ingested, InnerResult, LatestLedger,
    OperationCode, SubmitAnswer, TransactionCode, TransactionLookup, TransactionResult,
};
use crate::ports::{Clock, Ledger, LedgerError};

pub(super) const FIRST_LEDGER: u32 = 100;
const START_S: u64 = 1_700_000_000;
const LEDGER_S: u64 = 5;
const BAN_LEDGERS: u32 = 10;

#[derive(Clone, Copy)]
pub(super) struct FakeClock {
    start: Instant,
}

impl FakeClock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for FakeClock {
    fn now(&self) -> UnixMs {
        let elapsed_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap();
        UnixMs(START_S * 1_000 + elapsed_ms)
    }
}

/// What happens to one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// By the rules.
    Plain,
    /// Into the queue by the rules, after some ledgers; the caller hears of a timeout.
    Late { ledgers: u32 },
    /// Lost; the caller hears of a timeout.
    Lost,
    /// No answer at all, ever, though it is in the queue.
    Hang,
    /// In the queue by the answer, but dropped and banned when the next ledger closes.
    Drop,
    /// Applied as failed with these operation results.
    Fail(Vec<OperationCode>),
    /// This answer, and nothing else happens.
    Answer(SubmitAnswer),
}

#[derive(Clone)]
pub(super) struct FakeLedger {
    network: Network,
    clock: FakeClock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) closed: u32,
    pub(super) sequences: BTreeMap<AccountId, (i64, u32)>,
    queue: Vec<Queued>,
    banned: BTreeMap<Hash, u32>,
    transactions: Vec<(SignedEnvelope, FoundTransaction)>,
    pub(super) script: VecDeque<Script>,
    /// Every envelope that was offered, in order.
    pub(super) offered: Vec<SignedEnvelope>,
    /// Ledgers that look-ups of transactions lag behind.
    pub(super) lag: u32,
    /// Every read fails.
    pub(super) unreadable: bool,
}

struct Queued {
    envelope: SignedEnvelope,
    from_ledger: u32,
    fate: Script,
}

impl FakeLedger {
    pub(super) fn new(network: Network, clock: FakeClock) -> Self {
        let state = State {
            closed: FIRST_LEDGER,
            ..State::default()
        };
        Self {
            network,
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The state after all ledgers that are due have closed.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        let elapsed_s = self.clock.now().0 / 1_000 - START_S;
        let due = FIRST_LEDGER + u32::try_from(elapsed_s / LEDGER_S).unwrap();
        while state.closed < due {
            state.close();
        }
        state
    }

    /// How often an inner transaction took effect.
    pub(super) fn applied(&self, inner: Hash) -> usize {
        let state = self.state();
        let of_it = |(envelope, found): &&(SignedEnvelope, FoundTransaction)| {
            envelope.inner_hash == inner && found.successful
        };
        state.transactions.iter().filter(of_it).count()
    }

    /// Whether an inner transaction is in a ledger, with or without effect.
    pub(super) fn is_included(&self, inner: Hash) -> bool {
        let state = self.state();
        let mut transactions = state.transactions.iter();
        transactions.any(|(envelope, _)| envelope.inner_hash == inner)
    }

    fn readable(&self) -> Result<MutexGuard<'_, State>, LedgerError> {
        let state = self.state();
        if state.unreadable {
            return Err(LedgerError::Unavailable {
                why: "by script".to_owned(),
                retry_after_ms: None,
            });
        }
        Ok(state)
    }

    fn take(&self, envelope: &[u8]) -> Option<SubmitAnswer> {
        let envelope = check(&self.network, envelope).expect("what is sent is of our form");
        let mut state = self.state();
        state.offered.push(envelope.clone());
        let script = state.script.pop_front().unwrap_or(Script::Plain);
        let unknown = SubmitAnswer::Unknown {
            why: "timeout by script".to_owned(),
        };
        match script {
            Script::Answer(answer) => Some(answer),
            Script::Lost => Some(unknown),
            Script::Hang => {
                state.offer(envelope, 1, Script::Plain);
                None
            }
            Script::Late { ledgers } => {
                state.offer(envelope, ledgers, Script::Plain);
                Some(unknown)
            }
            Script::Plain | Script::Drop | Script::Fail(_) => {
                Some(state.offer(envelope, 1, script))
            }
        }
    }
}

impl State {
    fn offer(&mut self, envelope: SignedEnvelope, wait: u32, fate: Script) -> SubmitAnswer {
        let hash = envelope.outer_hash;
        if self
            .queue
            .iter()
            .any(|queued| queued.envelope.outer_hash == hash)
        {
            return SubmitAnswer::Duplicate { hash };
        }
        if self
            .banned
            .get(&hash)
            .is_some_and(|until| *until > self.closed)
        {
            return SubmitAnswer::TryAgainLater;
        }
        let code = if !self.in_bounds(&envelope, self.closed + 1) {
            TransactionCode::TooLate
        } else if self.sequences[&envelope.channel].0 + 1 != envelope.sequence.0 {
            TransactionCode::BadSeq
        } else {
            self.queue.push(Queued {
                envelope,
                from_ledger: self.closed + wait,
                fate,
            });
            return SubmitAnswer::Pending { hash };
        };
        SubmitAnswer::Refused(TransactionResult::refusal(code, Stroops(0)))
    }

    fn in_bounds(&self, envelope: &SignedEnvelope, ledger: u32) -> bool {
        closed_at_s(ledger) <= envelope.bounds.time_bound_s
            && ledger < envelope.bounds.ledger_bound.0
    }

    fn close(&mut self) {
        self.closed += 1;
        let ledger = self.closed;
        let queue = std::mem::take(&mut self.queue);
        let (ready, waiting) = queue
            .into_iter()
            .partition::<Vec<_>, _>(|queued| queued.from_ledger <= ledger);
        self.queue = waiting;
        for queued in ready {
            let envelope = queued.envelope;
            let sequence = self.sequences[&envelope.channel].0;
            if queued.fate == Script::Drop {
                self.banned
                    .insert(envelope.outer_hash, ledger + BAN_LEDGERS);
            } else if sequence + 1 == envelope.sequence.0 && self.in_bounds(&envelope, ledger) {
                let channel = (envelope.sequence.0, ledger);
                self.sequences.insert(envelope.channel, channel);
                let found = included(&envelope, ledger, queued.fate);
                self.transactions.push((envelope, found));
            }
        }
    }
}

fn included(envelope: &SignedEnvelope, ledger: u32, fate: Script) -> FoundTransaction {
    let (code, inner, operations) = match fate {
        Script::Fail(operations) => (
            TransactionCode::FeeBumpInnerFailed,
            TransactionCode::Failed,
            operations,
        ),
        Script::Plain
        | Script::Late { .. }
        | Script::Lost
        | Script::Hang
        | Script::Drop
        | Script::Answer(_) => (
            TransactionCode::FeeBumpInnerSuccess,
            TransactionCode::Success,
            vec![OperationCode::Success; envelope.operations],
        ),
    };
    FoundTransaction {
        ledger: LedgerSeq(ledger),
        successful: inner == TransactionCode::Success,
        result: TransactionResult {
            fee_charged: envelope.fee_max,
            code,
            inner: Some(InnerResult {
                hash: envelope.inner_hash,
                code: inner,
            }),
            operations,
        },
    }
}

const fn closed_at_s(ledger: u32) -> u64 {
    let ledgers = ledger - FIRST_LEDGER;
    START_S + LEDGER_S * ledgers as u64
}

impl Ledger for FakeLedger {
    async fn submit(&self, envelope: &[u8]) -> SubmitAnswer {
        match self.take(envelope) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn transaction(&self, hash: Hash) -> Result<TransactionLookup, LedgerError> {
        let state = self.readable()?;
        let seen = state.closed.saturating_sub(state.lag).max(FIRST_LEDGER);
        let found = state.transactions.iter().find(|(envelope, found)| {
            (envelope.outer_hash == hash || envelope.inner_hash == hash) && found.ledger.0 <= seen
        });
        Ok(match found {
            Some((_, found)) => TransactionLookup::Found(found.clone()),
            None => TransactionLookup::NotFound(Ingested {
                ledger: LedgerSeq(seen),
                closed_at_s: closed_at_s(seen),
            }),
        })
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountState>, LedgerError> {
        let state = self.readable()?;
        let known = state.sequences.get(&account);
        Ok(known.map(|(sequence, modified_at)| AccountState {
            sequence: AccountSequence(*sequence),
            modified_at: LedgerSeq(*modified_at),
            balances: Vec::new(),
        }))
    }

    async fn fee_stats(&self) -> Result<FeeStats, LedgerError> {
        let state = self.readable()?;
        Ok(FeeStats {
            last_ledger: LedgerSeq(state.closed),
            base_fee: Stroops(100),
            capacity_usage_permille: 0,
            fee_charged: FeeDistribution::default(),
            fee_bid: FeeDistribution::default(),
        })
    }

    async fn latest_ledger(&self) -> Result<LatestLedger, LedgerError> {
        let state = self.readable()?;
        Ok(Ingested {
            ledger: LedgerSeq(state.closed),
            closed_at_s: closed_at_s(state.closed),
        })
    }
}

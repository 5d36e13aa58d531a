//! The network as callers use it in process: time is handed in, every answer is a value.
//! Invariants: nothing here waits, reads a clock or draws outside the seeded streams; queries
//! answer as of the last `advance`, behind it by the ingestion lag of the fault plan.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use stellar_xdr::{AccountId, TransactionResult};

use crate::account::Account;
use crate::book::{Book, LAG_LEDGERS_MAX};
use crate::codes;
use crate::config::{Config, ConfigError};
use crate::envelope::{self, Parsed, TxHash};
use crate::faults::{Fault, FaultPlan, FaultPlanError, FaultTarget, Faults, Reach};
use crate::fee_stats::{Distribution, FeeStats, Sample, WINDOW_LEDGERS};
use crate::foreign::{ForeignError, ForeignTraffic};
use crate::journal::JournalEntry;
use crate::queue::{Admission, Bid, Queue};
use crate::rng::{Rng, STREAM_FOREIGN};
use crate::validity::{Auth, Moment};

/// Ledger records and fee samples that are kept.
pub(crate) const LEDGERS_KEPT: usize = 1_000;

/// The ledger's true answer to a submission (Horizon's `transactions_async` statuses).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// In the queue now.
    Pending {
        /// Hash of the envelope.
        hash: TxHash,
    },
    /// Already in the queue.
    Duplicate {
        /// Hash of the envelope.
        hash: TxHash,
    },
    /// Banned, or another transaction of the source account is pending.
    TryAgainLater {
        /// Hash of the envelope.
        hash: TxHash,
    },
    /// Invalid, outbid or not affordable; the result says which.
    Error {
        /// Hash of the envelope.
        hash: TxHash,
        /// The result, as `error_result_xdr` carries it.
        result: Box<TransactionResult>,
    },
    /// Not an envelope at all.
    Malformed {
        /// What is wrong with the bytes.
        reason: String,
    },
}

/// What became of a submission, and what its caller gets to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitOutcome {
    /// The true answer; `None` when the submission was lost before the ledger saw it.
    pub answer: Option<SubmitAnswer>,
    /// The answer that the caller gets (late, when the fault is `Slow`; a lie, when it is
    /// `InternalError`); `None` when the fault stands in its place.
    pub shown: Option<SubmitAnswer>,
    /// The fault that stands between the answer and the caller, if one fired.
    pub fault: Option<Fault>,
}

/// One closed ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Its sequence.
    pub sequence: u32,
    /// Its close time, Unix ms.
    pub closed_at_ms: u64,
    /// When it closed by true time, Unix ms: its close time, unless the validators' clocks are off.
    pub(crate) passed_at_ms: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// The hash of the ledger before it.
    pub prev_hash: [u8; 32],
    /// Transactions whose operations took effect; foreign ones included.
    pub successful: u32,
    /// Transactions that were included and failed.
    pub failed: u32,
    /// Operations that count against the ledger's space; a bump is one more.
    pub ops: u32,
    /// What every included transaction paid for one operation at most: the auction's price.
    pub price_stroops: i64,
    /// Fees collected since the start, in stroops, from accounts of this ledger.
    pub fee_pool_stroops: i64,
}

/// One applied transaction.
#[derive(Clone, Debug)]
pub struct TransactionRecord {
    /// Hash of the envelope.
    pub outer_hash: TxHash,
    /// Hash of the inner transaction; the outer hash when it is no fee bump.
    pub inner_hash: TxHash,
    /// Ledger that includes it.
    pub ledger: u32,
    /// Close time of that ledger, Unix ms.
    pub closed_at_ms: u64,
    /// Whether every operation took effect; otherwise none did.
    pub successful: bool,
    /// Fee charged, in stroops.
    pub fee_charged_stroops: i64,
    /// The result, inner pair included.
    pub result: TransactionResult,
    pub(crate) parsed: Parsed,
}

impl TransactionRecord {
    /// The envelope as it was submitted.
    pub fn envelope_xdr(&self) -> &[u8] {
        &self.parsed.xdr
    }
}

/// A simulated Stellar network.
#[derive(Clone, Debug)]
pub struct Network {
    pub(crate) config: Config,
    pub(crate) network_id: [u8; 32],
    pub(crate) now_ms: u64,
    pub(crate) book: Book,
    pub(crate) queue: Queue,
    pub(crate) ledgers: VecDeque<LedgerRecord>,
    pub(crate) samples: VecDeque<Vec<Sample>>,
    pub(crate) transactions: BTreeMap<TxHash, Arc<TransactionRecord>>,
    pub(crate) outer_by_inner: BTreeMap<TxHash, TxHash>,
    pub(crate) journal: Vec<JournalEntry>,
    foreign_rng: Rng,
    faults: Faults,
    close_skew_ms: i64,
}

impl Network {
    /// A network whose first ledger closed at `config.start_ms`, without accounts.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let genesis = LedgerRecord {
            sequence: config.first_ledger,
            closed_at_ms: config.start_ms,
            passed_at_ms: config.start_ms,
            hash: envelope::network_id(&config.passphrase),
            prev_hash: [0; 32],
            successful: 0,
            failed: 0,
            ops: 0,
            price_stroops: config.base_fee_stroops,
            fee_pool_stroops: 0,
        };
        let mut network = Self {
            network_id: envelope::network_id(&config.passphrase),
            now_ms: config.start_ms,
            book: Book::default(),
            queue: Queue::default(),
            ledgers: VecDeque::from([genesis]),
            samples: VecDeque::from([Vec::new()]),
            transactions: BTreeMap::new(),
            outer_by_inner: BTreeMap::new(),
            journal: Vec::new(),
            foreign_rng: Rng::new(config.seed, STREAM_FOREIGN),
            faults: Faults::new(config.seed),
            close_skew_ms: 0,
            config,
        };
        network.offer_foreign();
        Ok(network)
    }

    /// The parameters in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Moves time to `now_ms` (Unix ms; never backwards) and closes every ledger that is due.
    /// Answers how many were closed.
    pub fn advance(&mut self, now_ms: u64) -> u32 {
        self.now_ms = self.now_ms.max(now_ms);
        let mut closed = 0;
        while self.next_close_ms() <= self.now_ms {
            self.close_at(self.next_close_ms());
            closed += 1;
        }
        closed
    }

    /// When the next ledger is due, Unix ms.
    pub fn next_close_ms(&self) -> u64 {
        self.latest()
            .passed_at_ms
            .saturating_add(self.config.close_ms)
    }

    /// Close times are this much ahead of true time from now on, or behind it. They never run back: the protocol demands
    /// that each is later than the one before.
    pub fn set_close_skew_ms(&mut self, close_skew_ms: i64) {
        self.close_skew_ms = close_skew_ms;
    }

    /// The close time of a ledger that closes at `passed_at_ms`.
    pub(crate) fn close_time_ms(&self, passed_at_ms: u64) -> u64 {
        let latest_ms = self.latest().closed_at_ms;
        let due_ms = passed_at_ms.saturating_add_signed(self.close_skew_ms);
        match due_ms < latest_ms {
            true => latest_ms.saturating_add(1_000),
            false => due_ms,
        }
    }

    /// Closes one ledger at once; the one after it is due `close_ms` later.
    pub fn close_now(&mut self, now_ms: u64) -> &LedgerRecord {
        self.advance(now_ms);
        self.close_at(self.now_ms);
        self.latest()
    }

    /// Submits an envelope (raw XDR) at `now_ms`, after closing the ledgers that are due.
    pub fn submit(&mut self, now_ms: u64, envelope_xdr: &[u8]) -> SubmitOutcome {
        self.advance(now_ms);
        let decided = self.faults.decide(FaultTarget::Submit);
        let answer = match decided {
            Some((Reach::Lost, _)) => None,
            Some((Reach::Processed, _)) | None => Some(self.accept(envelope_xdr)),
        };
        let fault = decided.map(|(_, fault)| fault);
        let shown = match fault {
            None | Some(Fault::Slow { .. }) => answer.clone(),
            Some(Fault::InternalError) => Some(self.internal_error(envelope_xdr)),
            Some(Fault::Timeout { .. } | Fault::Status(_) | Fault::Reset) => None,
        };
        SubmitOutcome {
            answer,
            shown,
            fault,
        }
    }

    fn internal_error(&self, envelope_xdr: &[u8]) -> SubmitAnswer {
        match Parsed::read(envelope_xdr, self.network_id) {
            Ok(parsed) => SubmitAnswer::Error {
                hash: parsed.outer_hash,
                result: Box::new(codes::internal_error()),
            },
            Err(reason) => SubmitAnswer::Malformed { reason },
        }
    }

    /// Decides whether the next query fails. Call it once for each query that faults may hit.
    pub fn query_fault(&mut self) -> Option<Fault> {
        self.faults
            .decide(FaultTarget::Query)
            .map(|(_, fault)| fault)
    }

    fn accept(&mut self, envelope_xdr: &[u8]) -> SubmitAnswer {
        let parsed = match Parsed::read(envelope_xdr, self.network_id) {
            Ok(parsed) => parsed,
            Err(reason) => return SubmitAnswer::Malformed { reason },
        };
        let hash = parsed.outer_hash;
        let latest = self.latest().sequence;
        let moment = self.submission_moment();
        let described = parsed.clone();
        let admission = self
            .queue
            .submit(&self.book, parsed, moment, &self.config, latest);
        match admission {
            Admission::Pending => SubmitAnswer::Pending { hash },
            Admission::Duplicate => SubmitAnswer::Duplicate { hash },
            Admission::TryAgainLater => SubmitAnswer::TryAgainLater { hash },
            Admission::Refused(verdict) => {
                let base_fee_stroops = self.config.base_fee_stroops;
                let result = codes::refused(&described, verdict, base_fee_stroops);
                let result = Box::new(result);
                SubmitAnswer::Error { hash, result }
            }
        }
    }

    /// stellar-core refuses what could expire before it is applied: a maximum time must lie
    /// beyond two expected closes from now.
    fn submission_moment(&self) -> Moment {
        let latest = self.latest();
        let ahead_ms = self.config.close_ms.saturating_mul(2);
        Moment {
            ledger: latest.sequence.saturating_add(1),
            earliest_s: latest.closed_at_ms / 1_000,
            latest_s: self.now_ms.saturating_add(ahead_ms) / 1_000,
            base_fee_stroops: self.config.base_fee_stroops,
            base_reserve_stroops: self.config.base_reserve_stroops,
            auth: Auth::Check,
        }
    }

    /// The ledger closed last, whatever the ingestion lag.
    pub fn latest(&self) -> &LedgerRecord {
        self.ledgers
            .back()
            .expect("the first ledger is never dropped alone")
    }

    /// The ledger that queries see: behind the latest by the ingestion lag, but by no more than
    /// the 120 ledgers whose accounts are remembered.
    pub fn visible(&self) -> &LedgerRecord {
        let plan = &self.faults.plan;
        let latest = self.latest().sequence;
        let newest = latest.saturating_sub(plan.ingest_lag_ledgers);
        let oldest = latest.saturating_sub(LAG_LEDGERS_MAX);
        let seen = self.ledgers.iter().rev().find(|ledger| {
            let seen_at_ms = ledger.passed_at_ms.saturating_add(plan.ingest_lag_ms);
            ledger.sequence <= newest && (seen_at_ms <= self.now_ms || ledger.sequence <= oldest)
        });
        seen.or(self.ledgers.front())
            .expect("the first ledger is never dropped alone")
    }

    /// Ledgers that queries see and that are still kept, newest first.
    pub fn ledgers(&self) -> impl DoubleEndedIterator<Item = &LedgerRecord> {
        let visible = self.visible().sequence;
        let seen = self.ledgers.iter().filter(move |l| l.sequence <= visible);
        seen.rev()
    }

    /// An applied transaction, by its outer or its inner hash, once queries see its ledger.
    pub fn transaction(&self, hash: &TxHash) -> Option<&TransactionRecord> {
        let outer = self.outer_by_inner.get(hash).unwrap_or(hash);
        let record = self.transactions.get(outer)?;
        (record.ledger <= self.visible().sequence).then_some(record.as_ref())
    }

    /// An account as queries see it.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.book.get_at(id, self.visible().sequence)
    }

    /// Every account, as of now.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &Account)> {
        self.book.iter()
    }

    /// Fees collected so far, in stroops.
    pub fn fee_pool_stroops(&self) -> i64 {
        self.book.fee_pool_stroops()
    }

    /// Fee statistics over the last five ledgers that queries see.
    pub fn fee_stats(&self) -> FeeStats {
        let visible = self.visible();
        let hidden = self.latest().sequence - visible.sequence;
        let skip = usize::try_from(hidden).unwrap_or(usize::MAX);
        let window = || self.samples.iter().rev().skip(skip).take(WINDOW_LEDGERS);
        let base_fee = self.config.base_fee_stroops;
        let of = |pick: fn(&Sample) -> i64| {
            Distribution::of(window().flatten().map(pick).collect(), base_fee)
        };
        let (mut ops, mut space) = (0, 0);
        for ledger in self.ledgers().take(WINDOW_LEDGERS) {
            ops += u64::from(ledger.ops);
            space += u64::from(self.config.ledger_ops_max);
        }
        let percent = (ops * 100 + space / 2) / space.max(1);
        FeeStats {
            last_ledger: visible.sequence,
            last_ledger_base_fee_stroops: base_fee,
            capacity_usage_percent: u32::try_from(percent).unwrap_or(100),
            fee_charged: of(|sample| sample.charged_stroops),
            max_fee: of(|sample| sample.max_stroops),
        }
    }

    /// Every applied transaction in order, whatever the ingestion lag.
    pub fn journal(&self) -> &[JournalEntry] {
        &self.journal
    }

    /// Transactions that wait, without the foreign ones.
    pub fn pending_len(&self) -> usize {
        self.queue.pending().count()
    }

    /// Replaces the fault plan.
    pub fn set_faults(&mut self, plan: FaultPlan) -> Result<(), FaultPlanError> {
        plan.validate()?;
        self.faults.plan = plan;
        Ok(())
    }

    /// The fault plan with what is left of its counts.
    pub fn faults(&self) -> &FaultPlan {
        &self.faults.plan
    }

    /// Replaces the foreign traffic; what waited is forgotten, the new offers start at once.
    pub fn set_foreign(&mut self, foreign: ForeignTraffic) -> Result<(), ForeignError> {
        foreign.validate()?;
        self.config.foreign = foreign;
        self.queue.clear_foreign();
        self.offer_foreign();
        Ok(())
    }

    /// Offers what others want in the next ledger.
    pub(crate) fn offer_foreign(&mut self) {
        let latest = self.latest().sequence;
        let next = latest.saturating_add(1);
        let offered = self.config.foreign.offer(next, &mut self.foreign_rng);
        let rng = &mut self.foreign_rng;
        let bids: Vec<(Bid, u64)> = offered
            .into_iter()
            .map(|(bid_stroops, ops)| {
                let fee_stroops = bid_stroops.saturating_mul(i64::from(ops));
                (Bid { fee_stroops, ops }, rng.next_u64())
            })
            .collect();
        self.queue.offer_foreign(bids, latest, &self.config);
    }
}

//! Random histories: submissions, batches, a hostile ledger, and true reports in any order.

use proptest::prelude::*;
use stellara_machine::command::{
    AttemptOutcome, CancelPayment, Command, FormBatch, GroupKey, OperationResult, Policy,
    RecordAttempt, RecordOutcome, Refusal,
};
use stellara_machine::decision::{BatchStage, Stage};
use stellara_machine::ids::{AttemptNo, BatchId, DeveloperId, Hash, Index, Memo, PaymentId};
use stellara_machine::units::{Lane, LedgerSeq, Stroops};

use crate::ledger::Included;
use crate::world::{World, body, channel, set_policy, submission};

/// One thing that happens. Numbers pick among what is there at that moment.
#[derive(Clone, Debug)]
enum Happening {
    Submit {
        key: u8,
        lane: u8,
        memo: bool,
    },
    Cancel {
        payment: u8,
        developer: u8,
    },
    Form {
        which: u8,
    },
    Attempt {
        batch: u8,
        kind: Inner,
        bound: u8,
        broken: bool,
    },
    Include {
        envelope: u8,
        result: Included,
    },
    Foreign {
        channel: u8,
    },
    Close {
        ledgers: u8,
    },
    Tick {
        wait_ms: u32,
    },
    Report {
        batch: u8,
        attempt: u8,
        refusal: Option<Refusal>,
    },
    Deliver {
        report: u8,
    },
    Policy {
        size_max: u16,
        retries_max: u16,
    },
    Flush,
}

#[derive(Clone, Copy, Debug)]
enum Inner {
    New,
    Bump,
}

impl std::fmt::Debug for Included {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Applied => f.write_str("Applied"),
            Self::Failed(operations) => write!(f, "Failed({operations:?})"),
        }
    }
}

fn included() -> impl Strategy<Value = Included> {
    let operation = prop_oneof![
        Just(OperationResult::RolledBack),
        Just(OperationResult::Terminal {
            code: "op_no_trust".into()
        }),
        Just(OperationResult::Retryable {
            code: "op_underfunded".into()
        }),
    ];
    prop_oneof![
        2 => Just(Included::Applied),
        1 => prop::collection::vec(operation, 0..4).prop_map(Included::Failed),
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        3 => (0_i64..2_000_000).prop_map(|fee| {
            Refusal::InsufficientFee { fee_needed: Stroops(fee) }
        }),
        1 => Just(Refusal::TryAgainLater),
        2 => Just(Refusal::InsufficientBalance),
        3 => Just(Refusal::Terminal { code: "tx_bad_auth".into() }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let kind = prop_oneof![Just(Inner::New), Just(Inner::Bump)];
    prop_oneof![
        8 => (0_u8..60, 1_u8..5, any::<bool>())
            .prop_map(|(key, lane, memo)| Happening::Submit { key, lane, memo }),
        2 => (any::<u8>(), 0_u8..3)
            .prop_map(|(payment, developer)| Happening::Cancel { payment, developer }),
        5 => any::<u8>().prop_map(|which| Happening::Form { which }),
        8 => (any::<u8>(), kind, 1_u8..6, prop::bool::weighted(0.2)).prop_map(
            |(batch, kind, bound, broken)| Happening::Attempt { batch, kind, bound, broken }
        ),
        8 => (any::<u8>(), included())
            .prop_map(|(envelope, result)| Happening::Include { envelope, result }),
        1 => (0_u8..3).prop_map(|channel| Happening::Foreign { channel }),
        3 => (1_u8..4).prop_map(|ledgers| Happening::Close { ledgers }),
        3 => (0_u32..20_000).prop_map(|wait_ms| Happening::Tick { wait_ms }),
        12 => (any::<u8>(), 0_u8..4, prop::option::of(refusal())).prop_map(
            |(batch, attempt, refusal)| Happening::Report { batch, attempt, refusal }
        ),
        12 => any::<u8>().prop_map(|report| Happening::Deliver { report }),
        1 => (1_u16..6, 0_u16..4)
            .prop_map(|(size_max, retries_max)| Happening::Policy { size_max, retries_max }),
        20 => Just(Happening::Flush),
    ]
}

fn pick<T>(items: &[T], which: u8) -> Option<&T> {
    items.get(usize::from(which).checked_rem(items.len())?)
}

/// A history under way: commands gather until a flush makes an entry of them.
struct History {
    world: World,
    pending: Vec<Command>,
    /// True reports that are not proposed yet, maybe overtaken by the time they are.
    reports: Vec<RecordOutcome>,
    hashes: u64,
    version: u64,
}

impl History {
    fn new() -> Self {
        let world = World::with_channels(3);
        Self {
            world,
            pending: Vec::new(),
            reports: Vec::new(),
            hashes: 0,
            version: 0,
        }
    }

    fn hash(&mut self) -> Hash {
        self.hashes += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.hashes.to_le_bytes());
        Hash(bytes)
    }

    fn flush(&mut self) {
        let commands = std::mem::take(&mut self.pending);
        self.world.entry(commands);
        self.version = self.world.state.policy().version;
    }

    fn live(&self, which: u8) -> Option<BatchId> {
        let live: Vec<_> = self.world.state.batches().keys().copied().collect();
        pick(&live, which).copied()
    }

    fn happens(&mut self, happening: &Happening) {
        match happening {
            Happening::Submit { key, lane, memo } => self.submit(*key, *lane, *memo),
            Happening::Cancel { payment, developer } => self.cancel(*payment, *developer),
            Happening::Form { which } => self.form(*which),
            Happening::Attempt {
                batch,
                kind,
                bound,
                broken,
            } => {
                let batch = self.live(*batch);
                let attempt = batch.map(|batch| self.attempt(batch, *kind, *bound, *broken));
                self.pending.extend(attempt.map(Command::RecordAttempt));
            }
            Happening::Include { envelope, result } => {
                let count = self.world.ledger.envelopes.len();
                // The latest envelopes are the interesting ones.
                let which = count.checked_sub(1 + usize::from(*envelope % 4));
                which
                    .into_iter()
                    .for_each(|which| self.world.ledger.include(which, result));
                self.world.check_paid();
            }
            Happening::Foreign { channel: no } => self.world.ledger.use_sequence(channel(*no)),
            Happening::Close { ledgers } => self.world.ledger.closed += u32::from(*ledgers),
            Happening::Tick { wait_ms } => {
                self.world.time = self.world.time.plus(u64::from(*wait_ms));
            }
            Happening::Report {
                batch,
                attempt,
                refusal,
            } => {
                let batch = self.live(*batch);
                batch
                    .into_iter()
                    .for_each(|batch| self.report(batch, *attempt, refusal.clone()));
            }
            Happening::Deliver { report } => {
                if !self.reports.is_empty() {
                    let which = usize::from(*report) % self.reports.len();
                    let report = self.reports.swap_remove(which);
                    self.pending.push(Command::RecordOutcome(report));
                }
            }
            Happening::Policy {
                size_max,
                retries_max,
            } => {
                let policy = Policy {
                    batch_size_max: *size_max,
                    batch_size_min: 1,
                    retries_max: *retries_max,
                    ..Policy::default()
                };
                self.pending.push(set_policy(self.version, policy));
            }
            Happening::Flush => self.flush(),
        }
    }

    fn submit(&mut self, key: u8, lane: u8, memo: bool) {
        let lane = Lane::from_number(lane).unwrap_or_default();
        let mut body = body(lane);
        body.memo = if memo { Memo::Id(1) } else { Memo::None };
        let submit = submission(&format!("key {key}"), body);
        self.pending.push(Command::SubmitPayment(submit));
    }

    /// Mostly a batch that is due, else one of whatever waits.
    fn form(&mut self, which: u8) {
        let groups: Vec<GroupKey> = self.world.state.groups().keys().cloned().collect();
        let due = self
            .world
            .state
            .due(self.world.time)
            .filter(|_| !which.is_multiple_of(4));
        let group = due.or(pick(&groups, which).cloned());
        self.pending
            .extend(group.map(|group| Command::FormBatch(FormBatch { group })));
    }

    /// A known payment, or one that this very entry is about to make.
    fn cancel(&mut self, which: u8, developer: u8) {
        let mut known: Vec<PaymentId> = self.world.store.payments.keys().copied().collect();
        let next = Index(self.world.state.index().0 + 1);
        known.extend((0..4).map(|offset| PaymentId::fresh(next, offset)));
        let developer = DeveloperId(if developer == 2 {
            7
        } else {
            u64::from(developer)
        });
        let cancel = pick(&known, which).map(|payment| {
            Command::CancelPayment(CancelPayment {
                developer,
                payment: *payment,
            })
        });
        self.pending.extend(cancel);
    }

    fn attempt(&mut self, id: BatchId, kind: Inner, bound: u8, broken: bool) -> RecordAttempt {
        let (new_inner, outer_hash) = (self.hash(), self.hash());
        let batch = &self.world.state.batches()[&id];
        let last = batch.attempts.last();
        let mut attempt = RecordAttempt {
            batch: id,
            attempt: AttemptNo(last.map_or(1, |last| last.attempt.0 + 1)),
            channel: batch.channel,
            sequence: batch.sequence,
            inner_hash: new_inner,
            outer_hash,
            time_bound_s: 1,
            ledger_bound: LedgerSeq(self.world.ledger.closed + u32::from(bound)),
            fee_max: Stroops(100),
            envelope: vec![u8::from(!broken)],
        };
        if let (Inner::Bump, Some(last)) = (kind, last) {
            attempt.inner_hash = last.inner_hash;
            attempt.ledger_bound = last.ledger_bound;
        }
        attempt
    }

    fn report(&mut self, batch: BatchId, which: u8, refusal: Option<Refusal>) {
        let attempts = &self.world.state.batches()[&batch].attempts;
        // Mostly of the last attempt.
        let back = usize::from(which / 2);
        let index = attempts.len().checked_sub(1 + back);
        let Some(attempt) = index.and_then(|index| attempts.get(index)) else {
            return;
        };
        let attempt = attempt.attempt;
        let outcome = self.world.ledger.observe(batch, attempt, refusal);
        let report = outcome.map(|outcome| RecordOutcome {
            batch,
            attempt,
            outcome,
        });
        self.reports.extend(report);
    }

    /// A healthy executor and a healthy ledger: everything comes to its end.
    fn drain(&mut self) {
        self.flush();
        for report in std::mem::take(&mut self.reports) {
            self.pending.push(Command::RecordOutcome(report));
        }
        self.flush();
        for _ in 0..400 {
            if self.world.state.queued() == 0 && self.world.state.batches().is_empty() {
                return;
            }
            self.world.time = self.world.time.plus(60_000);
            self.world.ledger.closed += 1;
            let due = self.world.state.form_candidates(self.world.time, 10);
            let forms = due
                .into_iter()
                .map(|group| Command::FormBatch(FormBatch { group }));
            self.pending.extend(forms);
            self.flush();
            let live: Vec<BatchId> = self.world.state.batches().keys().copied().collect();
            for id in live {
                self.settle(id);
            }
        }
        panic!("stuck: {:?}", self.world.state.batches());
    }

    fn settle(&mut self, id: BatchId) {
        let batch = &self.world.state.batches()[&id];
        if batch.stage == BatchStage::Building {
            let attempt = self.attempt(id, Inner::New, 3, false);
            self.pending.push(Command::RecordAttempt(attempt));
            self.flush();
            let last = self.world.ledger.envelopes.len().checked_sub(1);
            let applied = Included::Applied;
            last.into_iter()
                .for_each(|last| self.world.ledger.include(last, &applied));
        }
        // What is final is told of every attempt, whatever is known already.
        let numbers: Vec<_> = self.world.state.batches().get(&id).into_iter().collect();
        let numbers: Vec<_> = numbers
            .into_iter()
            .flat_map(|batch| batch.attempts.iter().map(|attempt| attempt.attempt))
            .collect();
        for attempt in numbers {
            if let Some(outcome) = self.world.ledger.observe(id, attempt, None) {
                let record = RecordOutcome {
                    batch: id,
                    attempt,
                    outcome,
                };
                self.pending.push(Command::RecordOutcome(record));
            }
        }
        self.flush();
    }
}

fn run(happenings: &[Happening]) -> History {
    let mut history = History::new();
    for happening in happenings {
        history.happens(happening);
    }
    history.flush();
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// `World` checks every law after every entry: places, counts, digests, channels, audit
    /// chain, payments on the ledger.
    #[test]
    fn every_history_keeps_the_laws(happenings in prop::collection::vec(happening(), 1..150)) {
        let history = run(&happenings);
        let replayed = history.world.replay();
        prop_assert_eq!(replayed.digest(), history.world.state.digest());
        prop_assert_eq!(replayed.chain(), history.world.state.chain());
    }

    /// However a history went, with the troubles over every payment comes to an end.
    #[test]
    fn every_history_can_end(happenings in prop::collection::vec(happening(), 1..100)) {
        let mut history = run(&happenings);
        history.drain();
        let paid = history.world.ledger.paid.len();
        let settled = history.world.state.totals().settled;
        prop_assert_eq!(u64::try_from(paid).ok(), Some(settled));
        for status in history.world.store.statuses.values() {
            let ended = match status.stage {
                Stage::Settled { .. } | Stage::Failed { .. } | Stage::Cancelled => true,
                Stage::Queued { .. } | Stage::Batched { .. } => false,
            };
            prop_assert!(ended, "{:?}", status);
        }
    }
}

/// The generator must reach the cases that the laws are about.
#[test]
fn histories_reach_every_outcome() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(happening(), 150);
    let (mut settled, mut rolled_back, mut abandoned, mut ending, mut lost) = (0, 0, 0, 0, 0);
    for _ in 0..60 {
        let tree = match strategy.new_tree(&mut runner) {
            Ok(tree) => tree,
            Err(reason) => panic!("no history: {reason}"),
        };
        let history = run(&tree.current());
        let totals = *history.world.state.totals();
        settled += totals.batches_settled;
        rolled_back += totals.batches_rolled_back;
        abandoned += totals.batches_abandoned;
        for command in history.world.log.iter().flat_map(|entry| &entry.commands) {
            if let Command::RecordOutcome(RecordOutcome {
                outcome: AttemptOutcome::SequenceLost { .. },
                ..
            }) = command
            {
                lost += 1;
            }
        }
        let given_up = history.world.state.batches().values();
        ending += given_up.filter(|batch| batch.ending.is_some()).count();
    }
    for (what, count) in [
        ("settled", settled),
        ("rolled back", rolled_back),
        ("abandoned", abandoned),
        ("lost", lost),
    ] {
        assert!(count > 5, "too few {what}: {count}");
    }
    assert!(
        ending > 0,
        "no batch was given up while an attempt was open"
    );
}

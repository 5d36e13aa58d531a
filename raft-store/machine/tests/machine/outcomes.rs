//! Attempts and what the ledger did with them, case by case.

use stellara_machine::command::{
    AttemptOutcome, Command, FormBatch, OperationResult, Policy, RecordAttempt, RecordOutcome,
    Refusal,
};
use stellara_machine::decision::{AttemptFate, Batch, BatchStage, Ending, Rejection, Reply, Stage};
use stellara_machine::ids::{AttemptNo, BatchId, Hash};
use stellara_machine::limits::ATTEMPTS_MAX;
use stellara_machine::units::{AccountSequence, Lane, LedgerSeq, Stroops};

use crate::world::{World, channel, set_policy, submit};

const FEE: Stroops = Stroops(400);
const LEDGER: LedgerSeq = LedgerSeq(9);

/// A batch of three payments on the only channel.
struct Bench {
    world: World,
    id: BatchId,
}

impl Bench {
    fn new() -> Self {
        Self::with_policy(Policy {
            retries_max: 2,
            ..Policy::default()
        })
    }

    fn with_policy(policy: Policy) -> Self {
        let mut world = World::with_channels(1);
        assert!(world.one(set_policy(0, policy)).is_ok());
        world.entry(["a", "b", "c"].map(|key| submit(key, Lane::High)).to_vec());
        let id = form(&mut world);
        Self { world, id }
    }

    fn batch(&self) -> &Batch {
        match self.world.state.batches().get(&self.id) {
            Some(batch) => batch,
            None => panic!(
                "the batch ended: {:?}",
                self.world.store.ended.get(&self.id)
            ),
        }
    }

    fn ended(&self) -> &BatchStage {
        assert!(
            !self.world.state.batches().contains_key(&self.id),
            "{:?}",
            self.batch()
        );
        &self.world.store.ended[&self.id].stage
    }

    /// The next attempt with this inner transaction; its bounds follow from it.
    fn attempt(&self, inner: u8) -> RecordAttempt {
        let batch = self.batch();
        let no = batch.attempts.last().map_or(1, |last| last.attempt.0 + 1);
        RecordAttempt {
            batch: self.id,
            attempt: AttemptNo(no),
            channel: batch.channel,
            sequence: batch.sequence,
            inner_hash: Hash([inner; 32]),
            outer_hash: Hash([u8::try_from(no).unwrap_or(0); 32]),
            time_bound_s: 60,
            ledger_bound: LedgerSeq(100),
            fee_max: FEE,
            envelope: vec![1],
        }
    }

    #[track_caller]
    fn send(&mut self, inner: u8) {
        let attempt = self.attempt(inner);
        self.check_attempt(attempt, Ok(Reply::AttemptRecorded));
        assert_eq!(self.batch().stage, BatchStage::InFlight);
    }

    #[track_caller]
    fn check_attempt(&mut self, attempt: RecordAttempt, expected: Result<Reply, Rejection>) {
        assert_eq!(self.world.one(Command::RecordAttempt(attempt)), expected);
    }

    fn tell(&mut self, attempt: u16, outcome: AttemptOutcome) -> Result<Reply, Rejection> {
        let attempt = AttemptNo(attempt);
        let record = RecordOutcome {
            batch: self.id,
            attempt,
            outcome,
        };
        self.world.one(Command::RecordOutcome(record))
    }

    #[track_caller]
    fn told(&mut self, attempt: u16, outcome: AttemptOutcome) {
        assert_eq!(self.tell(attempt, outcome), Ok(Reply::OutcomeRecorded));
    }

    #[track_caller]
    fn refuse(&mut self, attempt: u16, refusal: Refusal) {
        self.told(attempt, AttemptOutcome::Refused(refusal));
    }

    /// The channel's last sequence, and whether it is free.
    #[track_caller]
    fn check_channel(&self, sequence: i64, free: usize) {
        let account = &self.world.state.accounts()[&channel(0)];
        assert_eq!(account.sequence, AccountSequence(sequence));
        assert_eq!(self.world.state.free_channels().len(), free);
    }

    /// Stage and failures of the payments, in a word each.
    #[track_caller]
    fn check_payments(&self, expected: [(&str, u16); 3]) {
        let statuses = self.world.store.statuses.values();
        let found: Vec<_> = statuses
            .map(|status| (status.stage.word(), status.failures))
            .collect();
        assert_eq!(found, expected);
    }
}

fn form(world: &mut World) -> BatchId {
    let Some(group) = world.state.due(world.time) else {
        panic!("nothing is due")
    };
    match world.one(Command::FormBatch(FormBatch { group })) {
        Ok(Reply::BatchFormed { batch }) => batch,
        other => panic!("no batch: {other:?}"),
    }
}

/// On the ledger in truth too, which the world compares with.
fn applied(bench: &mut Bench, envelope: usize) -> AttemptOutcome {
    bench
        .world
        .ledger
        .include(envelope, &crate::ledger::Included::Applied);
    AttemptOutcome::Applied {
        ledger: LEDGER,
        fee_charged: FEE,
    }
}

fn failed(operations: Vec<OperationResult>) -> AttemptOutcome {
    AttemptOutcome::AppliedFailed {
        ledger: LEDGER,
        fee_charged: FEE,
        operations,
    }
}

fn terminal() -> Refusal {
    Refusal::Terminal {
        code: "tx_bad_auth".into(),
    }
}

fn fee(needed: i64) -> Refusal {
    Refusal::InsufficientFee {
        fee_needed: Stroops(needed),
    }
}

#[test]
fn an_applied_attempt_settles_the_batch() {
    let mut bench = Bench::new();
    bench.send(1);
    let outcome = applied(&mut bench, 0);
    bench.told(1, outcome.clone());
    assert_eq!(
        *bench.ended(),
        BatchStage::Settled {
            ledger: LEDGER,
            fee_charged: FEE
        }
    );
    bench.check_payments([("settled", 0); 3]);
    bench.check_channel(1, 1);
    assert_eq!(bench.world.state.totals().fee_charged_stroops, 400);
    let batch = bench.id;
    assert_eq!(
        bench.tell(1, outcome),
        Err(Rejection::BatchUnknown { batch })
    );
}

#[test]
fn an_older_attempt_settles_the_batch_too() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, fee(400));
    bench.send(2);
    let outcome = applied(&mut bench, 0);
    bench.told(1, outcome);
    bench.check_payments([("settled", 0); 3]);
}

#[test]
fn a_failed_transaction_evicts_the_bad_payments() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.told(
        1,
        failed(vec![
            OperationResult::RolledBack,
            OperationResult::Terminal {
                code: "op_no_trust".into(),
            },
            OperationResult::Retryable {
                code: "op_underfunded".into(),
            },
        ]),
    );
    assert_eq!(
        *bench.ended(),
        BatchStage::RolledBack {
            ledger: LEDGER,
            fee_charged: FEE
        }
    );
    bench.check_payments([("queued", 0), ("failed", 1), ("queued", 1)]);
    bench.check_channel(1, 1);
    let next = form(&mut bench.world);
    assert_eq!(
        bench.world.state.batches()[&next].payments.len(),
        1,
        "only the rolled back one"
    );
}

#[test]
fn a_transaction_that_fails_with_nobody_to_blame_is_not_retried_for_ever() {
    for operations in [vec![], vec![OperationResult::RolledBack; 3]] {
        let mut bench = Bench::new();
        for failures in 1..=3 {
            bench.send(failures);
            bench.told(1, failed(operations.clone()));
            let stage = if failures == 3 { "failed" } else { "queued" };
            bench.check_payments([(stage, u16::from(failures)); 3]);
            bench.world.time = bench.world.time.plus(60_000);
            if failures < 3 {
                bench.id = form(&mut bench.world);
            }
        }
    }
}

#[test]
fn results_must_fit_the_payments() {
    let mut bench = Bench::new();
    bench.send(1);
    let long = OperationResult::Terminal {
        code: "x".repeat(65),
    };
    for (operations, field) in [
        (vec![OperationResult::RolledBack; 2], "operations"),
        (vec![long; 3], "code"),
    ] {
        match bench.tell(1, failed(operations)) {
            Err(Rejection::Field { field: found, .. }) => assert_eq!(found, field),
            other => panic!("taken: {other:?}"),
        }
    }
}

#[test]
fn a_low_bid_is_raised_within_the_cap() {
    let mut bench = Bench::new();
    bench.send(1);
    // 804 for four operations are 201 each, and a tenth rounded up on top.
    bench.refuse(1, fee(804));
    let now = bench.world.state.now();
    let batch = bench.batch();
    assert_eq!((batch.fee_bid, batch.not_before), (Stroops(222), now));
    assert_eq!(batch.stage, BatchStage::Building);
    bench.refuse(1, fee(804));
    assert_eq!(bench.batch().failures, 1, "the same refusal counts once");

    bench.send(1);
    bench.refuse(2, fee(4 * 100_001));
    let batch = bench.batch();
    assert_eq!(batch.fee_bid, Stroops(100_000));
    assert!(batch.not_before > now, "above the cap it waits");
}

#[test]
fn a_cheap_ledger_is_waited_for_past_the_retries() {
    let mut bench = Bench::new();
    for attempt in 1..=ATTEMPTS_MAX {
        bench.send(1);
        bench.refuse(attempt, fee(i64::MAX));
    }
    let reason = "attempts_full".to_string();
    assert_eq!(bench.batch().ending, Some(Ending::Requeue { reason }));
    let full = Rejection::AttemptsFull {
        limit: ATTEMPTS_MAX,
    };
    bench.check_attempt(bench.attempt(1), Err(full));
    bench.told(ATTEMPTS_MAX, AttemptOutcome::Expired);
    bench.check_payments([("queued", 0); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn a_full_queue_keeps_the_attempt_in_flight() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, Refusal::TryAgainLater);
    assert_eq!(bench.batch().stage, BatchStage::InFlight);
    assert!(bench.batch().not_before > bench.world.state.now());
    let live = Rejection::EarlierAttemptLive {
        attempt: AttemptNo(1),
    };
    bench.check_attempt(bench.attempt(2), Err(live));
    bench.send(1);
}

#[test]
fn a_terminal_refusal_fails_the_payments_when_nothing_else_is_open() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, terminal());
    assert_eq!(
        *bench.ended(),
        BatchStage::Abandoned {
            reason: "tx_bad_auth".into()
        }
    );
    bench.check_payments([("failed", 1); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn a_terminal_refusal_waits_for_an_earlier_bump() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, fee(400));
    bench.send(1);
    bench.refuse(2, terminal());
    let reason = "tx_bad_auth".to_string();
    assert_eq!(bench.batch().ending, Some(Ending::DeadLetter { reason }));
    let fates: Vec<_> = bench
        .batch()
        .attempts
        .iter()
        .map(|attempt| attempt.fate)
        .collect();
    assert_eq!(fates, [AttemptFate::Open, AttemptFate::Excluded]);
    bench.check_payments([("batched", 0); 3]);
    let live = Rejection::EarlierAttemptLive {
        attempt: AttemptNo(2),
    };
    bench.check_attempt(bench.attempt(1), Err(live));
    bench.told(1, AttemptOutcome::Expired);
    bench.check_payments([("failed", 1); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn a_batch_given_up_may_still_settle() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, fee(400));
    bench.send(2);
    bench.refuse(2, terminal());
    let outcome = applied(&mut bench, 0);
    bench.told(1, outcome);
    bench.check_payments([("settled", 0); 3]);
    bench.check_channel(1, 1);
}

#[test]
fn an_expired_attempt_is_built_again_on_the_same_sequence() {
    let mut bench = Bench::new();
    for attempt in 1..=2 {
        bench.send(u8::try_from(attempt).unwrap());
        bench.told(attempt, AttemptOutcome::Expired);
        bench.told(attempt, AttemptOutcome::Expired);
        let batch = bench.batch();
        assert_eq!(
            (batch.stage.clone(), batch.failures),
            (BatchStage::Building, attempt)
        );
        assert_eq!(
            (batch.channel, batch.sequence),
            (channel(0), AccountSequence(1))
        );
    }
    bench.send(3);
    bench.told(3, AttemptOutcome::Expired);
    assert_eq!(
        *bench.ended(),
        BatchStage::Abandoned {
            reason: "expired".into()
        }
    );
    bench.check_payments([("queued", 0); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn an_empty_treasury_counts_against_the_payments() {
    let mut bench = Bench::new();
    for attempt in 1..=3 {
        bench.send(1);
        bench.refuse(attempt, Refusal::InsufficientBalance);
    }
    let reason = "tx_insufficient_balance".to_string();
    assert_eq!(bench.batch().ending, Some(Ending::Retry { reason }));
    bench.told(1, AttemptOutcome::Expired);
    bench.check_payments([("queued", 1); 3]);
}

#[test]
fn a_lost_sequence_is_replaced_on_the_same_channel() {
    let mut bench = Bench::new();
    bench.send(1);
    let lost = |sequence| AttemptOutcome::SequenceLost {
        account_sequence: AccountSequence(sequence),
    };
    let early = bench.tell(1, lost(0));
    assert!(matches!(
        early,
        Err(Rejection::Field {
            field: "account_sequence",
            ..
        })
    ));
    bench.told(1, lost(7));
    assert_eq!(bench.batch().sequence, AccountSequence(8));
    assert_eq!(bench.batch().stage, BatchStage::Building);
    bench.check_channel(7, 0);
    let expected = AttemptNo(1);
    assert_eq!(
        bench.tell(1, lost(7)),
        Err(Rejection::AttemptOutOfOrder { expected })
    );
    bench.send(2);
    assert_eq!(bench.batch().attempts[0].fate, AttemptFate::Lost);
    bench.told(2, failed(vec![]));
    bench.check_channel(8, 1);
}

#[test]
fn an_attempt_must_fit_its_batch() {
    let mut bench = Bench::new();
    let good = bench.attempt(1);
    let out_of_order = |expected| Err(Rejection::AttemptOutOfOrder { expected });
    let mut check = |edit: fn(&mut RecordAttempt), expected| {
        let mut attempt = good.clone();
        edit(&mut attempt);
        bench.check_attempt(attempt, expected);
    };
    check(
        |attempt| attempt.attempt = AttemptNo(2),
        out_of_order(AttemptNo(1)),
    );
    let batch = BatchId(1);
    check(
        |attempt| attempt.batch = BatchId(1),
        Err(Rejection::BatchUnknown { batch }),
    );
    let (channel, sequence) = (channel(0), AccountSequence(1));
    let mismatch = || Err(Rejection::SequenceMismatch { channel, sequence });
    check(|attempt| attempt.sequence = AccountSequence(2), mismatch());
    check(
        |attempt| attempt.channel = crate::world::channel(1),
        mismatch(),
    );
    check(|_| {}, Ok(Reply::AttemptRecorded));
    check(|_| {}, Ok(Reply::AttemptRecorded));
    assert_eq!(
        bench.batch().attempts.len(),
        1,
        "the same attempt is stored once"
    );
    let refused = bench.tell(2, AttemptOutcome::Expired);
    assert_eq!(refused, out_of_order(AttemptNo(1)));
}

#[track_caller]
fn check_field(field: &str, edit: fn(&mut RecordAttempt)) {
    let mut bench = Bench::new();
    bench.send(1);
    let mut attempt = bench.attempt(1);
    edit(&mut attempt);
    match bench.world.one(Command::RecordAttempt(attempt)) {
        Err(Rejection::Field { field: found, .. }) => assert_eq!(found, field),
        other => panic!("taken: {other:?}"),
    }
}

#[test]
fn an_attempt_has_bounds_a_bid_and_bytes() {
    check_field("envelope", |attempt| attempt.envelope.clear());
    check_field("envelope", |attempt| attempt.envelope = vec![1; 65_537]);
    check_field("time_bound_s", |attempt| attempt.time_bound_s = 0);
    check_field("time_bound_s", |attempt| attempt.time_bound_s = 61);
    check_field("ledger_bound", |attempt| {
        attempt.ledger_bound = LedgerSeq(0)
    });
    check_field("fee_max", |attempt| attempt.fee_max = Stroops(0));
    check_field("fee_max", |attempt| attempt.fee_max = Stroops(400_001));
}

#[test]
fn a_payment_that_goes_back_says_why() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.told(1, failed(vec![]));
    for status in bench.world.store.statuses.values() {
        match &status.stage {
            Stage::Queued { not_before, reason } => {
                assert_eq!(reason, "tx_failed");
                assert!(*not_before > status.at);
            }
            other => panic!("not queued: {other:?}"),
        }
    }
}

//! A batch of three payments on one channel, and what is told of it.

use stellara_machine::command::{
    AttemptOutcome, Command, FormBatch, OperationResult, Policy, RecordAttempt, RecordOutcome,
    Refusal,
};
use stellara_machine::decision::{Batch, BatchStage, Rejection, Reply};
use stellara_machine::ids::{AttemptNo, BatchId, Hash};
use stellara_machine::units::{AccountSequence, Lane, LedgerSeq, Stroops};

use crate::world::{World, channel, set_policy, submit};

pub const FEE: Stroops = Stroops(400);
pub const LEDGER: LedgerSeq = LedgerSeq(9);

/// A batch of three payments on the only channel.
pub struct Bench {
    pub world: World,
    pub id: BatchId,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_policy(Policy {
            retries_max: 2,
            ..Policy::default()
        })
    }

    pub fn with_policy(policy: Policy) -> Self {
        let mut world = World::with_channels(1);
        assert!(world.one(set_policy(0, policy)).is_ok());
        world.entry(["a", "b", "c"].map(|key| submit(key, Lane::High)).to_vec());
        let id = form(&mut world);
        Self { world, id }
    }

    pub fn batch(&self) -> &Batch {
        match self.world.state.batches().get(&self.id) {
            Some(batch) => batch,
            None => panic!(
                "the batch ended: {:?}",
                self.world.store.ended.get(&self.id)
            ),
        }
    }

    pub fn ended(&self) -> &BatchStage {
        assert!(
            !self.world.state.batches().contains_key(&self.id),
            "{:?}",
            self.batch()
        );
        &self.world.store.ended[&self.id].stage
    }

    /// The next attempt with this inner transaction; its bounds follow from it.
    pub fn attempt(&self, inner: u8) -> RecordAttempt {
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
    pub fn send(&mut self, inner: u8) {
        let attempt = self.attempt(inner);
        self.check_attempt(attempt, Ok(Reply::AttemptRecorded));
        assert_eq!(self.batch().stage, BatchStage::InFlight);
    }

    #[track_caller]
    pub fn check_attempt(&mut self, attempt: RecordAttempt, expected: Result<Reply, Rejection>) {
        assert_eq!(self.world.one(Command::RecordAttempt(attempt)), expected);
    }

    pub fn tell(&mut self, attempt: u16, outcome: AttemptOutcome) -> Result<Reply, Rejection> {
        let attempt = AttemptNo(attempt);
        let record = RecordOutcome {
            batch: self.id,
            attempt,
            outcome,
        };
        self.world.one(Command::RecordOutcome(record))
    }

    #[track_caller]
    pub fn told(&mut self, attempt: u16, outcome: AttemptOutcome) {
        assert_eq!(self.tell(attempt, outcome), Ok(Reply::OutcomeRecorded));
    }

    #[track_caller]
    pub fn refuse(&mut self, attempt: u16, refusal: Refusal) {
        self.told(attempt, AttemptOutcome::Refused(refusal));
    }

    /// The channel's last sequence, and whether it is free.
    #[track_caller]
    pub fn check_channel(&self, sequence: i64, free: usize) {
        let account = &self.world.state.accounts()[&channel(0)];
        assert_eq!(account.sequence, AccountSequence(sequence));
        assert_eq!(self.world.state.free_channels().len(), free);
    }

    /// Stage and failures of the payments, in a word each.
    #[track_caller]
    pub fn check_payments(&self, expected: [(&str, u16); 3]) {
        let statuses = self.world.store.statuses.values();
        let found: Vec<_> = statuses
            .map(|status| (status.stage.word(), status.failures))
            .collect();
        assert_eq!(found, expected);
    }
}

pub fn form(world: &mut World) -> BatchId {
    let Some(group) = world.state.due(world.time) else {
        panic!("nothing is due")
    };
    match world.one(Command::FormBatch(FormBatch { group })) {
        Ok(Reply::BatchFormed { batch }) => batch,
        other => panic!("no batch: {other:?}"),
    }
}

/// On the ledger in truth too, which the world compares with.
pub fn applied(bench: &mut Bench, envelope: usize) -> AttemptOutcome {
    bench
        .world
        .ledger
        .include(envelope, &crate::ledger::Included::Applied);
    AttemptOutcome::Applied {
        ledger: LEDGER,
        fee_charged: FEE,
    }
}

pub fn failed(operations: Vec<OperationResult>) -> AttemptOutcome {
    AttemptOutcome::AppliedFailed {
        ledger: LEDGER,
        fee_charged: FEE,
        operations,
    }
}

pub fn terminal() -> Refusal {
    Refusal::Terminal {
        code: "tx_bad_auth".into(),
    }
}

pub fn fee(needed: i64) -> Refusal {
    Refusal::InsufficientFee {
        fee_needed: Stroops(needed),
    }
}

//! Settlement against a ledger that loses answers and a cluster that loses leaders.
//!
//! Time is virtual: every wait of the executor passes at once.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft_rt_tokio::TokioRuntime;
use proptest::prelude::*;
use stellara_machine::command::{AccountRole, AttemptOutcome, Refusal};
use stellara_machine::decision::BatchStage;
use stellara_machine::ids::{AccountId, Hash};
use stellara_machine::units::Stroops;
use tokio::task::JoinHandle;

use super::*;
use crate::ports::ledger::{OperationCode, SubmitAnswer, TransactionCode, TransactionResult};
use crate::ports::signer::LocalSigner;
use crate::ports::signer::keyring::Seed;

mod fake_cluster;
mod fake_ledger;
mod signers;

use fake_cluster::{Failure, FakeCluster};
use fake_ledger::{FakeClock, FakeLedger, Script};

const SEQUENCE: i64 = 40;

struct World {
    cluster: FakeCluster,
    ledger: FakeLedger,
    clock: FakeClock,
    network: Network,
    signer: LocalSigner,
    time_bound_s: u64,
}

fn account_of(seed: u8) -> AccountId {
    Seed::from_bytes([seed; 32]).account()
}

fn channel() -> AccountId {
    account_of(1)
}

impl World {
    /// One treasury, channel and fee account, known on both sides.
    fn new() -> Self {
        let world = Self::unregistered();
        let mut cluster = world.cluster.state();
        for (seed, role) in [
            (1, AccountRole::Channel),
            (2, AccountRole::Treasury),
            (3, AccountRole::Fee),
        ] {
            let id = account_of(seed);
            let known = fake_cluster::account(id, role, SEQUENCE);
            cluster.accounts.insert(id, known);
        }
        drop(cluster);
        world
    }

    fn unregistered() -> Self {
        let clock = FakeClock::new();
        let network = Network::from_passphrase("Standalone Network ; February 2017");
        let ledger = FakeLedger::new(network, clock);
        ledger.state().sequences.insert(channel(), (SEQUENCE, 0));
        let seeds = [
            (AccountRole::Channel, Seed::from_bytes([1; 32])),
            (AccountRole::Treasury, Seed::from_bytes([2; 32])),
            (AccountRole::Fee, Seed::from_bytes([3; 32])),
        ];
        Self {
            cluster: FakeCluster::new(clock),
            ledger,
            clock,
            network,
            signer: LocalSigner::from_seeds(seeds.iter().map(|(role, seed)| (*role, seed))),
            time_bound_s: 60,
        }
    }

    fn group(&self) -> GroupKey {
        GroupKey {
            treasury: account_of(2),
            ..GroupKey::default()
        }
    }

    fn batch(&self, payments: u64) -> BatchId {
        self.cluster.add_batch(self.group(), payments, channel())
    }

    fn script(&self, script: impl IntoIterator<Item = Script>) {
        self.ledger.state().script.extend(script);
    }

    fn start(&self) -> JoinHandle<Ended> {
        self.start_with(self.signer.clone())
    }

    fn start_with(&self, signer: impl Signer) -> JoinHandle<Ended> {
        let settings = Settings {
            time_bound_s: self.time_bound_s,
            ..Settings::default()
        };
        let outside = Outside {
            ledger: self.ledger.clone(),
            signer,
            clock: self.clock,
            network: self.network,
        };
        let executor =
            Executor::<TokioRuntime, _, _, _, _>::new(self.cluster.clone(), outside, settings);
        tokio::spawn(executor.unwrap().run())
    }

    /// Runs until the batch ends, and long enough after for whatever could still apply.
    async fn settle(&self, batch: BatchId) -> BatchStage {
        let executor = self.start();
        self.cluster
            .until(|state| state.ended.contains_key(&batch))
            .await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        executor.abort();
        self.cluster.state().ended[&batch].stage.clone()
    }

    fn inners(&self, batch: BatchId) -> BTreeSet<Hash> {
        let state = self.cluster.state();
        let of_batch = state
            .attempts
            .values()
            .filter(|attempt| attempt.batch == batch);
        of_batch.map(|attempt| attempt.inner_hash).collect()
    }

    fn outcomes(&self) -> Vec<AttemptOutcome> {
        let state = self.cluster.state();
        let outcomes = state.commands.iter().filter_map(|command| match command {
            Command::RecordOutcome(record) => Some(record.outcome.clone()),
            Command::SubmitPayment(_)
            | Command::CancelPayment(_)
            | Command::RetryPayment(_)
            | Command::FormBatch(_)
            | Command::RecordAttempt(_)
            | Command::RegisterAccount(_)
            | Command::SetPolicy(_)
            | Command::RecordFees(_) => None,
        });
        outcomes.collect()
    }

    /// The law: what was sent was committed before, it took effect exactly when the batch settled, and whatever was
    /// told to be dead never got into a ledger.
    fn check_exactly_once(&self, batch: BatchId) {
        self.check_claims();
        let applied: usize = self
            .inners(batch)
            .into_iter()
            .map(|inner| self.ledger.applied(inner))
            .sum();
        let stage = self.cluster.state().ended[&batch].stage.clone();
        let settled = matches!(stage, BatchStage::Settled { .. });
        assert_eq!(applied, usize::from(settled), "{stage:?}");
        let committed: BTreeSet<Vec<u8>> = {
            let state = self.cluster.state();
            state
                .attempts
                .values()
                .map(|attempt| attempt.envelope.clone())
                .collect()
        };
        for offered in &self.ledger.state().offered {
            assert!(
                committed.contains(&offered.bytes),
                "sent before it was committed"
            );
        }
    }
}

impl World {
    /// Each claim that nothing can apply any more holds for its attempt and all before it, to the end of time. (An
    /// executor that is cut off may still claim it of an old attempt when the next one is committed already.)
    fn check_claims(&self) {
        let mut inners = Vec::new();
        for command in &self.cluster.state().commands {
            let (attempt, outcome) = match command {
                Command::RecordAttempt(attempt) => {
                    inners.push((attempt.attempt, attempt.inner_hash));
                    continue;
                }
                Command::RecordOutcome(record) => (record.attempt, &record.outcome),
                Command::SubmitPayment(_)
                | Command::CancelPayment(_)
                | Command::RetryPayment(_)
                | Command::FormBatch(_)
                | Command::RegisterAccount(_)
                | Command::SetPolicy(_)
                | Command::RecordFees(_) => continue,
            };
            let is_claim = match outcome {
                AttemptOutcome::Expired
                | AttemptOutcome::SequenceLost { .. }
                | AttemptOutcome::Refused(
                    Refusal::InsufficientBalance | Refusal::Terminal { .. },
                ) => true,
                AttemptOutcome::Applied { .. }
                | AttemptOutcome::AppliedFailed { .. }
                | AttemptOutcome::Refused(
                    Refusal::InsufficientFee { .. } | Refusal::TryAgainLater,
                ) => false,
            };
            let mut claimed = inners.iter().filter(|(number, _)| *number <= attempt);
            let included = claimed.any(|(_, inner)| self.ledger.is_included(*inner));
            assert!(
                !(is_claim && included),
                "{outcome:?} of {attempt:?} is not true"
            );
        }
    }
}

/// Settles one batch of three payments under a script; tells its end and how many inner transactions it took.
async fn check(script: impl IntoIterator<Item = Script>) -> (World, BatchStage, usize) {
    let world = World::new();
    world.script(script);
    let batch = world.batch(3);
    let stage = world.settle(batch).await;
    world.check_exactly_once(batch);
    let inners = world.inners(batch).len();
    (world, stage, inners)
}

fn refused(code: TransactionCode, fee_charged: i64) -> Script {
    let result = TransactionResult::refusal(code, Stroops(fee_charged));
    Script::Answer(SubmitAnswer::Refused(result))
}

fn is_settled(stage: &BatchStage) -> bool {
    matches!(stage, BatchStage::Settled { .. })
}

#[tokio::test(start_paused = true)]
async fn a_batch_settles_in_the_next_ledger() {
    let (world, stage, inners) = check([]).await;
    assert!(is_settled(&stage));
    assert_eq!((inners, world.ledger.state().offered.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_after_acceptance_never_makes_a_second_envelope() {
    for script in [
        vec![Script::Late { ledgers: 1 }],
        vec![Script::Late { ledgers: 4 }, Script::Lost],
        vec![Script::Hang],
        vec![Script::Lost, Script::Lost, Script::Plain],
    ] {
        let (world, stage, inners) = check(script).await;
        assert!(is_settled(&stage));
        assert_eq!(inners, 1);
        assert_eq!(world.cluster.state().attempts.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_low_bid_is_raised_around_the_same_inner_transaction() {
    let (world, stage, inners) = check([refused(TransactionCode::InsufficientFee, 4_000)]).await;
    assert!(is_settled(&stage));
    assert_eq!(inners, 1);
    let fees: Vec<i64> = world
        .ledger
        .state()
        .offered
        .iter()
        .map(|sent| sent.fee_max.0)
        .collect();
    assert_eq!(fees, [400, 4_000]);
}

#[tokio::test(start_paused = true)]
async fn a_banned_hash_goes_on_in_a_new_bump_of_the_same_inner_transaction() {
    let (world, stage, inners) = check([Script::Drop]).await;
    assert!(is_settled(&stage));
    assert_eq!(inners, 1);
    let bumps: BTreeSet<Hash> = world
        .ledger
        .state()
        .offered
        .iter()
        .map(|sent| sent.outer_hash)
        .collect();
    assert_eq!(bumps.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_took_expires_and_is_built_again_only_then() {
    let why = "refused".to_owned();
    let never = SubmitAnswer::NotSent {
        why,
        retry_after_ms: Some(60_000),
    };
    let (world, stage, inners) = check([Script::Answer(never)]).await;
    assert!(is_settled(&stage));
    assert_eq!(inners, 2);
    assert_eq!(world.outcomes()[0], AttemptOutcome::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_failed_transaction_reports_each_payment() {
    use OperationCode::{NoTrust, Success, Underfunded};
    let (world, stage, _) = check([Script::Fail(vec![Success, NoTrust, Underfunded])]).await;
    assert!(matches!(stage, BatchStage::RolledBack { .. }));
    let outcomes = world.outcomes();
    let [AttemptOutcome::AppliedFailed { operations, .. }] = &outcomes[..] else {
        panic!("one failed application expected, not {outcomes:?}");
    };
    assert_eq!(operations.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_ever_waits_until_nothing_can_apply() {
    // The first offer was taken, late; the second node's refusal must not give the payments up.
    let bad = || refused(TransactionCode::BadAuth, 0);
    let (_, stage, _) = check([Script::Late { ledgers: 6 }, bad()]).await;
    assert!(is_settled(&stage));
    let (world, stage, inners) = check([bad()]).await;
    let reason = "tx_bad_auth".to_owned();
    assert_eq!(stage, BatchStage::Abandoned { reason });
    assert_eq!(inners, 1);
    assert_eq!(world.ledger.state().offered.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_fee_account_is_offered_again_before_it_is_told() {
    let (world, stage, _) = check(vec![refused(TransactionCode::InsufficientBalance, 0); 3]).await;
    assert!(is_settled(&stage));
    assert_eq!(world.cluster.state().attempts.len(), 1);
    let (world, _, _) = check(vec![refused(TransactionCode::InsufficientBalance, 0); 20]).await;
    let balance = AttemptOutcome::Refused(Refusal::InsufficientBalance);
    assert_eq!(world.outcomes()[0], balance);
}

#[tokio::test(start_paused = true)]
async fn a_used_sequence_is_lost_only_when_the_hashes_are_absent_past_its_ledger() {
    // Ours used it, and look-ups lag behind the account: this must not be taken for a loss.
    let world = World::new();
    world.ledger.state().lag = 3;
    world.script([Script::Late { ledgers: 1 }]);
    let batch = world.batch(3);
    assert!(is_settled(&world.settle(batch).await));
    world.check_exactly_once(batch);
    assert_eq!(world.cluster.state().attempts.len(), 1);
    // Somebody else used it.
    let world = World::new();
    world
        .ledger
        .state()
        .sequences
        .insert(channel(), (SEQUENCE + 5, 100));
    let batch = world.batch(3);
    assert!(is_settled(&world.settle(batch).await));
    world.check_exactly_once(batch);
    let account_sequence = stellara_machine::units::AccountSequence(SEQUENCE + 5);
    assert_eq!(
        world.outcomes()[0],
        AttemptOutcome::SequenceLost { account_sequence }
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_executor_resumes_from_each_stage() {
    // Each failure ends or confuses the first executor at another proposal.
    for failures in [
        vec![Some(Failure::NotLeader)],
        vec![Some(Failure::UnknownApplied)],
        vec![Some(Failure::UnknownLost)],
        vec![None, Some(Failure::NotLeader)],
        vec![None, Some(Failure::UnknownApplied)],
        vec![None, Some(Failure::UnknownLost)],
        vec![Some(Failure::Overloaded), None, Some(Failure::Overloaded)],
    ] {
        let world = World::new();
        world.cluster.state().failures.extend(failures.clone());
        let batch = world.batch(3);
        let first = world.start();
        if failures.contains(&Some(Failure::NotLeader)) {
            assert_eq!(first.await.unwrap(), Ended::NotLeader);
        }
        assert!(is_settled(&world.settle(batch).await), "{failures:?}");
        world.check_exactly_once(batch);
        assert_eq!(world.cluster.state().attempts.len(), 1, "{failures:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn accounts_are_registered_once_the_ledger_answers() {
    let world = World::unregistered();
    world.ledger.state().unreadable = true;
    let executor = world.start();
    world.cluster.until(|state| state.accounts.len() == 2).await;
    assert!(!world.cluster.state().accounts.contains_key(&channel()));
    world.ledger.state().unreadable = false;
    world.cluster.until(|state| state.accounts.len() == 3).await;
    let sequence = world.cluster.state().accounts[&channel()].sequence.0;
    assert_eq!(sequence, SEQUENCE);
    executor.abort();
}

#[tokio::test(start_paused = true)]
async fn due_groups_become_batches() {
    let world = World::new();
    world.cluster.state().due.push_back(world.group());
    let executor = world.start();
    world.cluster.until(|state| state.due.is_empty()).await;
    executor.abort();
}

fn any_script() -> impl Strategy<Value = Script> {
    prop_oneof![
        3 => Just(Script::Plain),
        3 => (1_u32..14).prop_map(|ledgers| Script::Late { ledgers }),
        2 => Just(Script::Lost),
        1 => Just(Script::Hang),
        2 => Just(Script::Drop),
        1 => Just(Script::Fail(vec![OperationCode::Success, OperationCode::NoTrust, OperationCode::Success])),
        2 => Just(Script::Answer(SubmitAnswer::TryAgainLater)),
        1 => Just(refused(TransactionCode::InsufficientFee, 4_000)),
        1 => Just(refused(TransactionCode::BadAuth, 0)),
        1 => Just(refused(TransactionCode::InternalError, 0)),
        1 => Just(refused(TransactionCode::BadSeq, 0)),
        1 => Just(refused(TransactionCode::TooLate, 0)),
        1 => Just(refused(TransactionCode::InsufficientBalance, 0)),
    ]
}

async fn check_history(script: Vec<Script>, lag: u32, time_bound_s: u64, lives_ms: Vec<u64>) {
    let world = World {
        time_bound_s,
        ..World::new()
    };
    world.ledger.state().lag = lag;
    world.script(script);
    let batch = world.batch(3);
    // Leaders that are cut off at any moment, some while the next one runs already.
    let mut old = Vec::new();
    for (at, life_ms) in lives_ms.into_iter().enumerate() {
        let executor = world.start();
        tokio::time::sleep(Duration::from_millis(life_ms)).await;
        if at % 3 == 2 {
            old.push(executor);
        } else {
            executor.abort();
        }
    }
    world.settle(batch).await;
    old.into_iter().for_each(|executor| executor.abort());
    world.check_exactly_once(batch);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_ledger_answers_and_whoever_leads_payments_are_made_once(
        script in prop::collection::vec(any_script(), 0..12),
        lag in 0_u32..4,
        time_bound_s in 12_u64..90,
        lives_ms in prop::collection::vec(0_u64..40_000, 0..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check_history(script, lag, time_bound_s, lives_ms));
    }
}

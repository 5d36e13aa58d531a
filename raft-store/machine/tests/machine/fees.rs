//! Fees in the machine: samples, deferral, bids, what is told beforehand and what is booked afterwards.

use stellara_machine::command::{
    AttemptOutcome, Command, FormBatch, GroupKey, Policy, RecordAttempt, RecordFees, RecordOutcome,
};
use stellara_machine::decision::{Batch, Rejection, Reply};
use stellara_machine::fees::bid::BidReason;
use stellara_machine::fees::book::place;
use stellara_machine::fees::market::{Congestion, FeeLevels, FeeSample};
use stellara_machine::ids::{AttemptNo, Hash};
use stellara_machine::units::{Lane, LedgerSeq, Stroops};

use crate::ledger::Included;
use crate::world::{START, TREASURY, World, body, set_policy, submission, submit};

fn levels(stroops: i64) -> FeeLevels {
    FeeLevels {
        p50: Stroops(stroops),
        p90: Stroops(stroops),
        p95: Stroops(stroops),
        p99: Stroops(stroops),
        max: Stroops(stroops),
    }
}

fn sample(ledger: u32, charged: i64) -> FeeSample {
    FeeSample {
        ledger: LedgerSeq(ledger),
        base_fee: Stroops(100),
        usage_permille: 500,
        bid: levels(charged),
        charged: levels(charged),
    }
}

fn told(world: &mut World, sample: FeeSample) -> Result<Reply, Rejection> {
    world.one(Command::RecordFees(RecordFees { sample }))
}

fn group(lane: Lane) -> GroupKey {
    GroupKey {
        treasury: TREASURY,
        lane,
        ..GroupKey::default()
    }
}

fn formed(world: &mut World, lane: Lane) -> Batch {
    let form = Command::FormBatch(FormBatch { group: group(lane) });
    match world.one(form) {
        Ok(Reply::BatchFormed { batch }) => world.state.batches()[&batch].clone(),
        other => panic!("{lane:?}: {other:?}"),
    }
}

#[test]
fn only_a_newer_ledger_moves_the_market() {
    let mut world = World::with_channels(1);
    assert_eq!(told(&mut world, sample(9, 100)), Ok(Reply::FeesRecorded));
    assert_eq!(told(&mut world, sample(8, 900)), Ok(Reply::FeesRecorded));
    assert_eq!(world.state.market().sample, sample(9, 100));
    assert_eq!(world.state.market().congestion(), Congestion::Calm);
    told(&mut world, sample(10, 900)).unwrap();
    assert_eq!(world.state.market().congestion(), Congestion::Surge);
    let bad = FeeSample {
        usage_permille: 1_001,
        ..sample(11, 100)
    };
    match told(&mut world, bad) {
        Err(Rejection::Field { field, .. }) => assert_eq!(field, "capacity_usage"),
        other => panic!("taken: {other:?}"),
    }
}

#[test]
fn in_a_surge_low_waits_until_nine_tenths_of_its_deadline() {
    let mut world = World::with_channels(4);
    told(&mut world, sample(9, 2_100)).unwrap();
    world.entry(vec![
        submit("low", Lane::Low),
        submit("medium", Lane::Medium),
    ]);
    let due = |world: &World, after_ms| {
        let due = world.state.form_candidates(START.plus(after_ms), 9);
        due.into_iter().map(|group| group.lane).collect::<Vec<_>>()
    };
    assert_eq!(due(&world, 60_000), [Lane::Medium]);
    let urgent_ms = Policy::default().lane(Lane::Low).urgent_after_ms();
    assert_eq!(due(&world, urgent_ms - 1), [Lane::Medium]);
    // Medium counts for high by then, and goes first still.
    assert_eq!(due(&world, urgent_ms + 1), [Lane::Medium, Lane::Low]);

    // By then it counts for the next lane, and bids as that.
    world.time = START.plus(urgent_ms + 1);
    let late = formed(&mut world, Lane::Low);
    assert_eq!(late.counts_as, Lane::Medium);
    assert_eq!(
        (late.fee_bid, late.bid_reason),
        (Stroops(2_100), BidReason::Percentile)
    );

    // When the surge ends first, it goes at the base fee.
    world.entry(vec![submit("low again", Lane::Low)]);
    told(&mut world, sample(10, 100)).unwrap();
    world.time = world.time.plus(20_000);
    let cheap = formed(&mut world, Lane::Low);
    assert_eq!((cheap.fee_bid, cheap.fee_cap), (Stroops(100), Stroops(150)));
}

#[test]
fn a_surge_makes_batches_smaller() {
    let mut world = World::with_channels(2);
    let names: Vec<String> = (0..100).map(|at| format!("p{at}")).collect();
    let all = names
        .iter()
        .map(|name| submit(name, Lane::Medium))
        .collect();
    world.entry(all);
    told(&mut world, sample(9, 900)).unwrap();
    world.time = START.plus(10_000);
    assert_eq!(formed(&mut world, Lane::Medium).payments.len(), 50);
    told(&mut world, sample(10, 100)).unwrap();
    assert_eq!(formed(&mut world, Lane::Medium).payments.len(), 50);
}

#[test]
fn what_was_told_stands_beside_what_came() {
    let mut world = World::with_channels(1);
    told(&mut world, sample(9, 100)).unwrap();
    let names: Vec<String> = (0..10).map(|at| format!("p{at}")).collect();
    world.entry(
        names
            .iter()
            .map(|name| submit(name, Lane::Medium))
            .collect(),
    );
    world.time = START.plus(10_000);
    let batch = formed(&mut world, Lane::Medium);
    assert_eq!(batch.prediction.fee_expected, Stroops(1_100));
    assert_eq!(batch.prediction.fee_max, Stroops(110_000));
    assert!(batch.prediction.ledger > LedgerSeq(9));

    let attempt = RecordAttempt {
        batch: batch.id,
        attempt: AttemptNo(1),
        channel: batch.channel,
        sequence: batch.sequence,
        inner_hash: Hash([7; 32]),
        outer_hash: Hash([8; 32]),
        time_bound_s: 2_000_000_000,
        ledger_bound: LedgerSeq(40),
        fee_max: Stroops(110_001),
        envelope: vec![1],
    };
    match world.one(Command::RecordAttempt(attempt.clone())) {
        Err(Rejection::Field { field, .. }) => assert_eq!(field, "fee_max"),
        other => panic!("a bid above the bound was taken: {other:?}"),
    }
    let attempt = RecordAttempt {
        fee_max: Stroops(1_100),
        ..attempt
    };
    world.one(Command::RecordAttempt(attempt)).unwrap();
    world.ledger.include(0, &Included::Applied);
    world
        .one(Command::RecordOutcome(RecordOutcome {
            batch: batch.id,
            attempt: AttemptNo(1),
            outcome: AttemptOutcome::Applied {
                ledger: LedgerSeq(12),
                fee_charged: Stroops(1_100),
            },
        }))
        .unwrap();
    let booked = world.state.hour().lanes[place(Lane::Medium)];
    assert_eq!((booked.payments, booked.batches), (10, 1));
    assert_eq!(booked.fee_charged, Stroops(1_100));
    // 45 % saved against ten bumped singles; a tenth of the list price is given on.
    assert_eq!(booked.bumped_singles, Stroops(2_000));
    assert_eq!(booked.charged, Stroops(1_800));
    assert_eq!(booked.fee_error, Stroops(0));
    let ended = &world.store.ended[&batch.id];
    assert_eq!(ended.charge.margin(), Stroops(700));
}

#[test]
fn a_policy_that_strands_payments_is_refused_and_says_how_many() {
    let mut world = World::with_channels(1);
    let mut capped = body(Lane::Medium);
    capped.fee_cap = Some(Stroops(120));
    world.entry(vec![Command::SubmitPayment(submission("capped", capped))]);
    let dearer = Policy {
        fee_base: Stroops(121),
        ..Policy::default()
    };
    let refused = world.one(set_policy(0, dearer));
    assert_eq!(
        refused,
        Err(Rejection::PolicyStrands {
            payments: 1,
            fee_cap: Stroops(120),
            fee_base: Stroops(121),
        })
    );
    let mut too_low = body(Lane::Medium);
    too_low.fee_cap = Some(Stroops(99));
    match world.one(Command::SubmitPayment(submission("low", too_low))) {
        Err(Rejection::Field { field, .. }) => assert_eq!(field, "fee_cap_stroops"),
        other => panic!("taken: {other:?}"),
    }
}

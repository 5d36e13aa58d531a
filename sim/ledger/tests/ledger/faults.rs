//! Faults: what the ledger saw, what the caller sees, and how late readers are.

use stellara_ledger::{Fault, FaultKind, FaultPlan, FaultPlanError, FaultRule, FaultTarget};

use crate::support::{CHANNEL, RECIPIENT, TREASURY, Tx, World, id, told};

fn world(rules: Vec<FaultRule>) -> World {
    let mut world = World::new();
    set(&mut world, rules);
    world
}

fn set(world: &mut World, rules: Vec<FaultRule>) {
    let plan = FaultPlan {
        rules,
        ..FaultPlan::default()
    };
    world.net.set_faults(plan).expect("a valid plan");
}

fn check(kind: FaultKind, fault: Fault, is_accepted: Accepted) {
    let mut world = world(vec![FaultRule::new(kind)]);
    let envelope = Tx::new(CHANNEL).pay(RECIPIENT, 1).bumped(200);
    let outcome = world.net.submit(world.now_ms, &envelope);
    assert_eq!(outcome.fault, Some(fault));
    let shown = outcome.shown.as_ref().map(told);
    let expected = match kind {
        FaultKind::Slow => Some("PENDING"),
        FaultKind::InternalErrorBefore | FaultKind::InternalErrorAfter => {
            Some("tx_internal_error fee 0")
        }
        FaultKind::TimeoutBefore
        | FaultKind::TimeoutAfter
        | FaultKind::ErrorBefore
        | FaultKind::ErrorAfter
        | FaultKind::ResetBefore
        | FaultKind::ResetAfter => None,
    };
    assert_eq!(shown.as_deref(), expected);
    assert_eq!(outcome.answer.is_some(), is_accepted == Accepted::Yes);
    world.close();
    let applied = world.net.journal().len();
    assert_eq!(applied, if is_accepted == Accepted::Yes { 1 } else { 0 });
}

#[derive(PartialEq)]
enum Accepted {
    Yes,
    No,
}

#[test]
fn a_fault_comes_before_or_after_acceptance() {
    use Accepted::{No, Yes};
    let timeout = Fault::Timeout { delay_ms: 60_000 };
    check(FaultKind::TimeoutBefore, timeout, No);
    check(FaultKind::TimeoutAfter, timeout, Yes);
    check(FaultKind::ErrorBefore, Fault::Status(503), No);
    check(FaultKind::ErrorAfter, Fault::Status(503), Yes);
    check(FaultKind::ResetBefore, Fault::Reset, No);
    check(FaultKind::ResetAfter, Fault::Reset, Yes);
    check(FaultKind::InternalErrorBefore, Fault::InternalError, No);
    check(FaultKind::InternalErrorAfter, Fault::InternalError, Yes);
    check(FaultKind::Slow, Fault::Slow { delay_ms: 60_000 }, Yes);
}

#[test]
fn counted_rules_skip_fire_and_end() {
    let rule = FaultRule {
        skip: 1,
        count: Some(2),
        ..FaultRule::new(FaultKind::ResetBefore)
    };
    let mut world = world(vec![rule]);
    let fired: Vec<bool> = (0..5)
        .map(|_| world.net.submit(world.now_ms, b"x").fault.is_some())
        .collect();
    assert_eq!(fired, [false, true, true, false, false]);
    assert_eq!(world.net.faults().rules[0].count, Some(0));
}

#[test]
fn rates_hold_and_depend_on_the_seed_alone() {
    let run = || {
        let rule = FaultRule {
            rate_ppm: 250_000,
            on: FaultTarget::Query,
            ..FaultRule::new(FaultKind::ErrorBefore)
        };
        let mut world = world(vec![rule]);
        (0..4_000)
            .map(|_| world.net.query_fault().is_some())
            .collect::<Vec<bool>>()
    };
    let fired = run();
    assert_eq!(fired, run());
    let count = fired.iter().filter(|fired| **fired).count();
    assert!((900..1_100).contains(&count), "{count} of 4000");
}

#[test]
fn readers_lag_by_ledgers_or_by_time() {
    let mut world = World::new();
    let tx = Tx::new(CHANNEL).pay(RECIPIENT, 1);
    let lag = |ingest_lag_ms, ingest_lag_ledgers| FaultPlan {
        ingest_lag_ms,
        ingest_lag_ledgers,
        ..FaultPlan::default()
    };
    let seen = |world: &World| {
        let channel = world.net.account(&id(CHANNEL)).expect("it exists");
        let found = world.net.transaction(&tx.inner_hash()).is_some();
        (found, channel.sequence, world.balance(RECIPIENT))
    };
    world.accept(&tx.bumped(200));
    world.net.set_faults(lag(0, 2)).expect("a valid plan");
    world.close();
    assert_eq!(world.net.latest().sequence, 3);
    assert_eq!(world.net.visible().sequence, 2);
    assert_eq!(seen(&world), (false, 100, 100_000_000));
    world.close();
    assert_eq!(seen(&world), (false, 100, 100_000_000));
    world.close();
    assert_eq!(seen(&world), (true, 101, 100_000_001));
    assert_eq!(world.net.fee_stats().last_ledger, 3);
    world.net.set_faults(lag(15_000, 0)).expect("a valid plan");
    assert_eq!(world.net.visible().sequence, 2);
    assert_eq!(seen(&world), (false, 100, 100_000_000));
    world.close();
    assert_eq!(seen(&world), (true, 101, 100_000_001));
}

#[test]
fn a_long_lag_ends_where_memory_ends() {
    let mut world = World::new();
    let plan = FaultPlan {
        ingest_lag_ms: u64::MAX,
        ..FaultPlan::default()
    };
    world.net.set_faults(plan).expect("a valid plan");
    for _ in 0..119 {
        let next = world.latest_sequence(TREASURY) + 1;
        let tx = Tx::plain().sequence(next).pay(RECIPIENT, 1);
        world.accept(&tx.bumped(1_000));
        world.close();
    }
    let seen = |world: &World| {
        world
            .net
            .account(&id(TREASURY))
            .expect("it exists")
            .sequence
    };
    assert_eq!((world.net.visible().sequence, seen(&world)), (2, 100));
    world.close();
    world.close();
    assert_eq!((world.net.visible().sequence, seen(&world)), (3, 101));
}

#[test]
fn a_plan_that_cannot_be_used_is_refused_whole() {
    let mut world = World::new();
    let bad = FaultRule {
        status: 200,
        ..FaultRule::new(FaultKind::ErrorAfter)
    };
    let plan = FaultPlan {
        rules: vec![FaultRule::new(FaultKind::Slow), bad],
        ..FaultPlan::default()
    };
    assert_eq!(
        world.net.set_faults(plan),
        Err(FaultPlanError::Status(1, 200))
    );
    assert!(world.net.faults().rules.is_empty());
}

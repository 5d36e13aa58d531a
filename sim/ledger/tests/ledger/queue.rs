//! The queue: one transaction for each source, replacement, age, bans, eviction.

use stellara_ledger::{BidWeight, Config, ForeignTraffic, SubmitAnswer};

use crate::support::{CHANNEL, FEE, RECIPIENT, TREASURY, Tx, World, account, codes, told};

fn payment(channel: u8, amount: i64) -> Tx {
    Tx::new(channel).pay(RECIPIENT, amount)
}

fn check(world: &mut World, envelope: &[u8], expected: &str) {
    assert_eq!(told(&world.submit(envelope)), expected);
}

#[test]
fn the_same_bytes_are_a_duplicate_and_the_bare_inner_too() {
    let mut world = World::new();
    let inner = payment(CHANNEL, 1).fee(100);
    world.accept(&inner.bumped(400));
    check(&mut world, &inner.bumped(400), "DUPLICATE");
    check(&mut world, &inner.envelope(), "DUPLICATE");
}

#[test]
fn a_source_has_one_pending_transaction() {
    let mut world = World::new();
    world.accept(&payment(CHANNEL, 1).bumped(200));
    let next = payment(CHANNEL, 2).sequence(102);
    check(&mut world, &next.bumped(200), "TRY_AGAIN_LATER");
    let plain = payment(CHANNEL, 2).fee(5_000);
    check(&mut world, &plain.envelope(), "TRY_AGAIN_LATER");
    let old = payment(CHANNEL, 2).sequence(100);
    check(&mut world, &old.bumped(9_000), "tx_bad_seq fee 200");
    world.accept(&payment(CHANNEL + 1, 1).bumped(200));
    world.close();
    assert_eq!(world.net.journal().len(), 2);
}

#[test]
fn only_a_bump_at_ten_times_the_rate_replaces() {
    let mut world = World::new();
    let first = payment(CHANNEL, 1);
    world.accept(&first.bumped(250));
    check(
        &mut world,
        &first.bumped(2_499),
        "tx_insufficient_fee fee 2500",
    );
    // The inner may differ, so a replacement also cancels: two payments, three operations.
    let other = payment(CHANNEL, 7).pay(RECIPIENT, 8);
    check(
        &mut world,
        &other.bumped(3_749),
        "tx_insufficient_fee fee 3750",
    );
    let hash = world.accept(&other.bumped(3_750));
    world.close();
    world.assert_applied(hash, "tx_fee_bump_inner_success [op_success op_success]");
    assert_eq!(world.net.journal().len(), 1);
    assert!(world.net.transaction(&first.inner_hash()).is_none());
}

#[test]
fn the_fee_source_covers_the_sum_of_its_pending_bids() {
    let mut world = World::new();
    // 1,000 stroops above the reserve of two entries.
    world.set_up(vec![account(FEE, 10_001_000)]);
    world.accept(&payment(CHANNEL, 1).bumped(600));
    check(
        &mut world,
        &payment(CHANNEL + 1, 1).bumped(401),
        "tx_insufficient_balance fee 200",
    );
    world.accept(&payment(CHANNEL + 1, 1).bumped(400));
    world.close();
    assert_eq!(world.balance(FEE), 10_001_000 - 400);
}

#[test]
fn a_replacement_needs_no_cover_for_what_it_replaces() {
    let mut world = World::new();
    world.set_up(vec![account(FEE, 10_002_000)]);
    let inner = payment(CHANNEL, 1);
    world.accept(&inner.bumped(200));
    world.accept(&inner.bumped(2_000));
    check(
        &mut world,
        &payment(CHANNEL + 1, 1).bumped(200),
        "tx_insufficient_balance fee 200",
    );
}

#[test]
fn a_bid_that_its_fee_source_cannot_cover_any_more_is_dropped_and_banned() {
    let mut world = World::new();
    world.set_up(vec![account(FEE, 10_001_000)]);
    let envelope = payment(CHANNEL, 1).bumped(600);
    world.accept(&envelope);
    world.set_up(vec![account(FEE, 10_000_100)]);
    world.close();
    assert!(world.net.journal().is_empty());
    world.set_up(vec![account(FEE, 10_001_000)]);
    check(&mut world, &envelope, "TRY_AGAIN_LATER");
}

#[test]
fn an_applied_hash_is_banned_and_a_new_bump_of_it_has_a_bad_sequence() {
    let mut world = World::new();
    let inner = payment(CHANNEL, 1);
    world.accept(&inner.bumped(200));
    world.close();
    check(&mut world, &inner.bumped(200), "TRY_AGAIN_LATER");
    check(
        &mut world,
        &inner.bumped(300),
        "tx_fee_bump_inner_failed > tx_bad_seq fee 200",
    );
}

/// A ledger of four operations that others fill with high bids.
fn crowded(bid_stroops: i64) -> World {
    let mut world = World::with(Config {
        ledger_ops_max: 4,
        ..Config::default()
    });
    let foreign = ForeignTraffic {
        ops_per_ledger: 4,
        bids: vec![BidWeight {
            bid_stroops,
            weight: 1,
        }],
        ..ForeignTraffic::default()
    };
    world.net.set_foreign(foreign).expect("valid traffic");
    world
}

#[test]
fn an_outbid_transaction_is_dropped_after_four_ledgers_and_banned_for_ten() {
    let mut world = crowded(1_000);
    let inner = payment(CHANNEL, 1);
    let envelope = inner.bumped(200);
    world.accept(&envelope);
    for _ in 0..3 {
        world.close();
        check(&mut world, &envelope, "DUPLICATE");
    }
    world.close();
    assert_eq!(world.net.pending_len(), 0);
    for _ in 0..9 {
        check(&mut world, &envelope, "TRY_AGAIN_LATER");
        world.close();
    }
    check(&mut world, &envelope, "TRY_AGAIN_LATER");
    // A new outer bump has a new hash, so it is not banned.
    let hash = world.accept(&inner.bumped(4_000));
    world.close();
    world.assert_applied(hash, "tx_fee_bump_inner_success [op_success]");
    check(
        &mut world,
        &envelope,
        "tx_fee_bump_inner_failed > tx_bad_seq fee 200",
    );
}

#[test]
fn a_full_queue_names_the_fee_it_would_have_needed_and_bans_the_hash() {
    let mut world = crowded(1_000);
    let full = ForeignTraffic {
        ops_per_ledger: 8,
        ..world.net.config().foreign.clone()
    };
    world.net.set_foreign(full).expect("valid traffic");
    let inner = payment(CHANNEL, 1);
    let answer = world.submit(&inner.bumped(2_000));
    let SubmitAnswer::Error { result, .. } = answer else {
        panic!("expected an error, got {}", told(&answer));
    };
    assert_eq!(codes(&result), "tx_insufficient_fee");
    assert_eq!(result.fee_charged, 2_001);
    check(&mut world, &inner.bumped(2_000), "TRY_AGAIN_LATER");
    let hash = world.accept(&inner.bumped(result.fee_charged));
    world.close();
    world.assert_applied(hash, "tx_fee_bump_inner_success [op_success]");
}

#[test]
fn the_lowest_bids_are_evicted_and_banned_when_better_ones_come() {
    let mut world = World::with(Config {
        ledger_ops_max: 2,
        ..Config::default()
    });
    let low = payment(CHANNEL, 1).bumped(200);
    world.accept(&low);
    world.accept(&payment(CHANNEL + 1, 1).bumped(400));
    world.accept(&payment(CHANNEL + 2, 1).bumped(600));
    check(&mut world, &low, "TRY_AGAIN_LATER");
    // What was evicted sets the bar until the ledger closes.
    check(
        &mut world,
        &payment(CHANNEL + 3, 1).bumped(200),
        "tx_insufficient_fee fee 201",
    );
    world.close();
    assert_eq!(world.net.journal().len(), 1);
    assert_eq!(world.net.journal()[0].fee_charged_stroops, 600);
}

#[test]
fn what_runs_out_of_its_bounds_is_dropped() {
    let mut world = crowded(1_000);
    let bounded = payment(CHANNEL, 1).ledgers(0, 5);
    let envelope = bounded.bumped(200);
    world.accept(&envelope);
    world.close();
    world.close();
    assert_eq!(world.net.pending_len(), 1);
    world.close();
    assert_eq!(world.net.pending_len(), 0);
    check(
        &mut world,
        &bounded.bumped(9_000),
        "tx_fee_bump_inner_failed > tx_too_late fee 200",
    );
    let plain = Tx::plain().fee(9_000).pay(RECIPIENT, 1);
    assert_eq!(plain.source, TREASURY);
    world.accept(&plain.envelope());
}

//! Closing: time, the auction and its price, fee statistics, what each saving is worth.

use stellara_ledger::{BidWeight, Burst, Config, ForeignTraffic};

use crate::support::{CHANNEL, FEE, RECIPIENT, START_MS, Tx, World};

fn batch(channel: u8, operations: usize) -> Tx {
    let mut tx = Tx::new(channel);
    for place in 0..operations {
        let to = RECIPIENT + u8::try_from(place % 10).expect("a digit");
        tx = tx.pay(to, 1);
    }
    tx
}

fn world(ledger_ops_max: u32, foreign_ops: u32, bid_stroops: i64) -> World {
    World::with(Config {
        ledger_ops_max,
        foreign: ForeignTraffic {
            ops_per_ledger: foreign_ops,
            bids: vec![BidWeight {
                bid_stroops,
                weight: 1,
            }],
            ..ForeignTraffic::default()
        },
        ..Config::default()
    })
}

fn fees(world: &World) -> Vec<i64> {
    let mut fees: Vec<i64> = world
        .net
        .journal()
        .iter()
        .map(|entry| entry.fee_charged_stroops)
        .collect();
    fees.sort_unstable();
    fees
}

#[test]
fn ledgers_close_on_time_and_catch_up() {
    let mut world = World::new();
    assert_eq!(world.net.advance(START_MS + 4_999), 0);
    assert_eq!(world.net.advance(START_MS + 5_000), 1);
    assert_eq!(world.net.advance(START_MS + 20_001), 3);
    assert_eq!(world.net.latest().sequence, 6);
    assert_eq!(world.net.latest().closed_at_ms, START_MS + 20_000);
    assert_eq!(world.net.advance(START_MS), 0);
    let ledger = world.net.close_now(START_MS + 21_000).clone();
    assert_eq!(
        (ledger.sequence, ledger.closed_at_ms),
        (7, START_MS + 21_000)
    );
    assert_eq!(world.net.next_close_ms(), START_MS + 26_000);
}

#[test]
fn close_times_that_are_off_never_run_back_and_ledgers_still_close_in_their_time() {
    let mut world = World::new();
    world.net.advance(START_MS + 5_000);
    world.net.set_close_skew_ms(30_000);
    assert_eq!(world.net.advance(START_MS + 10_000), 1);
    assert_eq!(world.net.latest().closed_at_ms, START_MS + 40_000);
    assert_eq!(world.net.visible().sequence, world.net.latest().sequence);
    assert_eq!(world.net.next_close_ms(), START_MS + 15_000);
    world.net.set_close_skew_ms(0);
    assert_eq!(world.net.advance(START_MS + 20_000), 2);
    assert_eq!(world.net.latest().closed_at_ms, START_MS + 42_000);
    assert_eq!(world.net.advance(START_MS + 60_000), 8);
    assert_eq!(world.net.latest().closed_at_ms, START_MS + 60_000);
}

#[test]
fn the_fee_is_for_each_operation_and_the_bump() {
    for (operations, plain, bumped) in [(1, 100, 200), (10, 1_000, 1_100), (100, 10_000, 10_100)] {
        let mut world = World::new();
        let fee = u32::try_from(plain).expect("small");
        world.accept(&batch(CHANNEL, operations).fee(fee).envelope());
        world.accept(&batch(CHANNEL + 1, operations).bumped(bumped));
        world.close();
        assert_eq!(fees(&world), [plain, bumped]);
    }
}

#[test]
fn without_a_surge_a_high_bid_pays_the_base_fee() {
    let mut world = World::new();
    world.accept(&batch(CHANNEL, 1).bumped(1_000_000));
    world.close();
    assert_eq!(fees(&world), [200]);
    assert_eq!(world.net.latest().price_stroops, 100);
}

#[test]
fn in_a_surge_everyone_pays_the_lowest_included_bid() {
    let mut world = world(4, 0, 100);
    world.accept(&batch(CHANNEL, 1).bumped(1_000));
    world.accept(&batch(CHANNEL + 1, 1).bumped(4_200));
    world.accept(&batch(CHANNEL + 2, 1).bumped(9_000));
    world.close();
    assert_eq!(fees(&world), [4_200, 4_200]);
    // The low one waited and pays the base fee a ledger later.
    world.close();
    assert_eq!(fees(&world), [200, 4_200, 4_200]);
}

#[test]
fn what_does_not_fit_is_skipped_while_smaller_and_cheaper_ones_enter() {
    let mut world = world(101, 0, 100);
    world.accept(&batch(CHANNEL, 1).bumped(200_000));
    world.accept(&batch(CHANNEL + 1, 100).bumped(1_000_000));
    world.accept(&batch(CHANNEL + 2, 10).bumped(1_100));
    world.close();
    assert_eq!(fees(&world), [200, 1_100]);
    assert_eq!(world.net.pending_len(), 1);
}

#[test]
fn ten_full_batches_overflow_a_ledger_by_themselves() {
    let mut world = World::new();
    for channel in 0..10 {
        world.accept(&batch(CHANNEL + channel, 100).bumped(101_000));
    }
    world.close();
    assert_eq!(fees(&world), [101_000; 9]);
    let mut calm = World::new();
    for channel in 0..9 {
        calm.accept(&batch(CHANNEL + channel, 100).bumped(101_000));
    }
    calm.close();
    assert_eq!(fees(&calm), [10_100; 9]);
}

#[test]
fn foreign_bids_take_the_space_and_make_the_price() {
    let mut world = world(1_000, 1_500, 2_000);
    world.accept(&batch(CHANNEL, 1).bumped(4_200));
    world.close();
    assert_eq!(fees(&world), [4_000]);
    let ledger = world.net.latest();
    assert_eq!((ledger.ops, ledger.price_stroops), (1_000, 2_000));
}

#[test]
fn a_burst_comes_and_goes() {
    let mut world = world(100, 10, 100);
    let traffic = ForeignTraffic {
        burst: Some(Burst {
            every_ledgers: 10,
            length_ledgers: 2,
            ops_per_ledger: 90,
        }),
        ..world.net.config().foreign.clone()
    };
    world.net.set_foreign(traffic).expect("valid traffic");
    let mut ops = Vec::new();
    for _ in 3..13 {
        world.close();
        ops.push(world.net.latest().ops);
    }
    assert_eq!(ops, [10, 10, 10, 10, 10, 10, 10, 90, 90, 10]);
}

#[test]
fn fee_statistics_cover_five_ledgers() {
    let mut world = world(1_000, 0, 100);
    let calm = world.net.fee_stats();
    assert_eq!((calm.fee_charged.min, calm.max_fee.max), (100, 100));
    for channel in 0..10 {
        let bid = 200 * (i64::from(channel) + 1);
        world.accept(&batch(CHANNEL + channel, 1).bumped(bid));
    }
    world.close();
    let stats = world.net.fee_stats();
    assert_eq!(stats.last_ledger, 3);
    assert_eq!(stats.capacity_usage_percent, 1);
    assert_eq!((stats.max_fee.min, stats.max_fee.max), (100, 1_000));
    assert_eq!(stats.max_fee.percentiles[4], (50, 500));
    assert_eq!(stats.max_fee.percentiles[10], (99, 1_000));
    assert_eq!((stats.fee_charged.mode, stats.fee_charged.max), (100, 100));
    for _ in 0..5 {
        world.close();
    }
    assert_eq!(world.net.fee_stats().max_fee.max, 100);
}

#[test]
fn the_journal_tells_who_paid_what_to_whom() {
    let mut world = World::new();
    let mut tx = batch(CHANNEL, 1);
    let text = b"order 7".to_vec().try_into().expect("short");
    tx.memo = stellar_xdr::Memo::Text(text);
    let outer = world.accept(&tx.bumped(300));
    world.close();
    let line = serde_json::to_value(&world.net.journal()[0]).expect("plain data");
    let address = crate::support::address;
    assert_eq!(
        line,
        serde_json::json!({
            "ledger": 3,
            "closed_at_ms": START_MS + 5_000,
            "outer_hash": outer.to_string(),
            "inner_hash": tx.inner_hash().to_string(),
            "channel": address(CHANNEL),
            "sequence": 101,
            "fee_source": address(FEE),
            "fee_charged_stroops": 200,
            "fee_max_stroops": 300,
            "ops_charged": 2,
            "memo": "text:order 7",
            "successful": true,
            "code": "tx_fee_bump_inner_success",
            "operations": [{
                "index": 0,
                "kind": "payment",
                "source": address(crate::support::TREASURY),
                "destination": address(RECIPIENT),
                "destination_account": address(RECIPIENT),
                "muxed_id": null,
                "asset": "native",
                "amount_stroops": 1,
                "code": "op_success",
            }],
        })
    );
}

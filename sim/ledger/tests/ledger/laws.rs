//! Laws over random traffic: money is conserved, sequences only grow by applied transactions,
//! the queue and the ledger stay within their bounds, and a seed fixes everything.

use proptest::prelude::*;
use stellara_ledger::{Config, FaultKind, FaultPlan, FaultRule, ForeignTraffic, JournalEntry};

use crate::support::{
    CHANNEL, FEE, ISSUER, NOBODY, RECIPIENT, RICH_STROOPS, TREASURY, Tx, World, id, usdc,
};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Pay {
        channel: u8,
        ahead: i64,
        rate_stroops: i64,
        payments: Vec<(u8, i64, Paid)>,
    },
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Paid {
    Native,
    Issued,
}

fn step() -> impl Strategy<Value = Step> {
    let to = prop_oneof![8 => RECIPIENT..RECIPIENT + 10, 1 => Just(NOBODY), 1 => Just(TREASURY), 1 => Just(ISSUER)];
    let amount = prop_oneof![9 => 1_i64..1_000_000, 1 => Just(RICH_STROOPS)];
    let paid = prop_oneof![Just(Paid::Native), Just(Paid::Issued)];
    let payments = prop::collection::vec((to, amount, paid), 1..6);
    let pay = (CHANNEL..CHANNEL + 5, 0_i64..3, 50_i64..5_000, payments).prop_map(
        |(channel, ahead, rate_stroops, payments)| Step::Pay {
            channel,
            ahead,
            rate_stroops,
            payments,
        },
    );
    prop_oneof![4 => pay, 1 => Just(Step::Close)]
}

fn run(steps: &[Step], seed: u64) -> World {
    let mut world = World::with(Config {
        seed,
        ledger_ops_max: 20,
        foreign: ForeignTraffic {
            ops_per_ledger: 15,
            tx_ops_max: 3,
            ..ForeignTraffic::default()
        },
        ..Config::default()
    });
    let rule = |kind| FaultRule {
        rate_ppm: 100_000,
        ..FaultRule::new(kind)
    };
    let plan = FaultPlan {
        rules: vec![rule(FaultKind::TimeoutAfter), rule(FaultKind::ResetBefore)],
        ..FaultPlan::default()
    };
    world.net.set_faults(plan).expect("a valid plan");
    for step in steps {
        match step {
            Step::Close => world.close(),
            Step::Pay {
                channel,
                ahead,
                rate_stroops,
                payments,
            } => {
                let sequence = world.latest_sequence(*channel) + ahead;
                let mut tx = Tx::new(*channel).sequence(sequence);
                for (to, amount, paid) in payments {
                    let asset = match paid {
                        Paid::Native => stellar_xdr::Asset::Native,
                        Paid::Issued => usdc(),
                    };
                    tx = tx.pay_from(TREASURY, id(*to).into(), asset, *amount);
                }
                let ops = i64::try_from(payments.len()).expect("few") + 1;
                world
                    .net
                    .submit(world.now_ms, &tx.bumped(rate_stroops * ops));
            }
        }
    }
    world.close();
    world
}

fn native_total(world: &World) -> i128 {
    let held: i128 = world
        .net
        .accounts()
        .map(|(_, account)| i128::from(account.balance_stroops))
        .sum();
    held + i128::from(world.net.fee_pool_stroops())
}

/// What the successful payments of the journal moved into (or out of) circulation.
fn issued_by_journal(journal: &[JournalEntry]) -> i64 {
    let issuer = crate::support::address(ISSUER);
    let all = journal.iter().filter(|entry| entry.successful);
    let burnt: i64 = all
        .flat_map(|entry| &entry.operations)
        .filter(|op| op.asset != "native" && op.destination_account == issuer)
        .map(|op| op.amount_stroops)
        .sum();
    -burnt
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn money_is_conserved(steps in prop::collection::vec(step(), 1..60), seed: u64) {
        let before = World::new();
        let world = run(&steps, seed);
        let journal = world.net.journal();
        prop_assert_eq!(native_total(&world), native_total(&before));
        let fees: i64 = journal.iter().map(|entry| entry.fee_charged_stroops).sum();
        prop_assert_eq!(world.net.fee_pool_stroops(), fees);
        prop_assert_eq!(RICH_STROOPS - world.balance(FEE), fees);
        let units: i64 = (0..=NOBODY).map(|seed| world.units(seed)).sum();
        prop_assert_eq!(units, RICH_STROOPS + issued_by_journal(journal));
        for entry in journal {
            prop_assert!(entry.fee_charged_stroops <= entry.fee_max_stroops);
        }
        for channel in CHANNEL..CHANNEL + 5 {
            let name = crate::support::address(channel);
            let sequences: Vec<i64> = journal
                .iter()
                .filter(|entry| entry.channel == name)
                .map(|entry| entry.sequence)
                .collect();
            let expected: Vec<i64> = (101..).take(sequences.len()).collect();
            prop_assert_eq!(sequences, expected);
        }
        for ledger in world.net.ledgers() {
            prop_assert!(ledger.ops <= 20);
        }
    }

    #[test]
    fn a_seed_fixes_the_journal(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let (first, second) = (run(&steps, seed), run(&steps, seed));
        prop_assert_eq!(first.net.journal(), second.net.journal());
        prop_assert_eq!(first.net.latest(), second.net.latest());
        prop_assert_eq!(first.net.fee_stats(), second.net.fee_stats());
    }
}

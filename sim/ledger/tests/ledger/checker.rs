//! The checker: how often each intent was paid.

use std::collections::BTreeSet;

use stellara_ledger::{CheckReport, Intent, check};

use crate::support::{CHANNEL, NOBODY, RECIPIENT, TREASURY, Tx, World, address, usdc, usdc_name};

fn intent(reference: &str, to: u8, amount_stroops: i64) -> Intent {
    Intent {
        reference: reference.to_owned(),
        destination: address(to),
        asset: "native".to_owned(),
        amount_stroops,
        memo: None,
    }
}

fn report(paid: &[Tx], intents: &[Intent]) -> CheckReport {
    let mut world = World::new();
    for tx in paid {
        let operations = i64::try_from(tx.operations.len()).expect("few");
        world.accept(&tx.bumped(100 * (operations + 1)));
    }
    world.close();
    let ours = BTreeSet::from([address(TREASURY)]);
    check(intents, world.net.journal(), Some(&ours))
}

fn tx(place: u8) -> Tx {
    Tx::new(CHANNEL + place)
}

#[test]
fn paid_once_is_exactly_once() {
    let mut memo = tx(1).pay(RECIPIENT, 5);
    memo.memo = stellar_xdr::Memo::Id(9);
    let other_asset = tx(2).pay_from(TREASURY, crate::support::id(RECIPIENT).into(), usdc(), 5);
    let paid = [
        tx(0).pay(RECIPIENT, 5).pay(RECIPIENT + 1, 5),
        memo,
        other_asset,
    ];
    let intents = [
        intent("a", RECIPIENT, 5),
        intent("b", RECIPIENT + 1, 5),
        Intent {
            memo: Some("id:9".to_owned()),
            ..intent("c", RECIPIENT, 5)
        },
        Intent {
            asset: usdc_name(),
            ..intent("d", RECIPIENT, 5)
        },
    ];
    let report = report(&paid, &intents);
    assert!(report.is_exactly_once());
    assert_eq!((report.intents, report.payments, report.paid_1), (4, 4, 4));
}

#[test]
fn paid_twice_is_an_excess_with_both_transactions() {
    let twice = [tx(0).pay(RECIPIENT, 5), tx(1).pay(RECIPIENT, 5)];
    let report = report(&twice, &[intent("a", RECIPIENT, 5)]);
    assert!(!report.is_exactly_once());
    assert_eq!(report.paid_2_or_more, 1);
    let excess = &report.excess[0];
    assert_eq!((excess.expected, excess.paid), (1, 2));
    assert_eq!(excess.references, ["a"]);
    let mut hashes = excess.paid_by.clone();
    hashes.sort();
    let mut expected = twice.map(|tx| tx.inner_hash().to_string());
    expected.sort();
    assert_eq!(hashes, expected);
}

#[test]
fn equal_intents_are_counted_as_a_multiset() {
    let two = [intent("a", RECIPIENT, 5), intent("b", RECIPIENT, 5)];
    let once = report(&[tx(0).pay(RECIPIENT, 5)], &two);
    assert_eq!((once.paid_0, once.paid_1), (1, 1));
    assert_eq!(once.missing[0].references, ["a", "b"]);
    let both = report(&[tx(0).pay(RECIPIENT, 5).pay(RECIPIENT, 5)], &two);
    assert!(both.is_exactly_once());
}

#[test]
fn a_failed_transaction_pays_nobody() {
    let failed = tx(0).pay(RECIPIENT, 5).pay(NOBODY, 5);
    let report = report(&[failed], &[intent("a", RECIPIENT, 5)]);
    assert_eq!((report.payments, report.paid_0), (0, 1));
    assert_eq!(report.missing[0].references, ["a"]);
}

#[test]
fn what_nobody_asked_for_is_unexpected_unless_it_is_not_ours() {
    let stray = tx(0).pay(RECIPIENT, 6);
    let theirs = Tx::new(CHANNEL + 1).signers(&[CHANNEL + 1]).pay_from(
        CHANNEL + 1,
        crate::support::id(RECIPIENT).into(),
        stellar_xdr::Asset::Native,
        7,
    );
    let report = report(&[stray, theirs], &[]);
    assert_eq!(report.payments, 1);
    assert_eq!(report.unexpected.len(), 1);
    assert_eq!(report.unexpected[0].key.amount_stroops, 6);
}

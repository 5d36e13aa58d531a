//! What applying operations can answer, one row each.

use stellar_xdr::{Asset, MuxedAccount, MuxedAccountMed25519, PublicKey, Uint256};
use stellara_ledger::{AccountSetup, TrustLineSetup, parse_asset};

use crate::support::{
    CHANNEL, FEE, ISSUER, NOBODY, RECIPIENT, RICH_STROOPS, TREASURY, Tx, World, account, address,
    id, line, usdc,
};

fn world() -> World {
    let mut world = World::new();
    let lines = |seed: u8, line: TrustLineSetup| AccountSetup {
        trust_lines: vec![line],
        ..account(seed, 100_000_000)
    };
    world.set_up(vec![
        account(40, 100_000_000),
        lines(
            41,
            TrustLineSetup {
                authorized: false,
                balance_stroops: 50,
                ..line(0)
            },
        ),
        lines(
            42,
            TrustLineSetup {
                limit_stroops: 10,
                ..line(5)
            },
        ),
        account(43, i64::MAX - 5),
        lines(
            44,
            TrustLineSetup {
                asset: format!("GONE:{}", address(NOBODY)),
                ..line(0)
            },
        ),
    ]);
    world
}

fn check(tx: &Tx, expected: &str) {
    let mut world = world();
    let operations = i64::try_from(tx.operations.len()).expect("few operations");
    let before = world.balance(FEE);
    let hash = world.accept(&tx.bumped(100 * (operations + 1)));
    world.close();
    let outer = if expected.split(' ').all(|code| code == "op_success") {
        format!("tx_fee_bump_inner_success [{expected}]")
    } else {
        format!("tx_fee_bump_inner_failed > tx_failed [{expected}]")
    };
    world.assert_applied(hash, &outer);
    // Whatever came of the operations, the fee and the sequence are consumed.
    assert_eq!(before - world.balance(FEE), 100 * (operations + 1));
    let channel = world.net.account(&id(CHANNEL)).expect("it exists");
    assert_eq!(channel.sequence, 101);
}

fn tx() -> Tx {
    Tx::new(CHANNEL)
}

fn issued(source: u8, to: u8, amount: i64) -> Tx {
    tx().signers(&[CHANNEL, source])
        .pay_from(source, id(to).into(), usdc(), amount)
}

#[test]
fn native_payments() {
    check(&tx().pay(RECIPIENT, 1), "op_success");
    check(&tx().pay(TREASURY, i64::MAX), "op_success");
    check(&tx().pay(NOBODY, 1), "op_no_destination");
    check(&tx().pay(RECIPIENT, RICH_STROOPS), "op_underfunded");
    check(&tx().pay(43, 6), "op_line_full");
}

#[test]
fn issued_payments() {
    check(&issued(TREASURY, RECIPIENT, 1), "op_success");
    check(&issued(TREASURY, ISSUER, 1), "op_success");
    check(&issued(ISSUER, RECIPIENT, 1), "op_success");
    check(&issued(TREASURY, NOBODY, 1), "op_no_destination");
    check(&issued(TREASURY, 40, 1), "op_no_trust");
    check(&issued(TREASURY, 41, 1), "op_not_authorized");
    check(&issued(TREASURY, 42, 6), "op_line_full");
    check(
        &issued(TREASURY, RECIPIENT, RICH_STROOPS + 1),
        "op_underfunded",
    );
    check(&issued(40, RECIPIENT, 1), "op_src_no_trust");
    check(&issued(41, RECIPIENT, 1), "op_src_not_authorized");
    let gone = parse_asset(&format!("GONE:{}", address(NOBODY))).expect("well formed");
    let no_issuer = tx().pay_from(TREASURY, id(44).into(), gone, 1);
    check(&no_issuer, "op_no_issuer");
}

#[test]
fn accounts_are_created() {
    check(&tx().create(NOBODY, 10_000_000), "op_success");
    check(&tx().create(NOBODY, 9_999_999), "op_low_reserve");
    check(&tx().create(RECIPIENT, 10_000_000), "op_already_exists");
    check(&tx().create(NOBODY, RICH_STROOPS), "op_underfunded");
    check(
        &tx().create(NOBODY, 10_000_000).pay(NOBODY, 1),
        "op_success op_success",
    );
}

#[test]
fn every_bad_operation_of_a_batch_is_known_at_once() {
    let batch = tx()
        .pay(RECIPIENT, 5)
        .pay(NOBODY, 5)
        .pay_from(TREASURY, id(40).into(), usdc(), 5)
        .pay_from(TREASURY, id(RECIPIENT).into(), usdc(), 5)
        .pay_from(TREASURY, id(42).into(), usdc(), 6);
    check(
        &batch,
        "op_success op_no_destination op_no_trust op_success op_line_full",
    );
}

#[test]
fn a_failed_transaction_moves_nothing_and_creates_nothing() {
    let mut world = world();
    let tx = tx()
        .pay(RECIPIENT, 5)
        .create(NOBODY, 10_000_000)
        .pay_from(TREASURY, id(RECIPIENT).into(), usdc(), 5)
        .pay_from(TREASURY, id(40).into(), usdc(), 1);
    let hash = world.accept(&tx.bumped(500));
    world.close();
    let record = world.net.transaction(&hash).expect("it is applied");
    assert!(!record.successful);
    assert_eq!(world.balance(RECIPIENT), 100_000_000);
    assert_eq!(world.units(RECIPIENT), 0);
    assert_eq!(world.balance(TREASURY), RICH_STROOPS);
    assert!(world.net.account(&id(NOBODY)).is_none());
}

#[test]
fn muxed_destinations_reach_the_account_and_stay_in_the_journal() {
    let mut world = world();
    let PublicKey::PublicKeyTypeEd25519(Uint256(raw)) = id(RECIPIENT).0;
    let muxed = MuxedAccount::MuxedEd25519(MuxedAccountMed25519 {
        id: u64::MAX,
        ed25519: Uint256(raw),
    });
    let tx = tx().pay_from(TREASURY, muxed.clone(), Asset::Native, 7);
    world.accept(&tx.bumped(200));
    world.close();
    assert_eq!(world.balance(RECIPIENT), 100_000_007);
    let operation = &world.net.journal()[0].operations[0];
    assert_eq!(operation.destination, muxed.to_string());
    assert_eq!(operation.destination_account, address(RECIPIENT));
    assert_eq!(operation.muxed_id.as_deref(), Some("18446744073709551615"));
}

#[test]
fn a_new_account_starts_at_its_ledger_shifted() {
    let mut world = world();
    world.accept(&tx().create(NOBODY, 10_000_000).bumped(200));
    world.close();
    let created = world.net.account(&id(NOBODY)).expect("it was created");
    assert_eq!(created.sequence, 3 << 32);
}

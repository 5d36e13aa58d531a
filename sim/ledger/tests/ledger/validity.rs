//! What the queue refuses at once, one row of the protocol each.

use stellar_xdr::{
    Duration, OperationBody, SequenceNumber, SignerKey, TransactionEnvelope, Uint256, VecM,
};

use crate::support::{
    CHANNEL, FEE, NOBODY, RECIPIENT, START_MS, TREASURY, Tx, World, account, bytes, told,
};

const NOW_S: u64 = START_MS / 1_000;

fn check(envelope: &[u8], expected: &str) {
    let mut world = World::new();
    world.set_up(vec![account(50, 10_000_000)]);
    assert_eq!(told(&world.submit(envelope)), expected);
}

fn plain() -> Tx {
    Tx::plain().pay(RECIPIENT, 1)
}

fn inner() -> Tx {
    Tx::new(CHANNEL).pay(RECIPIENT, 1)
}

#[test]
fn a_valid_plain_transaction_is_pending() {
    check(&plain().envelope(), "PENDING");
}

#[test]
fn an_inner_fee_of_zero_is_pending_in_a_bump() {
    check(&inner().bumped(200), "PENDING");
}

#[test]
fn bytes_that_are_no_envelope_are_malformed() {
    check(b"no envelope", "MALFORMED");
    let mut longer = plain().envelope();
    longer.push(0);
    check(&longer, "MALFORMED");
}

#[test]
fn signatures_must_be_right_and_all_needed() {
    check(&plain().signers(&[]).envelope(), "tx_bad_auth fee 100");
    check(&plain().signers(&[FEE]).envelope(), "tx_bad_auth fee 100");
    let extra = plain().signers(&[TREASURY, FEE]);
    check(&extra.envelope(), "tx_bad_auth_extra fee 100");
    let twice = plain().signers(&[TREASURY, TREASURY]);
    check(&twice.envelope(), "tx_bad_auth_extra fee 100");
    let unsigned_treasury = inner().signers(&[CHANNEL]);
    check(
        &unsigned_treasury.bumped(200),
        "tx_fee_bump_inner_failed > tx_failed [op_bad_auth] fee 200",
    );
    check(
        &inner().signers(&[TREASURY]).bumped(200),
        "tx_fee_bump_inner_failed > tx_bad_auth fee 200",
    );
    check(
        &inner().signers(&[CHANNEL, TREASURY, FEE]).bumped(200),
        "tx_fee_bump_inner_failed > tx_bad_auth_extra fee 200",
    );
    check(
        &inner().bumped_by(FEE, 200, &[CHANNEL]),
        "tx_bad_auth fee 200",
    );
    check(
        &inner().bumped_by(FEE, 200, &[FEE, CHANNEL]),
        "tx_bad_auth_extra fee 200",
    );
}

#[test]
fn a_signature_counts_only_under_its_hint() {
    let mut signed = plain().signed();
    let mut signatures = signed.signatures.to_vec();
    signatures[0].hint.0[0] ^= 1;
    signed.signatures = VecM::try_from(signatures).expect("one signature");
    let envelope = bytes(&TransactionEnvelope::Tx(signed));
    check(&envelope, "tx_bad_auth fee 100");
}

#[test]
fn a_signature_for_another_network_is_bad_auth() {
    let mut world = World::with(stellara_ledger::Config {
        passphrase: "another network".to_owned(),
        ..stellara_ledger::Config::default()
    });
    let told = told(&world.submit(&plain().envelope()));
    assert_eq!(told, "tx_bad_auth fee 100");
}

#[test]
fn the_sequence_must_be_the_next_one() {
    check(&plain().sequence(100).envelope(), "tx_bad_seq fee 100");
    check(&plain().sequence(102).envelope(), "tx_bad_seq fee 100");
    check(
        &inner().sequence(102).bumped(200),
        "tx_fee_bump_inner_failed > tx_bad_seq fee 200",
    );
    let mut from_90 = plain().sequence(150);
    from_90.conditions.min_seq_num = Some(SequenceNumber(90));
    check(&from_90.envelope(), "PENDING");
    let mut from_120 = plain().sequence(150);
    from_120.conditions.min_seq_num = Some(SequenceNumber(120));
    check(&from_120.envelope(), "tx_bad_seq fee 100");
}

#[test]
fn sequence_age_and_gap_must_have_passed() {
    let mut gap = plain();
    gap.conditions.min_seq_ledger_gap = 1_000;
    check(&gap.envelope(), "tx_bad_minseq_age_or_gap fee 100");
    let mut age = plain();
    age.conditions.min_seq_age = Duration(u64::MAX);
    check(&age.envelope(), "tx_bad_minseq_age_or_gap fee 100");
}

#[test]
fn time_bounds_hold_for_the_ledgers_that_could_apply_it() {
    check(&plain().time(NOW_S, 0).envelope(), "PENDING");
    let early = plain().time(NOW_S + 1, 0);
    check(&early.envelope(), "tx_too_early fee 100");
    check(&plain().time(0, NOW_S + 10).envelope(), "PENDING");
    let late = plain().time(0, NOW_S + 9);
    check(&late.envelope(), "tx_too_late fee 100");
    check(
        &inner().time(0, NOW_S).bumped(200),
        "tx_fee_bump_inner_failed > tx_too_late fee 200",
    );
}

#[test]
fn the_ledger_bounds_maximum_is_exclusive() {
    // The first ledger is 2, so 3 would include the transaction.
    check(&plain().ledgers(3, 4).envelope(), "PENDING");
    check(&plain().ledgers(0, 3).envelope(), "tx_too_late fee 100");
    check(&plain().ledgers(4, 0).envelope(), "tx_too_early fee 100");
}

#[test]
fn the_fee_covers_every_operation_and_the_bump() {
    check(&plain().fee(99).envelope(), "tx_insufficient_fee fee 100");
    let two = plain().pay(RECIPIENT, 2);
    check(&two.fee(199).envelope(), "tx_insufficient_fee fee 200");
    check(&inner().bumped(199), "tx_insufficient_fee fee 200");
    let mut hundred = Tx::new(CHANNEL);
    for _ in 0..100 {
        hundred = hundred.pay(RECIPIENT, 1);
    }
    check(&hundred.bumped(10_099), "tx_insufficient_fee fee 10100");
    check(&hundred.bumped(10_100), "PENDING");
}

#[test]
fn the_outer_rate_is_not_below_the_inner_rate() {
    let paying = inner().fee(1_000);
    check(&paying.bumped(1_999), "tx_insufficient_fee fee 2000");
    check(&paying.bumped(2_000), "PENDING");
    let three = inner().pay(RECIPIENT, 1).pay(RECIPIENT, 1).fee(1_000);
    // 1000 / 3 a piece: 4 pieces cost 1333.3, rounded up.
    check(&three.bumped(1_333), "tx_insufficient_fee fee 1334");
    check(&three.bumped(1_334), "PENDING");
}

#[test]
fn the_fee_source_can_pay_and_keep_its_reserve() {
    check(
        &inner().bumped_by(50, 200, &[50]),
        "tx_insufficient_balance fee 200",
    );
    let mut poor = Tx::new(50).fee(100).signers(&[50]);
    poor = poor.pay_from(
        50,
        crate::support::id(RECIPIENT).into(),
        stellar_xdr::Asset::Native,
        1,
    );
    check(&poor.envelope(), "tx_insufficient_balance fee 100");
}

#[test]
fn accounts_must_exist() {
    let source = Tx::new(NOBODY).fee(100).pay(RECIPIENT, 1);
    check(&source.envelope(), "tx_no_source_account fee 100");
    check(
        &source.bumped(200),
        "tx_fee_bump_inner_failed > tx_no_source_account fee 200",
    );
    check(
        &inner().bumped_by(NOBODY, 200, &[NOBODY]),
        "tx_no_source_account fee 200",
    );
    let operation = Tx::new(CHANNEL).signers(&[CHANNEL]).pay_from(
        NOBODY,
        crate::support::id(RECIPIENT).into(),
        stellar_xdr::Asset::Native,
        1,
    );
    check(
        &operation.bumped(200),
        "tx_fee_bump_inner_failed > tx_failed [op_no_source_account] fee 200",
    );
}

#[test]
fn operations_must_be_there_well_formed_and_supported() {
    check(&Tx::plain().envelope(), "tx_missing_operation fee 100");
    let amount = plain().pay(RECIPIENT, 0).fee(200);
    check(
        &amount.envelope(),
        "tx_failed [op_success op_malformed] fee 200",
    );
    let create = Tx::plain().create(TREASURY, 20_000_000);
    check(&create.envelope(), "tx_failed [op_malformed] fee 100");
    let other = plain().operation(TREASURY, OperationBody::Inflation);
    check(
        &other.fee(200).envelope(),
        "tx_failed [op_success op_not_supported] fee 200",
    );
}

#[test]
fn extra_signers_are_not_supported() {
    let mut extra = plain();
    let signer = SignerKey::Ed25519(Uint256([1; 32]));
    extra.conditions.extra_signers = VecM::try_from(vec![signer]).expect("one signer");
    check(&extra.envelope(), "tx_not_supported fee 100");
}

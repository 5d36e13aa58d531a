//! Golden vectors made by another implementation of the protocol (Python `stellar-sdk` 16.1.1), and laws over random
//! batches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde::Deserialize;
use stellara_machine::command::{AccountRole, GroupKey, PaymentBody};
use stellara_machine::decision::{BatchPayment, BatchStage, Trigger};
use stellara_machine::fees::bid::BidReason;
use stellara_machine::fees::charge::Charge;
use stellara_machine::fees::predict::Prediction;
use stellara_machine::ids::{Asset, BatchId, Destination, Memo, PaymentId};
use stellara_machine::units::{Lane, UnixMs};

use super::*;
use crate::ports::signer::LocalSigner;
use crate::ports::signer::keyring::Seed;

const PASSPHRASE: &str = "Standalone Network ; February 2017";

fn account(seed: u8) -> AccountId {
    Seed::from_bytes([seed; 32]).account()
}

fn signer() -> LocalSigner {
    let seeds = [
        (AccountRole::Channel, Seed::from_bytes([1; 32])),
        (AccountRole::Treasury, Seed::from_bytes([2; 32])),
        (AccountRole::Fee, Seed::from_bytes([3; 32])),
    ];
    LocalSigner::from_seeds(seeds.iter().map(|(role, seed)| (*role, seed)))
}

struct Case {
    channel: AccountId,
    sequence: i64,
    memo: Memo,
    payments: Vec<(Destination, Asset, i64)>,
    bounds: Bounds,
    fee_max: i64,
}

impl Case {
    fn batch(&self) -> (Batch, Vec<Payment>) {
        let treasury = account(2);
        let payments: Vec<Payment> = self
            .payments
            .iter()
            .zip(1..)
            .map(|(&(destination, asset, amount), id)| Payment {
                id: PaymentId(id),
                developer: stellara_machine::ids::DeveloperId(1),
                key: stellara_machine::ids::IdempotencyKey(format!("key-{id}")),
                body: PaymentBody {
                    treasury: Some(treasury),
                    destination,
                    asset,
                    amount: Stroops(amount),
                    memo: self.memo.clone(),
                    ..PaymentBody::default()
                },
                accepted_at: UnixMs(0),
            })
            .collect();
        let batch = Batch {
            ending: None,
            id: BatchId(9),
            group: GroupKey {
                treasury,
                memo: self.memo.clone(),
                ..GroupKey::default()
            },
            payments: payments
                .iter()
                .map(|payment| BatchPayment {
                    payment: payment.id,
                    queued_at: UnixMs(0),
                    failures: 0,
                })
                .collect(),
            trigger: Trigger::Size,
            formed_at: UnixMs(0),
            channel: self.channel,
            sequence: AccountSequence(self.sequence),
            stage: BatchStage::Building,
            attempts: Vec::new(),
            failures: 0,
            not_before: UnixMs(0),
            fee_bid: Stroops(100),
            fee_cap: Stroops(100_000),
            bid_reason: BidReason::Base,
            counts_as: Lane::Medium,
            prediction: Prediction::default(),
            charge: Charge::default(),
        };
        (batch, payments)
    }

    fn bump(&self) -> Bump {
        Bump {
            fee_account: account(3),
            fee_max: Stroops(self.fee_max),
        }
    }

    fn build(&self) -> Result<SignedEnvelope, EnvelopeError> {
        let (batch, payments) = self.batch();
        let network = Network::from_passphrase(PASSPHRASE);
        let signer = signer();
        let built = build(
            &signer,
            &network,
            &batch,
            &payments,
            self.bounds,
            self.bump(),
        );
        now(built)
    }
}

/// The local signer never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).unwrap()
}

fn to(seed: u8, muxed_id: Option<u64>) -> Destination {
    Destination {
        account: account(seed),
        muxed_id,
    }
}

const fn bounds(time_bound_s: u64, ledger_bound: u32) -> Bounds {
    Bounds {
        time_bound_s,
        ledger_bound: LedgerSeq(ledger_bound),
    }
}

fn golden_cases() -> Vec<Case> {
    let issuer = account(9);
    let usd = Asset::Credit4 {
        code: *b"USD\0",
        issuer,
    };
    let long = Asset::Credit12 {
        code: *b"LONGCODE\0\0\0\0",
        issuer,
    };
    let case = |channel, sequence, memo, payments: Vec<_>, fee_max, bounds| Case {
        channel: account(channel),
        sequence,
        memo,
        payments,
        bounds,
        fee_max,
    };
    let usual = bounds(1_700_000_060, 112);
    let one = vec![(to(10, None), Asset::Native, 1)];
    let three = vec![
        (to(10, Some(9_007_199_254_740_993)), usd, 123_456_789),
        (to(11, None), long, 10_000_000_000_000_000),
        (to(12, None), Asset::Native, 5),
    ];
    let two = vec![(to(10, None), Asset::Native, 1), (to(11, None), usd, 2)];
    let hundred = (0_u8..100)
        .map(|at| (to(20 + at % 50, None), Asset::Native, i64::from(at) + 1))
        .collect();
    let text = Memo::Text("invoice 7".to_owned());
    let far = bounds(1_800_000_000, 4_000_000_000);
    vec![
        case(1, 4_294_967_297, Memo::None, one.clone(), 200, usual),
        case(1, 77, text, three, 4_000, usual),
        case(2, 5, Memo::Id(u64::MAX), two, 300, far),
        case(1, 6, Memo::Hash([7; 32]), hundred, 10_100, usual),
        case(1, 8, Memo::Return([8; 32]), one, 201, usual),
    ]
}

#[derive(Deserialize)]
struct Golden {
    name: String,
    inner_hash: String,
    outer_hash: String,
    envelope: String,
}

#[test]
fn envelopes_equal_those_of_another_implementation_byte_for_byte() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("golden.json")).unwrap();
    let cases = golden_cases();
    assert_eq!(golden.len(), cases.len());
    for (golden, case) in golden.iter().zip(&cases) {
        let built = case.build().unwrap();
        assert_eq!(
            BASE64.encode(&built.bytes),
            golden.envelope,
            "{}",
            golden.name
        );
        assert_eq!(hex::encode(built.inner_hash.0), golden.inner_hash);
        assert_eq!(hex::encode(built.outer_hash.0), golden.outer_hash);
        assert_eq!(built.bounds, case.bounds);
        assert_eq!(built.channel, case.channel);
        assert_eq!(built.sequence, AccountSequence(case.sequence));
    }
}

#[test]
fn a_new_bump_keeps_the_inner_transaction() {
    let network = Network::from_passphrase(PASSPHRASE);
    for case in golden_cases() {
        let first = case.build().unwrap();
        let bump = Bump {
            fee_max: Stroops(first.fee_max.0 * 10),
            ..case.bump()
        };
        let second = now(bump_again(&signer(), &network, &first.bytes, bump)).unwrap();
        assert_eq!(second.inner_hash, first.inner_hash);
        assert_ne!(second.outer_hash, first.outer_hash);
        let inner = |bytes: &[u8]| check::fee_bump(bytes).unwrap().tx.inner_tx;
        assert_eq!(inner(&second.bytes), inner(&first.bytes));
    }
}

#[test]
fn no_changed_byte_passes_the_check() {
    let network = Network::from_passphrase(PASSPHRASE);
    let built = golden_cases()[1].build().unwrap();
    for at in 0..built.bytes.len() {
        let mut bytes = built.bytes.clone();
        bytes[at] ^= 1;
        assert!(check(&network, &bytes).is_err(), "byte {at}");
    }
    let other = Network::from_passphrase("Test SDF Network ; September 2015");
    assert!(check(&other, &built.bytes).is_err());
    assert!(check(&network, &built.bytes[..built.bytes.len() - 4]).is_err());
}

#[test]
fn payments_must_be_the_batchs() {
    let network = Network::from_passphrase(PASSPHRASE);
    let case = &golden_cases()[1];
    let (batch, payments) = case.batch();
    let check = |change: fn(&mut Vec<Payment>)| {
        let mut payments = payments.clone();
        change(&mut payments);
        let signer = signer();
        let built = build(
            &signer,
            &network,
            &batch,
            &payments,
            case.bounds,
            case.bump(),
        );
        now(built).unwrap_err()
    };
    assert!(matches!(
        check(|payments| payments.swap(0, 1)),
        EnvelopeError::PaymentMismatch { at: 0, .. }
    ));
    assert!(matches!(
        check(|payments| payments[2].body.treasury = None),
        EnvelopeError::PaymentMismatch { at: 2, .. }
    ));
    assert!(matches!(
        check(|payments| payments[1].body.memo = Memo::None),
        EnvelopeError::PaymentMismatch { at: 1, .. }
    ));
    assert!(matches!(
        check(|payments| drop(payments.pop())),
        EnvelopeError::PaymentCount { count: 2 }
    ));
}

#[test]
fn fees_count_the_bump_and_stay_in_range() {
    assert_eq!(fee_of_bid(Stroops(100), 1), Ok(Stroops(200)));
    assert_eq!(fee_of_bid(Stroops(0), 100), Ok(Stroops(10_100)));
    assert_eq!(fee_of_bid(Stroops(250), 3), Ok(Stroops(1_000)));
    assert!(fee_of_bid(Stroops(i64::MAX), 1).is_err());
}

fn any_asset() -> impl Strategy<Value = Asset> {
    let issuer = account(9);
    prop_oneof![
        Just(Asset::Native),
        "[A-Z]{4}".prop_map(move |code| Asset::Credit4 {
            code: code.as_bytes().try_into().unwrap(),
            issuer,
        }),
        "[A-Z]{12}".prop_map(move |code| Asset::Credit12 {
            code: code.as_bytes().try_into().unwrap(),
            issuer,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_says_what_was_asked(
        payments in prop::collection::vec((any::<[u8; 32]>(), any::<Option<u64>>(), any_asset(), 1..i64::MAX), 1..=100),
        memo in prop_oneof![Just(Memo::None), "[a-z]{0,28}".prop_map(Memo::Text), any::<u64>().prop_map(Memo::Id)],
        sequence in 1..i64::MAX,
        time_bound_s in 1..u64::MAX,
        ledger_bound in 1..u32::MAX,
        bid in 0_i64..1_000_000,
    ) {
        let payments: Vec<_> = payments
            .into_iter()
            .map(|(key, muxed_id, asset, amount)| {
                (Destination { account: AccountId(key), muxed_id }, asset, amount)
            })
            .collect();
        let fee_max = fee_of_bid(Stroops(bid), payments.len()).unwrap();
        let case = Case {
            channel: account(1),
            sequence,
            memo,
            payments,
            bounds: bounds(time_bound_s, ledger_bound),
            fee_max: fee_max.0,
        };
        let built = case.build().unwrap();
        prop_assert_eq!(built.bounds, case.bounds);
        prop_assert_eq!(built.sequence, AccountSequence(sequence));
        prop_assert_eq!(built.fee_max, fee_max);
        prop_assert_eq!(built.operations, case.payments.len());
        prop_assert!(built.bytes.len() <= ENVELOPE_BYTES_MAX);
        prop_assert_eq!(&case.build().unwrap(), &built);
    }
}

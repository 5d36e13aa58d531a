//! Every shape comes around within a few hundred lines, equal seeds give equal lines, and no line tells a seed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stellar_strkey::ed25519::PrivateKey;
use stellara_machine::ids::Memo;

use super::*;

fn lines(seed: u64, count: usize) -> Vec<Line> {
    let taken = Lines::new(seed).take(count);
    taken.collect::<Result<_, _>>().unwrap()
}

fn text(line: &Line) -> String {
    serde_json::to_string(line).unwrap()
}

/// Some of the first 300 lines are of this shape.
fn check(shape: &str, is: impl Fn(&Line) -> bool) {
    let found = lines(7, 300).iter().filter(|line| is(line)).count();
    assert!(found > 2, "{found} of 300 lines have {shape}");
}

fn asset_of(line: &Line, letters: usize) -> bool {
    let mut operations = line.operations.iter();
    operations.any(|operation| {
        let code = operation.asset.split_once(':');
        code.is_some_and(|(code, _)| code.len() == letters)
    })
}

#[test]
fn every_shape_comes_around() {
    check("one payment", |line| line.operations.len() == 1);
    check("100 payments", |line| line.operations.len() == 100);
    check("a code of 1 letter", |line| asset_of(line, 1));
    check("a code of 4 letters", |line| asset_of(line, 4));
    check("a code of 12 letters", |line| asset_of(line, 12));
    check("the native asset", |line| {
        let mut operations = line.operations.iter();
        operations.any(|operation| operation.asset == "native")
    });
    check("a multiplexed receiver", |line| {
        let mut operations = line.operations.iter();
        operations.any(|operation| operation.destination.starts_with('M'))
    });
    check("one account as channel and treasury", |line| {
        line.channel == line.treasury
    });
    check("no memo", |line| line.memo == ShownMemo::None(()));
    check(
        "a text of 28 bytes",
        |line| matches!(&line.memo, ShownMemo::Text(text) if text.len() == 28),
    );
    check("a number as memo", |line| {
        matches!(line.memo, ShownMemo::Id(_))
    });
    check("a hash as memo", |line| {
        matches!(line.memo, ShownMemo::Hash(_))
    });
    check("a hash to return", |line| {
        matches!(line.memo, ShownMemo::Return(_))
    });
    let all = lines(7, 300);
    let networks: BTreeSet<_> = all.iter().map(|line| &line.passphrase).collect();
    assert_eq!(networks.len(), 3);
    let bumped = all.windows(4).filter(|four| {
        let inner = &four[0].inner_xdr;
        let outer: BTreeSet<_> = four.iter().map(|line| &line.fee_bump_hash).collect();
        four.iter().all(|line| line.inner_xdr == *inner) && outer.len() == 4
    });
    assert!(bumped.count() > 2, "four bumps of one inner transaction");
}

#[test]
fn a_line_has_these_fields_and_no_other() {
    let line: Value = serde_json::from_str(&text(&lines(1, 1)[0])).unwrap();
    let fields: BTreeSet<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "channel",
        "fee_account",
        "fee_bump_hash",
        "fee_bump_xdr",
        "fee_stroops",
        "inner_hash",
        "inner_xdr",
        "memo",
        "operations",
        "passphrase",
        "treasury",
    ];
    assert_eq!(fields, BTreeSet::from(expected));
    let operation = line["operations"][0].as_object().unwrap();
    let fields: BTreeSet<&str> = operation.keys().map(String::as_str).collect();
    let expected = ["amount_stroops", "asset", "destination"];
    assert_eq!(fields, BTreeSet::from(expected));
}

#[test]
fn numbers_that_readers_would_round_are_text() {
    let shown = |number: i64| serde_json::to_value(Number::signed(number)).unwrap();
    assert_eq!(shown(1), json!(1));
    assert_eq!(shown(1 << 53), json!(9_007_199_254_740_992_u64));
    assert_eq!(shown((1 << 53) + 1), json!("9007199254740993"));
    let memo = |memo: &Memo| serde_json::to_value(ShownMemo::of(memo)).unwrap();
    assert_eq!(memo(&Memo::None), json!({"type": "none", "value": null}));
    assert_eq!(memo(&Memo::Id(7)), json!({"type": "id", "value": 7}));
    assert_eq!(
        memo(&Memo::Id(u64::MAX)),
        json!({"type": "id", "value": "18446744073709551615"})
    );
    assert_eq!(
        memo(&Memo::Return([0xab; 32])),
        json!({"type": "return", "value": "ab".repeat(32)})
    );
}

#[test]
fn equal_seeds_give_equal_lines_and_a_longer_run_begins_with_the_shorter() {
    let long = lines(3, 40);
    assert_eq!(long[..15], lines(3, 15)[..]);
    assert_ne!(long[0], lines(4, 1)[0]);
}

#[test]
fn no_line_tells_a_seed() {
    let draws = Draws::new(5);
    let mut secrets = Vec::new();
    for seed in draws.seeds() {
        let bytes = seed.signing_key().to_bytes();
        secrets.push(shown::hex(&bytes));
        secrets.push(PrivateKey(bytes).as_unredacted().to_string().to_string());
    }
    for line in lines(5, 200) {
        let text = text(&line);
        let xdr = TransactionEnvelope::from_xdr_base64(&line.fee_bump_xdr, Limits::none());
        let bytes = shown_bytes(&xdr.unwrap().to_xdr(Limits::none()).unwrap());
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()) && !bytes.contains(secret.as_str()));
        }
    }
}

fn shown_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

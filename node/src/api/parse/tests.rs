//! What is formatted is parsed back; what does not hold is refused with field, value and expected form.

use proptest::prelude::*;
use stellara_machine::ids::Index;

use super::*;
use crate::api::format;

const SEED: &str = "SAV76USXIJOBMEQXPANUOQM6F5LIOTLPDIDVRJBFFE2MDJXG24TAPUU7";

fn account_strategy() -> impl Strategy<Value = AccountId> {
    any::<[u8; 32]>().prop_map(AccountId)
}

fn asset_strategy() -> impl Strategy<Value = Asset> {
    let code = proptest::collection::vec(
        prop_oneof![b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9'],
        1..=12_usize,
    );
    prop_oneof![
        Just(Asset::Native),
        (code, account_strategy()).prop_map(|(code, issuer)| {
            let text = String::from_utf8(code).unwrap();
            if text.len() <= 4 {
                Asset::Credit4 {
                    code: padded(&text),
                    issuer,
                }
            } else {
                Asset::Credit12 {
                    code: padded(&text),
                    issuer,
                }
            }
        }),
    ]
}

fn memo_strategy() -> impl Strategy<Value = Memo> {
    prop_oneof![
        Just(Memo::None),
        "[a-zäß ]{0,14}".prop_map(Memo::Text),
        any::<u64>().prop_map(Memo::Id),
        any::<[u8; 32]>().prop_map(Memo::Hash),
        any::<[u8; 32]>().prop_map(Memo::Return),
    ]
}

proptest! {
    #[test]
    fn an_amount_is_parsed_back(stroops in 1..=AMOUNT_STROOPS_MAX) {
        let text = format::amount(Stroops(stroops));
        prop_assert_eq!(amount("amount", &text), Ok(Stroops(stroops)));
    }

    #[test]
    fn addresses_are_parsed_back(account in account_strategy(), muxed_id: Option<u64>) {
        let to = Destination { account, muxed_id };
        prop_assert_eq!(destination("destination", &format::destination(to)), Ok(to));
    }

    #[test]
    fn assets_and_memos_are_parsed_back(what in asset_strategy(), note in memo_strategy()) {
        prop_assert_eq!(asset("asset", &format::asset(&what)), Ok(what));
        prop_assert_eq!(memo(format::memo(&note)), Ok(note));
    }

    #[test]
    fn ids_and_cursors_are_parsed_back(id: u64, seen: u32) {
        prop_assert_eq!(payment_id("id", &format::payment_id(PaymentId(id))), Ok(PaymentId(id)));
        prop_assert_eq!(batch_id("id", &format::batch_id(BatchId(id))), Ok(BatchId(id)));
        let cursor = format::page_cursor(Listed::Payments, id);
        prop_assert_eq!(page_cursor(Listed::Payments, &cursor), Ok(id));
        prop_assert!(page_cursor(Listed::Batches, &cursor).is_err());
        let place = Place { index: Index(id), seen };
        prop_assert_eq!(watch_cursor(&format::watch_cursor(place)), Ok(WatchFrom::Place(place)));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = amount("f", &text);
        let _ = destination("f", &text);
        let _ = asset("f", &text);
        let _ = payment_id("f", &text);
        let _ = page_cursor(Listed::Payments, &text);
        let _ = watch_cursor(&text);
        let _ = idempotency_key(text);
    }
}

fn check<T: std::fmt::Debug>(found: Result<T, Invalid>, field: &str, value: &str, expected: &str) {
    let invalid = found.unwrap_err();
    assert_eq!(
        (&*invalid.field, &*invalid.value, invalid.expected),
        (field, value, expected)
    );
}

#[test]
fn a_refused_amount_says_what_does_not_hold() {
    let rows = [
        ("", "a decimal number, as 12.5"),
        (".5", "a decimal number, as 12.5"),
        ("5.", "a decimal number, as 12.5"),
        ("1e3", "a decimal number, as 12.5"),
        ("1,5", "a decimal number, as 12.5"),
        (" 1", "a decimal number, as 12.5"),
        ("+1", "a decimal number, as 12.5"),
        ("1.2.3", "a decimal number, as 12.5"),
        ("١", "a decimal number, as 12.5"),
        ("1.00000000", "at most seven decimals"),
        ("0", "an amount above zero"),
        ("0.0000000", "an amount above zero"),
        ("-1.5", "an amount above zero"),
        ("1000000000.0000001", "at most 1000000000"),
        ("99999999999999999999999999", "at most 1000000000"),
    ];
    for (text, expected) in rows {
        check(amount("amount", text), "amount", text, expected);
    }
    let most = "1000000000.0000000";
    assert_eq!(amount("amount", most), Ok(Stroops(AMOUNT_STROOPS_MAX)));
    assert_eq!(amount("amount", "0.0000001"), Ok(Stroops(1)));
}

#[test]
fn a_long_value_is_shortened_and_a_seed_is_not_repeated() {
    let long = "ä".repeat(100);
    let key = idempotency_key(long).unwrap_err();
    assert_eq!(key.value, "ä".repeat(64));
    let seed = destination("destination", SEED).unwrap_err();
    assert!(!seed.value.contains("SAV76"), "{seed}");
    assert_eq!(
        seed.of_item(3).field,
        "payments[3].destination",
        "the path names the item"
    );
}

#[test]
fn a_key_of_control_characters_or_bad_length_is_refused() {
    for bad in [String::new(), "a\nb".to_owned(), "k".repeat(129)] {
        assert!(idempotency_key(bad).is_err());
    }
    assert!(idempotency_key("k".repeat(128)).is_ok());
}

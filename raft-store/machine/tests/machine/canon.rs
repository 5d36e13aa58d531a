//! The byte forms and hashes that must never change: old logs and chains hang on them.

use stellara_machine::audit::{KINDS, RESULTS, kind_named, result_named, verify_chain};
use stellara_machine::canon::{Canonical, fingerprint};
use stellara_machine::command::PaymentBody;
use stellara_machine::ids::{AccountId, Asset, Destination, Hash, Memo};
use stellara_machine::units::{Lane, Stroops};

use crate::world::{World, submit};

#[track_caller]
fn check<T: Canonical>(value: &T, expected: &[u8]) {
    let mut bytes = Vec::new();
    value.canonical(&mut bytes);
    assert_eq!(bytes, expected);
}

#[test]
fn bytes_are_little_endian_and_tagged() {
    check(&Stroops(-2), &[254, 255, 255, 255, 255, 255, 255, 255]);
    check(&Lane::Critical, &[4]);
    check(&Memo::None, &[0]);
    check(&Memo::Text("ab".into()), &[1, 2, 0, 0, 0, b'a', b'b']);
    check(&Memo::Id(258), &[2, 2, 1, 0, 0, 0, 0, 0, 0]);
    check(&Some(3_u16), &[1, 3, 0]);
    check(&vec![1_u16, 2], &[2, 0, 0, 0, 1, 0, 2, 0]);
}

#[test]
fn every_field_of_a_body_counts() {
    let body = PaymentBody::default();
    let account = AccountId([1; 32]);
    let edits: [fn(&mut PaymentBody, AccountId); 8] = [
        |body, account| body.treasury = Some(account),
        |body, account| body.destination.account = account,
        |body, _| {
            body.destination = Destination {
                muxed_id: Some(0),
                ..body.destination
            }
        },
        |body, issuer| {
            body.asset = Asset::Credit4 {
                code: *b"EUR\0",
                issuer,
            }
        },
        |body, _| body.amount = Stroops(1),
        |body, _| body.memo = Memo::Text(String::new()),
        |body, _| body.lane = Lane::Low,
        |body, _| body.reference = "r".into(),
    ];
    let mut seen = vec![fingerprint(&body)];
    for edit in edits {
        let mut edited = body.clone();
        edit(&mut edited, account);
        seen.push(fingerprint(&edited));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 9);
}

#[test]
fn a_changed_record_breaks_the_chain() {
    let mut world = World::with_channels(1);
    let before = world.state.chain();
    let commands = vec![submit("a", Lane::Low), submit("a", Lane::High)];
    let record = world.entry(commands).record;
    assert!(verify_chain(before, &record));
    assert!(!verify_chain(Hash([1; 32]), &record));
    let mut shorter = record.clone();
    shorter.audits.pop();
    assert!(!verify_chain(before, &shorter));
    let mut swapped = record.clone();
    swapped.audits.reverse();
    assert!(!verify_chain(before, &swapped));
    let mut edited = record;
    edited.audits[1].result = "ok";
    assert!(!verify_chain(before, &edited));
}

#[test]
fn stored_words_are_known_again() {
    assert!(KINDS.into_iter().all(|kind| kind_named(kind) == Some(kind)));
    assert!(
        RESULTS
            .into_iter()
            .all(|result| result_named(result) == Some(result))
    );
    assert_eq!(kind_named("something_else"), None);
}

/// The same history has the same hash in every release that keeps the rules.
#[test]
fn a_known_history_keeps_its_digest() {
    let mut world = World::with_channels(2);
    world.entry(vec![
        submit("a", Lane::Low),
        submit("b", Lane::High),
        submit("a", Lane::High),
    ]);
    let hex = |hash: Hash| hash.0.map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(
        hex(world.state.digest()),
        "8bc30d28a375210e8ec634a09d0582e4401836434f28879302b275e6c7760be3"
    );
    assert_eq!(
        hex(world.state.chain()),
        "d1b2be79041e9e0be721b0d748285e76785b2d6a8bdd31e44d07933274338e15"
    );
}

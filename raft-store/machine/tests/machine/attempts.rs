//! Which envelopes a batch takes, case by case.

use stellara_machine::command::{AttemptOutcome, Command, RecordAttempt};
use stellara_machine::decision::{Rejection, Reply};
use stellara_machine::ids::{AttemptNo, BatchId};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops};

use crate::bench::Bench;
use crate::world::channel;

#[test]
fn an_attempt_must_fit_its_batch() {
    let mut bench = Bench::new();
    let good = bench.attempt(1);
    let out_of_order = |expected| Err(Rejection::AttemptOutOfOrder { expected });
    let mut check = |edit: fn(&mut RecordAttempt), expected| {
        let mut attempt = good.clone();
        edit(&mut attempt);
        bench.check_attempt(attempt, expected);
    };
    check(
        |attempt| attempt.attempt = AttemptNo(2),
        out_of_order(AttemptNo(1)),
    );
    let batch = BatchId(1);
    check(
        |attempt| attempt.batch = BatchId(1),
        Err(Rejection::BatchUnknown { batch }),
    );
    let (channel, sequence) = (channel(0), AccountSequence(1));
    let mismatch = || Err(Rejection::SequenceMismatch { channel, sequence });
    check(|attempt| attempt.sequence = AccountSequence(2), mismatch());
    check(
        |attempt| attempt.channel = crate::world::channel(1),
        mismatch(),
    );
    check(|_| {}, Ok(Reply::AttemptRecorded));
    check(|_| {}, Ok(Reply::AttemptRecorded));
    assert_eq!(
        bench.batch().attempts.len(),
        1,
        "the same attempt is stored once"
    );
    let refused = bench.tell(2, AttemptOutcome::Expired);
    assert_eq!(refused, out_of_order(AttemptNo(1)));
}

#[track_caller]
fn check_field(field: &str, edit: fn(&mut RecordAttempt)) {
    let mut bench = Bench::new();
    bench.send(1);
    let mut attempt = bench.attempt(1);
    edit(&mut attempt);
    match bench.world.one(Command::RecordAttempt(attempt)) {
        Err(Rejection::Field { field: found, .. }) => assert_eq!(found, field),
        other => panic!("taken: {other:?}"),
    }
}

#[test]
fn an_attempt_has_bounds_a_bid_and_bytes() {
    check_field("envelope", |attempt| attempt.envelope.clear());
    check_field("envelope", |attempt| attempt.envelope = vec![1; 65_537]);
    check_field("time_bound_s", |attempt| attempt.time_bound_s = 0);
    check_field("time_bound_s", |attempt| attempt.time_bound_s = 61);
    check_field("ledger_bound", |attempt| {
        attempt.ledger_bound = LedgerSeq(0)
    });
    check_field("fee_max", |attempt| attempt.fee_max = Stroops(0));
    check_field("fee_max", |attempt| attempt.fee_max = Stroops(400_001));
}

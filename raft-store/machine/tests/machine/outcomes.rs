//! What the ledger did with an attempt, case by case.

use stellara_machine::command::{AttemptOutcome, Command, OperationResult, Refusal, RetryPayment};
use stellara_machine::decision::{AttemptFate, BatchStage, Ending, Rejection, Reply, Stage};
use stellara_machine::ids::{AttemptNo, DeveloperId};
use stellara_machine::limits::ATTEMPTS_MAX;
use stellara_machine::units::{AccountSequence, Stroops};

use crate::bench::{Bench, FEE, LEDGER, applied, failed, fee, form, terminal};
use crate::world::channel;

#[test]
fn an_applied_attempt_settles_the_batch() {
    let mut bench = Bench::new();
    bench.send(1);
    let outcome = applied(&mut bench, 0);
    bench.told(1, outcome.clone());
    assert_eq!(
        *bench.ended(),
        BatchStage::Settled {
            ledger: LEDGER,
            fee_charged: FEE
        }
    );
    bench.check_payments([("settled", 0); 3]);
    bench.check_channel(1, 1);
    assert_eq!(bench.world.state.totals().fee_charged_stroops, 400);
    let batch = bench.id;
    assert_eq!(
        bench.tell(1, outcome),
        Err(Rejection::BatchUnknown { batch })
    );
}

#[test]
fn an_older_attempt_settles_the_batch_too() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, fee(400));
    bench.send(2);
    let outcome = applied(&mut bench, 0);
    bench.told(1, outcome);
    bench.check_payments([("settled", 0); 3]);
}

#[test]
fn a_failed_transaction_evicts_the_bad_payments() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.told(
        1,
        failed(vec![
            OperationResult::RolledBack,
            OperationResult::Terminal {
                code: "op_no_trust".into(),
            },
            OperationResult::Retryable {
                code: "op_underfunded".into(),
            },
        ]),
    );
    assert_eq!(
        *bench.ended(),
        BatchStage::RolledBack {
            ledger: LEDGER,
            fee_charged: FEE
        }
    );
    bench.check_payments([("queued", 0), ("failed", 1), ("queued", 1)]);
    bench.check_channel(1, 1);
    let next = form(&mut bench.world);
    assert_eq!(
        bench.world.state.batches()[&next].payments.len(),
        1,
        "only the rolled back one"
    );
}

#[test]
fn a_transaction_that_fails_with_nobody_to_blame_is_not_retried_for_ever() {
    for operations in [vec![], vec![OperationResult::RolledBack; 3]] {
        let mut bench = Bench::new();
        for failures in 1..=3 {
            bench.send(failures);
            bench.told(1, failed(operations.clone()));
            let stage = if failures == 3 { "failed" } else { "queued" };
            bench.check_payments([(stage, u16::from(failures)); 3]);
            bench.world.time = bench.world.time.plus(60_000);
            if failures < 3 {
                bench.id = form(&mut bench.world);
            }
        }
    }
}

#[test]
fn results_must_fit_the_payments() {
    let mut bench = Bench::new();
    bench.send(1);
    let long = OperationResult::Terminal {
        code: "x".repeat(65),
    };
    for (operations, field) in [
        (vec![OperationResult::RolledBack; 2], "operations"),
        (vec![long; 3], "code"),
    ] {
        match bench.tell(1, failed(operations)) {
            Err(Rejection::Field { field: found, .. }) => assert_eq!(found, field),
            other => panic!("taken: {other:?}"),
        }
    }
}

#[test]
fn a_low_bid_is_raised_within_the_cap() {
    let mut bench = Bench::new();
    bench.send(1);
    // 804 for four operations are 201 each, and a tenth rounded up on top.
    bench.refuse(1, fee(804));
    let now = bench.world.state.now();
    let batch = bench.batch();
    assert_eq!((batch.fee_bid, batch.not_before), (Stroops(222), now));
    assert_eq!(batch.stage, BatchStage::Building);
    bench.refuse(1, fee(804));
    assert_eq!(bench.batch().failures, 1, "the same refusal counts once");

    bench.send(1);
    bench.refuse(2, fee(4 * 100_001));
    let batch = bench.batch();
    // The lane's cap, which was told as the bound when the batch was formed.
    assert_eq!(batch.fee_bid, Stroops(50_000));
    assert_eq!(batch.prediction.fee_max, Stroops(4 * 50_000));
    assert!(batch.not_before > now, "above the cap it waits");
}

#[test]
fn a_cheap_ledger_is_waited_for_past_the_retries() {
    let mut bench = Bench::new();
    for attempt in 1..=ATTEMPTS_MAX {
        bench.send(1);
        bench.refuse(attempt, fee(i64::MAX));
    }
    let reason = "attempts_full".to_string();
    assert_eq!(bench.batch().ending, Some(Ending::Requeue { reason }));
    let full = Rejection::AttemptsFull {
        limit: ATTEMPTS_MAX,
    };
    bench.check_attempt(bench.attempt(1), Err(full));
    bench.told(ATTEMPTS_MAX, AttemptOutcome::Expired);
    bench.check_payments([("queued", 0); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn a_full_queue_keeps_the_attempt_in_flight() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, Refusal::TryAgainLater);
    assert_eq!(bench.batch().stage, BatchStage::InFlight);
    assert!(bench.batch().not_before > bench.world.state.now());
    let live = Rejection::EarlierAttemptLive {
        attempt: AttemptNo(1),
    };
    bench.check_attempt(bench.attempt(2), Err(live));
    bench.send(1);
}

#[test]
fn a_terminal_refusal_fails_the_payments_when_nothing_else_is_open() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, terminal());
    assert_eq!(
        *bench.ended(),
        BatchStage::Abandoned {
            reason: "tx_bad_auth".into()
        }
    );
    bench.check_payments([("failed", 1); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn a_terminal_refusal_waits_for_an_earlier_bump() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, fee(400));
    bench.send(1);
    bench.refuse(2, terminal());
    let reason = "tx_bad_auth".to_string();
    assert_eq!(bench.batch().ending, Some(Ending::DeadLetter { reason }));
    let fates: Vec<_> = bench
        .batch()
        .attempts
        .iter()
        .map(|attempt| attempt.fate)
        .collect();
    assert_eq!(fates, [AttemptFate::Open, AttemptFate::Excluded]);
    bench.check_payments([("batched", 0); 3]);
    let live = Rejection::EarlierAttemptLive {
        attempt: AttemptNo(2),
    };
    bench.check_attempt(bench.attempt(1), Err(live));
    bench.told(1, AttemptOutcome::Expired);
    bench.check_payments([("failed", 1); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn a_batch_given_up_may_still_settle() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.refuse(1, fee(400));
    bench.send(2);
    bench.refuse(2, terminal());
    let outcome = applied(&mut bench, 0);
    bench.told(1, outcome);
    bench.check_payments([("settled", 0); 3]);
    bench.check_channel(1, 1);
}

#[test]
fn an_expired_attempt_is_built_again_on_the_same_sequence() {
    let mut bench = Bench::new();
    for attempt in 1..=2 {
        bench.send(u8::try_from(attempt).unwrap());
        bench.told(attempt, AttemptOutcome::Expired);
        bench.told(attempt, AttemptOutcome::Expired);
        let batch = bench.batch();
        assert_eq!(
            (batch.stage.clone(), batch.failures),
            (BatchStage::Building, attempt)
        );
        assert_eq!(
            (batch.channel, batch.sequence),
            (channel(0), AccountSequence(1))
        );
    }
    bench.send(3);
    bench.told(3, AttemptOutcome::Expired);
    assert_eq!(
        *bench.ended(),
        BatchStage::Abandoned {
            reason: "expired".into()
        }
    );
    bench.check_payments([("queued", 0); 3]);
    bench.check_channel(0, 1);
}

#[test]
fn an_empty_treasury_counts_against_the_payments() {
    let mut bench = Bench::new();
    for attempt in 1..=3 {
        bench.send(1);
        bench.refuse(attempt, Refusal::InsufficientBalance);
    }
    let reason = "tx_insufficient_balance".to_string();
    assert_eq!(bench.batch().ending, Some(Ending::Retry { reason }));
    bench.told(1, AttemptOutcome::Expired);
    bench.check_payments([("queued", 1); 3]);
}

#[test]
fn a_lost_sequence_is_replaced_on_the_same_channel() {
    let mut bench = Bench::new();
    bench.send(1);
    let lost = |sequence| AttemptOutcome::SequenceLost {
        account_sequence: AccountSequence(sequence),
    };
    let early = bench.tell(1, lost(0));
    assert!(matches!(
        early,
        Err(Rejection::Field {
            field: "account_sequence",
            ..
        })
    ));
    bench.told(1, lost(7));
    assert_eq!(bench.batch().sequence, AccountSequence(8));
    assert_eq!(bench.batch().stage, BatchStage::Building);
    bench.check_channel(7, 0);
    let expected = AttemptNo(1);
    assert_eq!(
        bench.tell(1, lost(7)),
        Err(Rejection::AttemptOutOfOrder { expected })
    );
    bench.send(2);
    assert_eq!(bench.batch().attempts[0].fate, AttemptFate::Lost);
    bench.told(2, failed(vec![]));
    bench.check_channel(8, 1);
}

#[test]
fn a_payment_that_goes_back_says_why() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.told(1, failed(vec![]));
    for status in bench.world.store.statuses.values() {
        let Stage::Queued { not_before, reason } = &status.stage else {
            panic!("not queued: {status:?}")
        };
        assert_eq!(reason, "tx_failed");
        assert!(*not_before > status.at);
    }
}

#[test]
fn a_payment_that_failed_waits_again_when_it_is_retried() {
    let mut bench = Bench::new();
    let payment = bench.batch().payments[0].payment;
    let retry = |developer| {
        Command::RetryPayment(RetryPayment {
            developer: DeveloperId(developer),
            payment,
        })
    };
    assert_eq!(bench.world.one(retry(0)), Ok(Reply::Retried));
    bench.check_payments([("batched", 0); 3]);
    bench.send(1);
    bench.refuse(1, terminal());
    bench.check_payments([("failed", 1); 3]);
    let unknown = Rejection::PaymentUnknown { payment };
    assert_eq!(bench.world.one(retry(77)), Err(unknown));
    for _ in 0..2 {
        assert_eq!(bench.world.one(retry(0)), Ok(Reply::Retried));
        bench.check_payments([("queued", 0), ("failed", 1), ("failed", 1)]);
    }
    assert_eq!(bench.world.state.queued(), 1);
}

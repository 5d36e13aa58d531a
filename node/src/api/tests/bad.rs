//! Bad input: each gets its precise error, and changes nothing.

use stellara_machine::ids::AccountId;
use stellara_proto::v1::{self, ErrorCode};
use tonic::Code;

use super::{Served, code, detail, format, request};
use crate::gateway::Failure;

async fn check(change: impl FnOnce(&mut v1::SubmitPaymentRequest), field: &str, expected: &str) {
    let mut served = Served::start().await;
    let mut bad = request("k");
    change(&mut bad);
    let status = served.payments.submit_payment(bad).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let detail = detail(&status);
    assert_eq!(detail.code(), ErrorCode::InvalidField);
    assert_eq!(detail.field, field);
    assert!(detail.expected.contains(expected), "{detail:?}");
    assert_eq!(served.fake.submitted(), 0);
    // The same connection still takes a good one.
    served.submit("k").await;
    served.end().await;
}

#[tokio::test]
async fn a_bad_field_is_named_and_changes_nothing() {
    let text = |text: &str| v1::Memo {
        memo: Some(v1::memo::Memo::Text(text.to_owned())),
    };
    check(|r| r.destination = "GABC".into(), "destination", "checksum").await;
    check(
        |r| r.amount = "1.12345678".into(),
        "amount",
        "seven decimals",
    )
    .await;
    check(|r| r.amount = "0".into(), "amount", "above zero").await;
    check(|r| r.amount = "-3".into(), "amount", "above zero").await;
    check(|r| r.amount = "1000000001".into(), "amount", "1000000000").await;
    check(|r| r.asset = "XLM".into(), "asset", "CODE:ISSUER").await;
    check(|r| r.memo = Some(text(&"m".repeat(29))), "memo.text", "28").await;
    check(|r| r.idempotency_key.clear(), "idempotency_key", "1 to 128").await;
    check(|r| r.reference = "r".repeat(1_025), "reference", "1024").await;
    check(|r| r.priority = 9, "priority", "PRIORITY_LOW").await;
    check(|r| r.treasury = "x".into(), "treasury", "checksum").await;
}

#[tokio::test]
async fn a_key_used_for_another_body_tells_its_payment() {
    let mut served = Served::start().await;
    let first = served.submit("k").await;
    let mut other = request("k");
    other.amount = "13".into();
    let status = served.payments.submit_payment(other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    let detail = detail(&status);
    assert_eq!(detail.code(), ErrorCode::KeyReused);
    assert_eq!(detail.resource, first);
    assert_eq!(served.fake.submitted(), 1);
    served.end().await;
}

#[tokio::test]
async fn an_unknown_treasury_is_named() {
    let mut served = Served::start().await;
    let mut bad = request("k");
    bad.treasury = format::account(AccountId([1; 32]));
    let treasury = bad.treasury.clone();
    let status = served.payments.submit_payment(bad).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(detail(&status).value, treasury);
    assert_eq!(served.fake.submitted(), 0);
    served.end().await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_name() {
    let mut served = Served::start().await;
    let mut large = request("k");
    large.reference = "r".repeat(5 * 1_024 * 1_024);
    let status = served
        .payments
        .submit_payment(large.clone())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(code(&status), ErrorCode::TooLarge);
    let message = v1::SubmitPaymentsRequest {
        payments: vec![large],
    };
    let requests = tokio_stream::iter([message]);
    let answers = served.payments.submit_payment_stream(requests).await;
    let status = answers.unwrap().into_inner().message().await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::TooLarge);
    assert_eq!(served.fake.submitted(), 0);
    served.submit("k").await;
    served.end().await;
}

#[tokio::test]
async fn failures_of_the_cluster_keep_their_meaning() {
    let mut served = Served::start().await;
    let hint = Some("http://10.0.0.2:7420".to_owned());
    let rows = [
        (
            Failure::NoLeader { hint },
            Code::Unavailable,
            ErrorCode::NoLeader,
        ),
        (
            Failure::Unknown,
            Code::DeadlineExceeded,
            ErrorCode::UnknownOutcome,
        ),
        (
            Failure::Overloaded { retry_after_ms: 70 },
            Code::ResourceExhausted,
            ErrorCode::Overloaded,
        ),
        (
            Failure::Unavailable {
                reason: "disk full".to_owned(),
            },
            Code::Unavailable,
            ErrorCode::Unavailable,
        ),
    ];
    for (failure, grpc, error) in rows {
        served.fake.fail(Some(failure));
        let status = served.payments.submit_payment(request("k")).await;
        let status = status.unwrap_err();
        assert_eq!((status.code(), code(&status)), (grpc, error));
        let detail = detail(&status);
        assert!(detail.retry_after_ms > 0, "{detail:?}");
        assert_eq!(
            detail.leader_hint.is_empty(),
            error != ErrorCode::NoLeader,
            "{detail:?}"
        );
    }
    served.end().await;
}

#[tokio::test]
async fn a_bad_item_does_not_hold_the_others_back() {
    let mut served = Served::start().await;
    let mut bad = request("b");
    bad.amount = "0".into();
    let message = v1::SubmitPaymentsRequest {
        payments: vec![request("a"), bad, request("c"), request("a")],
    };
    let answer = served.payments.submit_payments(message).await.unwrap();
    let results = answer.into_inner().results;
    let accepted = results.iter().map(|result| match &result.result {
        Some(v1::submit_payment_result::Result::Accepted(accepted)) => Ok(accepted.repeated),
        Some(v1::submit_payment_result::Result::Refused(detail)) => Err(detail.field.clone()),
        None => panic!("an item without a result"),
    });
    let expected = [
        Ok(false),
        Err("payments[1].amount".to_owned()),
        Ok(false),
        Ok(true),
    ];
    assert_eq!(accepted.collect::<Vec<_>>(), expected);
    let none = v1::SubmitPaymentsRequest { payments: vec![] };
    let status = served.payments.submit_payments(none).await.unwrap_err();
    assert_eq!(detail(&status).field, "payments");
    assert_eq!(served.fake.submitted(), 2);
    served.end().await;
}

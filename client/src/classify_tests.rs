//! Every error of the contract and of the wire, and what it means.

use stellara_proto::status::to_status;

use super::*;

fn detail(code: ErrorCode) -> ErrorDetail {
    ErrorDetail {
        code: code.into(),
        field: "amount".into(),
        value: "x".into(),
        expected: "a decimal number".into(),
        retry_after_ms: 250,
        leader_hint: "http://c:1".into(),
        resource: "pay_0000000000000001".into(),
    }
}

fn check_detail(code: ErrorCode) -> Verdict {
    of_status(&to_status("said so", &detail(code)))
}

#[test]
fn refusals_are_final_and_carry_their_values() {
    let resource = || "pay_0000000000000001".to_owned();
    let message = || "said so".to_owned();
    for (code, error) in [
        (
            ErrorCode::InvalidField,
            ClientError::InvalidField {
                field: "amount".into(),
                value: "x".into(),
                expected: "a decimal number".into(),
            },
        ),
        (
            ErrorCode::KeyReused,
            ClientError::KeyReused {
                payment: resource(),
            },
        ),
        (
            ErrorCode::NotFound,
            ClientError::NotFound {
                resource: resource(),
            },
        ),
        (
            ErrorCode::WrongStage,
            ClientError::WrongStage {
                resource: resource(),
                message: message(),
            },
        ),
        (
            ErrorCode::TreasuryUnknown,
            ClientError::TreasuryUnknown {
                treasury: "x".into(),
            },
        ),
        (
            ErrorCode::VersionConflict,
            ClientError::VersionConflict {
                resource: resource(),
            },
        ),
        (
            ErrorCode::TooLarge,
            ClientError::TooLarge { message: message() },
        ),
        (
            ErrorCode::Internal,
            ClientError::Internal { message: message() },
        ),
    ] {
        assert_eq!(check_detail(code), Verdict::Final(error));
    }
}

#[test]
fn what_passes_is_tried_again_with_its_hints() {
    for (code, cause, fate) in [
        (ErrorCode::Overloaded, Cause::Overloaded, Fate::NotAccepted),
        (ErrorCode::NoLeader, Cause::NoLeader, Fate::NotAccepted),
        (
            ErrorCode::Unavailable,
            Cause::Unavailable,
            Fate::NotAccepted,
        ),
        (
            ErrorCode::UnknownOutcome,
            Cause::UnknownOutcome,
            Fate::Unknown,
        ),
    ] {
        assert_eq!(
            check_detail(code),
            Verdict::Retry(Failure {
                cause,
                fate,
                retry_after_ms: 250,
                leader_hint: Some("http://c:1".into()),
                message: "said so".into(),
            })
        );
    }
}

#[test]
fn a_status_without_detail_is_judged_by_its_code() {
    let cause_of = |code: Code| match of_status(&Status::new(code, "proxy")) {
        Verdict::Retry(failure) => Some((failure.cause, failure.fate)),
        Verdict::Final(_) => None,
    };
    let unknown = |cause| Some((cause, Fate::Unknown));
    assert_eq!(cause_of(Code::Unavailable), unknown(Cause::Connection));
    assert_eq!(cause_of(Code::Unknown), unknown(Cause::Connection));
    assert_eq!(cause_of(Code::DeadlineExceeded), unknown(Cause::TimedOut));
    assert_eq!(
        cause_of(Code::ResourceExhausted),
        Some((Cause::Overloaded, Fate::NotAccepted))
    );
    assert_eq!(cause_of(Code::Unimplemented), None);
    assert_eq!(
        of_status(&Status::unauthenticated("no key")),
        Verdict::Final(ClientError::Denied {
            message: "no key".into()
        })
    );
}

#[test]
fn a_connection_that_was_never_made_carried_nothing() {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let status = Status::from_error(Box::new(ConnectError(Box::new(refused))));
    let Verdict::Retry(failure) = of_status(&status) else {
        panic!("a refused connection is not final");
    };
    assert_eq!(failure.cause, Cause::Connection);
    assert_eq!(failure.fate, Fate::NotAccepted);
    assert_eq!(failure.message, "connection refused");

    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let Verdict::Retry(failure) = of_status(&Status::from_error(Box::new(reset))) else {
        panic!("a broken connection is not final");
    };
    assert_eq!(failure.fate, Fate::Unknown);
}

#[test]
fn one_attempt_of_unknown_fate_leaves_the_call_unknown() {
    let failure = Failure::new(Cause::NoLeader, "no leader is known".into());
    let fate = Fate::NotAccepted.and(Fate::Unknown).and(Fate::NotAccepted);
    assert_eq!(
        failure.clone().give_up(fate, "key-1"),
        ClientError::Unknown {
            idempotency_key: "key-1".into(),
            message: "no leader is known".into(),
        }
    );
    assert_eq!(
        failure.give_up(Fate::NotAccepted, "key-1"),
        ClientError::NoLeader {
            message: "no leader is known".into()
        }
    );
}

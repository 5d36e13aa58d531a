//! The machine's rejections, in the codes and words of the API.

use stellara_machine::ids::{AccountId, BatchId, PaymentId};
use stellara_proto::v1::peer::rejection::Kind;
use stellara_proto::v1::{ErrorCode, ErrorDetail, peer};

use super::of;
use crate::api::format;

/// When to try again while all payment queues are full, in milliseconds: a batch or two later there is room.
const QUEUE_FULL_RETRY_MS: u64 = 1_000;

fn payment(rejection: &peer::Rejection) -> String {
    format::payment_id(PaymentId(rejection.id))
}

fn batch(rejection: &peer::Rejection) -> String {
    format::batch_id(BatchId(rejection.id))
}

fn treasury(rejection: &peer::Rejection) -> String {
    <[u8; 32]>::try_from(rejection.account.as_slice())
        .map(|key| format::account(AccountId(key)))
        .unwrap_or_default()
}

/// What a caller can branch on.
pub(super) fn detail(rejection: &peer::Rejection) -> ErrorDetail {
    match rejection.kind() {
        Kind::KeyReused => ErrorDetail {
            field: "idempotency_key".to_owned(),
            expected: "the body that the key was first used for, or another key".to_owned(),
            resource: payment(rejection),
            ..of(ErrorCode::KeyReused)
        },
        Kind::Field => ErrorDetail {
            field: rejection.field.clone(),
            value: rejection.value.clone(),
            expected: rejection.expected.clone(),
            ..of(ErrorCode::InvalidField)
        },
        Kind::TreasuryUnknown => ErrorDetail {
            field: "treasury".to_owned(),
            value: treasury(rejection),
            expected: "a registered treasury".to_owned(),
            ..of(ErrorCode::TreasuryUnknown)
        },
        Kind::QueueFull => ErrorDetail {
            retry_after_ms: QUEUE_FULL_RETRY_MS,
            ..of(ErrorCode::Overloaded)
        },
        Kind::PaymentUnknown => ErrorDetail {
            resource: payment(rejection),
            ..of(ErrorCode::NotFound)
        },
        Kind::PaymentNotQueued => ErrorDetail {
            value: rejection.value.clone(),
            expected: "queued".to_owned(),
            resource: payment(rejection),
            ..of(ErrorCode::WrongStage)
        },
        Kind::PaymentNotFailed => ErrorDetail {
            value: rejection.value.clone(),
            expected: "failed".to_owned(),
            resource: payment(rejection),
            ..of(ErrorCode::WrongStage)
        },
        Kind::BatchUnknown => ErrorDetail {
            resource: batch(rejection),
            ..of(ErrorCode::NotFound)
        },
        Kind::ChannelLent => ErrorDetail {
            resource: batch(rejection),
            ..of(ErrorCode::WrongStage)
        },
        Kind::PolicyStrands => ErrorDetail {
            field: "policy.fee_base_stroops".to_owned(),
            value: rejection.value.clone(),
            expected: format!("at most {} stroops", rejection.number),
            ..of(ErrorCode::InvalidField)
        },
        Kind::PolicyVersion => ErrorDetail {
            field: "version_seen".to_owned(),
            expected: rejection.id.to_string(),
            ..of(ErrorCode::VersionConflict)
        },
        Kind::NotDue
        | Kind::NoFreeChannel
        | Kind::BatchesFull
        | Kind::AttemptOutOfOrder
        | Kind::SequenceMismatch
        | Kind::EarlierAttemptLive
        | Kind::AttemptsFull
        | Kind::RoleConflict
        | Kind::AccountsFull => of(ErrorCode::WrongStage),
        Kind::Unspecified => of(ErrorCode::Internal),
    }
}

/// What a person reads.
pub(super) fn message(rejection: &peer::Rejection) -> String {
    let fixed = match rejection.kind() {
        Kind::KeyReused => {
            let payment = payment(rejection);
            return format!("the idempotency key was used for another body, by {payment}");
        }
        Kind::Field => {
            let peer::Rejection {
                field,
                value,
                expected,
                ..
            } = rejection;
            return format!("{field} is \"{value}\", expected {expected}");
        }
        Kind::TreasuryUnknown if rejection.account.is_empty() => "no treasury is registered yet",
        Kind::TreasuryUnknown => {
            return format!("the treasury {} is not registered", treasury(rejection));
        }
        Kind::QueueFull => return format!("the queues are full: {} payments wait", rejection.id),
        Kind::PaymentUnknown => return format!("there is no payment {}", payment(rejection)),
        Kind::PaymentNotQueued => {
            let (payment, stage) = (payment(rejection), &rejection.value);
            return format!("{payment} is {stage}, and only a queued payment can be withdrawn");
        }
        Kind::PaymentNotFailed => {
            let (payment, stage) = (payment(rejection), &rejection.value);
            return format!("{payment} is {stage}, and only a payment that failed can be retried");
        }
        Kind::BatchUnknown => return format!("there is no live batch {}", batch(rejection)),
        Kind::PolicyStrands => {
            let peer::Rejection {
                id, number, value, ..
            } = rejection;
            return format!(
                "policy.fee_base_stroops is {value}: {id} queued payments allow {number} stroops at most, and could \
                 never leave"
            );
        }
        Kind::PolicyVersion => return format!("the policy's version is {} now", rejection.id),
        Kind::NotDue => "no batch is due in the group",
        Kind::NoFreeChannel => "all channels are lent",
        Kind::BatchesFull => "too many batches are live",
        Kind::AttemptOutOfOrder => "the attempt does not follow the last one",
        Kind::SequenceMismatch => "the attempt is not for the batch's channel and sequence",
        Kind::EarlierAttemptLive => "an earlier attempt may still apply",
        Kind::AttemptsFull => "the batch has too many attempts",
        Kind::RoleConflict => "the account has another role",
        Kind::ChannelLent => "the channel is lent",
        Kind::AccountsFull => "too many accounts are registered",
        Kind::Unspecified => "rejected for a reason that this release does not know",
    };
    fixed.to_owned()
}

//! The machine's answers, for a follower that asked on a caller's behalf.

use stellara_machine::decision::{Acceptance, Rejection, Reply};
use stellara_machine::ids::{BatchId, PaymentId};
use stellara_proto::v1::peer;
use stellara_proto::v1::peer::rejection::Kind;
use stellara_proto::v1::peer::reply::Reply as ProtoReply;

use super::{DecodeError, missing};

/// A reply for the peer that asked.
#[must_use]
pub fn reply_to_proto(reply: &Reply) -> peer::Reply {
    let reply = match reply {
        Reply::Submitted {
            payment,
            acceptance,
        } => ProtoReply::Submitted(peer::Submitted {
            payment: payment.0,
            repeated: match acceptance {
                Acceptance::New => false,
                Acceptance::Repeated => true,
            },
        }),
        Reply::Cancelled => ProtoReply::Cancelled(true),
        Reply::Retried => ProtoReply::Retried(true),
        Reply::BatchFormed { batch } => ProtoReply::BatchFormed(batch.0),
        Reply::AttemptRecorded => ProtoReply::AttemptRecorded(true),
        Reply::OutcomeRecorded => ProtoReply::OutcomeRecorded(true),
        Reply::AccountRegistered => ProtoReply::AccountRegistered(true),
        Reply::PolicySet { version } => ProtoReply::PolicySet(*version),
        Reply::FeesRecorded => ProtoReply::FeesRecorded(true),
    };
    peer::Reply { reply: Some(reply) }
}

/// The reply a leader sent.
///
/// # Errors
/// `DecodeError` when it is of a kind this release does not know.
pub fn reply_from_proto(reply: peer::Reply) -> Result<Reply, DecodeError> {
    Ok(match reply.reply.ok_or_else(|| missing("reply"))? {
        ProtoReply::Submitted(submitted) => Reply::Submitted {
            payment: PaymentId(submitted.payment),
            acceptance: if submitted.repeated {
                Acceptance::Repeated
            } else {
                Acceptance::New
            },
        },
        ProtoReply::Cancelled(_) => Reply::Cancelled,
        ProtoReply::Retried(_) => Reply::Retried,
        ProtoReply::BatchFormed(batch) => Reply::BatchFormed {
            batch: BatchId(batch),
        },
        ProtoReply::AttemptRecorded(_) => Reply::AttemptRecorded,
        ProtoReply::OutcomeRecorded(_) => Reply::OutcomeRecorded,
        ProtoReply::AccountRegistered(_) => Reply::AccountRegistered,
        ProtoReply::PolicySet(version) => Reply::PolicySet { version },
        ProtoReply::FeesRecorded(_) => Reply::FeesRecorded,
    })
}

/// A rejection with its values, as every node tells it to its callers.
#[must_use]
pub fn rejection_to_proto(rejection: &Rejection) -> peer::Rejection {
    let of = |kind: Kind| peer::Rejection {
        kind: kind.into(),
        ..peer::Rejection::default()
    };
    let about = |kind: Kind, id: u64| peer::Rejection { id, ..of(kind) };
    match rejection {
        Rejection::KeyReused { payment } => about(Kind::KeyReused, payment.0),
        Rejection::Field {
            field,
            value,
            expected,
        } => peer::Rejection {
            field: (*field).to_owned(),
            value: value.clone(),
            expected: (*expected).to_owned(),
            ..of(Kind::Field)
        },
        Rejection::TreasuryUnknown { treasury } => peer::Rejection {
            account: treasury.map_or_else(Vec::new, |account| account.0.to_vec()),
            ..of(Kind::TreasuryUnknown)
        },
        Rejection::QueueFull { queued, .. } => about(Kind::QueueFull, *queued),
        Rejection::PaymentUnknown { payment } => about(Kind::PaymentUnknown, payment.0),
        Rejection::PaymentNotQueued { payment, stage } => peer::Rejection {
            value: (*stage).to_owned(),
            ..about(Kind::PaymentNotQueued, payment.0)
        },
        Rejection::PaymentNotFailed { payment, stage } => peer::Rejection {
            value: (*stage).to_owned(),
            ..about(Kind::PaymentNotFailed, payment.0)
        },
        Rejection::NotDue => of(Kind::NotDue),
        Rejection::NoFreeChannel => of(Kind::NoFreeChannel),
        Rejection::BatchesFull { limit } => about(Kind::BatchesFull, *limit),
        Rejection::BatchUnknown { batch } => about(Kind::BatchUnknown, batch.0),
        Rejection::AttemptOutOfOrder { expected } => {
            about(Kind::AttemptOutOfOrder, u64::from(expected.0))
        }
        Rejection::SequenceMismatch { channel, sequence } => peer::Rejection {
            account: channel.0.to_vec(),
            number: sequence.0,
            ..of(Kind::SequenceMismatch)
        },
        Rejection::EarlierAttemptLive { attempt } => {
            about(Kind::EarlierAttemptLive, u64::from(attempt.0))
        }
        Rejection::AttemptsFull { limit } => about(Kind::AttemptsFull, u64::from(*limit)),
        Rejection::RoleConflict { .. } => of(Kind::RoleConflict),
        Rejection::ChannelLent { batch } => about(Kind::ChannelLent, batch.0),
        Rejection::AccountsFull { limit } => about(Kind::AccountsFull, *limit),
        Rejection::PolicyVersion { actual } => about(Kind::PolicyVersion, *actual),
        Rejection::PolicyStrands {
            payments,
            fee_cap,
            fee_base,
        } => peer::Rejection {
            number: fee_cap.0,
            value: fee_base.0.to_string(),
            ..about(Kind::PolicyStrands, *payments)
        },
    }
}

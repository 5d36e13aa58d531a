//! Why a call was refused, and how that reads on the wire: one `ErrorDetail` for every failure.
//!
//! The mapping from failures to codes is here and in `errors/rejection.rs` alone, so all doors answer the same.

use stellara_machine::ids::{BatchId, PaymentId};
use stellara_proto::status::to_status;
use stellara_proto::v1::{ErrorCode, ErrorDetail};
use stellara_raft_store::engine::EngineError;
use thiserror::Error;
use tonic::Status;

use super::format;
use super::parse::Invalid;
use crate::gateway::Failure;
use crate::gateway::members::{MemberError, MemberRefusal};

#[cfg(test)]
mod reference;
mod rejection;

/// When to try again while no leader is known, in milliseconds: an election takes about that long.
const NO_LEADER_RETRY_MS: u64 = 500;
/// When to try again on a node that stops or takes no writes, in milliseconds.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;
/// When to ask again for an outcome that is not known, in milliseconds.
const UNKNOWN_RETRY_MS: u64 = 200;
/// Why a call brought no answer.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ApiError {
    /// A field is missing, or out of its form or bounds.
    #[error("{0}")]
    Invalid(Invalid),
    /// There is no such payment.
    #[error("there is no payment {}", format::payment_id(*.0))]
    PaymentUnknown(PaymentId),
    /// There is no such batch.
    #[error("there is no batch {}", format::batch_id(*.0))]
    BatchUnknown(BatchId),
    /// The gateway brought no result.
    #[error("{}", failure_message(.0))]
    Failed(Box<Failure>),
    /// A change of the membership is refused.
    #[error(transparent)]
    Member(#[from] MemberRefusal),
    /// The message is larger than the limit.
    #[error("the message is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// A defect of the node; it is logged where it was found.
    #[error("internal error: {reason}")]
    Internal {
        /// What did not hold.
        reason: &'static str,
    },
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<MemberError> for ApiError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Refused(refusal) => Self::Member(refusal),
            MemberError::Failed(failure) => failure.into(),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        tracing::error!(%error, "state cannot be read");
        Self::Internal {
            reason: "the state cannot be read",
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        to_status(&error.to_string(), &error.detail())
    }
}

impl ApiError {
    /// The node stops: what it was doing for the caller ends here.
    #[must_use]
    pub fn stopping() -> Self {
        Self::from(Failure::Unavailable {
            reason: "the node is stopping".to_owned(),
        })
    }

    /// What a caller can branch on.
    #[must_use]
    pub fn detail(&self) -> ErrorDetail {
        match self {
            Self::Invalid(invalid) => ErrorDetail {
                field: invalid.field.clone().into_owned(),
                value: invalid.value.clone(),
                expected: invalid.expected.to_owned(),
                ..of(ErrorCode::InvalidField)
            },
            Self::PaymentUnknown(id) => ErrorDetail {
                resource: format::payment_id(*id),
                ..of(ErrorCode::NotFound)
            },
            Self::BatchUnknown(id) => ErrorDetail {
                resource: format::batch_id(*id),
                ..of(ErrorCode::NotFound)
            },
            Self::Failed(failure) => failure_detail(failure),
            Self::Member(refusal) => member_detail(*refusal),
            Self::TooLarge { bytes_max } => ErrorDetail {
                expected: format!("at most {bytes_max} bytes in one message"),
                ..of(ErrorCode::TooLarge)
            },
            Self::Internal { .. } => of(ErrorCode::Internal),
        }
    }

    /// The detail of the item at `index` of a message: its field is under the item's path.
    #[must_use]
    pub fn detail_of_item(&self, index: usize) -> ErrorDetail {
        let mut detail = self.detail();
        if !detail.field.is_empty() {
            detail.field = format!("payments[{index}].{}", detail.field);
        }
        detail
    }
}

fn of(code: ErrorCode) -> ErrorDetail {
    ErrorDetail {
        code: code.into(),
        ..ErrorDetail::default()
    }
}

fn member_detail(refusal: MemberRefusal) -> ErrorDetail {
    let wrong_stage = of(ErrorCode::WrongStage);
    match refusal {
        MemberRefusal::NodeUnknown { node_id } => ErrorDetail {
            field: "node_id".to_owned(),
            value: node_id.to_string(),
            expected: "the id of one of cluster.members in the leader's configuration".to_owned(),
            resource: format!("node {node_id}"),
            ..of(ErrorCode::NotFound)
        },
        MemberRefusal::NodeSilent { node_id } => ErrorDetail {
            expected: "a node that answers".to_owned(),
            resource: format!("node {node_id}"),
            ..wrong_stage
        },
        MemberRefusal::LastVoter { node_id } => ErrorDetail {
            expected: "at least one voter that is left".to_owned(),
            resource: format!("node {node_id}"),
            ..wrong_stage
        },
        MemberRefusal::NoMajority {
            count,
            of_voters,
            needed,
        } => ErrorDetail {
            value: format!("{count} of {of_voters}"),
            expected: format!("at least {needed} voters that answer"),
            ..wrong_stage
        },
        MemberRefusal::UnderWay => ErrorDetail {
            expected: "one change at a time".to_owned(),
            ..of(ErrorCode::VersionConflict)
        },
        MemberRefusal::Behind {
            node_id,
            matched,
            needed,
        } => ErrorDetail {
            value: matched.to_string(),
            expected: format!("at least {needed}"),
            resource: format!("node {node_id}"),
            ..wrong_stage
        },
    }
}

fn failure_detail(failure: &Failure) -> ErrorDetail {
    match failure {
        Failure::Rejected(rejected) => rejection::detail(&rejected.wire()),
        Failure::Overloaded { retry_after_ms } => ErrorDetail {
            retry_after_ms: *retry_after_ms,
            ..of(ErrorCode::Overloaded)
        },
        Failure::NoLeader { hint } => ErrorDetail {
            retry_after_ms: NO_LEADER_RETRY_MS,
            leader_hint: hint.clone().unwrap_or_default(),
            ..of(ErrorCode::NoLeader)
        },
        Failure::Unknown => ErrorDetail {
            retry_after_ms: UNKNOWN_RETRY_MS,
            ..of(ErrorCode::UnknownOutcome)
        },
        Failure::Unavailable { .. } => ErrorDetail {
            retry_after_ms: UNAVAILABLE_RETRY_MS,
            ..of(ErrorCode::Unavailable)
        },
    }
}

fn failure_message(failure: &Failure) -> String {
    match failure {
        Failure::Rejected(rejected) => rejection::message(&rejected.wire()),
        Failure::Overloaded { .. }
        | Failure::NoLeader { .. }
        | Failure::Unknown
        | Failure::Unavailable { .. } => failure.to_string(),
    }
}

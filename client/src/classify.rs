//! What an error means: final, or worth another attempt, and whether the write may have taken
//! place all the same.
//!
//! Pure. The contract's `ErrorDetail` decides when a status carries one; the gRPC code and the
//! error's own source decide otherwise, as for a lost connection or a proxy.

use std::error::Error;

use stellara_proto::status::detail_of;
use stellara_proto::v1::{ErrorCode, ErrorDetail};
use tonic::{Code, ConnectError, Status, TimeoutExpired};

use crate::error::ClientError;

/// Why another attempt is worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The connection could not be made, or broke.
    Connection,
    /// The attempt took too long.
    TimedOut,
    /// The node is stopping or takes no writes.
    Unavailable,
    /// The node knows no leader.
    NoLeader,
    /// A queue is full.
    Overloaded,
    /// The node proposed the write and cannot say what became of it.
    UnknownOutcome,
}

impl Cause {
    /// The node itself is to blame: ask others first for a while.
    #[must_use]
    pub const fn blames_the_node(self) -> bool {
        match self {
            Self::Connection | Self::TimedOut | Self::Unavailable => true,
            Self::NoLeader | Self::Overloaded | Self::UnknownOutcome => false,
        }
    }
}

/// Whether a failed write may have taken place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It did not.
    NotAccepted,
    /// It may have.
    Unknown,
}

impl Fate {
    /// Of several attempts: one that may have worked leaves the whole unknown.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotAccepted, Self::NotAccepted) => Self::NotAccepted,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

/// A failed attempt that another may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// Whether the write may have taken place.
    pub fate: Fate,
    /// The wait that the server asks for, in milliseconds; 0 when it does not.
    pub retry_after_ms: u64,
    /// The leader's public address, when the server named it.
    pub leader_hint: Option<String>,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure of this cause with the fate that goes with it.
    #[must_use]
    pub const fn new(cause: Cause, message: String) -> Self {
        let fate = match cause {
            Cause::Connection | Cause::TimedOut | Cause::UnknownOutcome => Fate::Unknown,
            Cause::Unavailable | Cause::NoLeader | Cause::Overloaded => Fate::NotAccepted,
        };
        Self {
            cause,
            fate,
            retry_after_ms: 0,
            leader_hint: None,
            message,
        }
    }

    /// What a call ends with when no time is left after this failure. `fate` is that of all
    /// its attempts; a read passes `NotAccepted`.
    #[must_use]
    pub fn give_up(self, fate: Fate, idempotency_key: &str) -> ClientError {
        let message = self.message;
        if fate == Fate::Unknown {
            return ClientError::Unknown {
                idempotency_key: idempotency_key.to_owned(),
                message,
            };
        }
        match self.cause {
            Cause::Overloaded => ClientError::Overloaded {
                retry_after_ms: self.retry_after_ms,
            },
            Cause::NoLeader => ClientError::NoLeader { message },
            Cause::Connection | Cause::TimedOut | Cause::Unavailable | Cause::UnknownOutcome => {
                ClientError::Unavailable { message }
            }
        }
    }
}

/// What an error means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt would end the same.
    Final(ClientError),
    /// Another attempt may succeed.
    Retry(Failure),
}

/// The meaning of a gRPC status.
#[must_use]
pub fn of_status(status: &Status) -> Verdict {
    if let Some(detail) = detail_of(status) {
        return of_detail(&detail, status.message());
    }
    if status.source().is_some() {
        return Verdict::Retry(of_transport(status));
    }
    let message = status.message().to_owned();
    let retry = |cause| Verdict::Retry(Failure::new(cause, message.clone()));
    match status.code() {
        // Without a detail this is a proxy's word, which does not say what was passed on.
        Code::Unavailable | Code::Unknown | Code::Aborted => retry(Cause::Connection),
        Code::Cancelled | Code::DeadlineExceeded => retry(Cause::TimedOut),
        Code::ResourceExhausted => retry(Cause::Overloaded),
        Code::Unauthenticated | Code::PermissionDenied => {
            Verdict::Final(ClientError::Denied { message })
        }
        Code::Internal => Verdict::Final(ClientError::Internal { message }),
        code @ (Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss) => Verdict::Final(ClientError::Unexpected {
            code: format!("{code:?}"),
            message,
        }),
    }
}

/// The meaning of a detail, whether it came in a status or as one result of many.
#[must_use]
pub fn of_detail(detail: &ErrorDetail, message: &str) -> Verdict {
    let resource = || detail.resource.clone();
    let message = || {
        if message.is_empty() {
            detail.expected.clone()
        } else {
            message.to_owned()
        }
    };
    let retry = |cause, fallback: &str| {
        let mut words = message();
        if words.is_empty() {
            fallback.clone_into(&mut words);
        }
        Verdict::Retry(Failure {
            retry_after_ms: detail.retry_after_ms,
            leader_hint: Some(detail.leader_hint.clone()).filter(|hint| !hint.is_empty()),
            ..Failure::new(cause, words)
        })
    };
    Verdict::Final(match detail.code() {
        ErrorCode::Overloaded => return retry(Cause::Overloaded, "a queue is full"),
        ErrorCode::NoLeader => return retry(Cause::NoLeader, "no leader is known"),
        ErrorCode::Unavailable => return retry(Cause::Unavailable, "the node is stopping"),
        ErrorCode::UnknownOutcome => {
            return retry(Cause::UnknownOutcome, "the node lost sight of the write");
        }
        ErrorCode::InvalidField => ClientError::InvalidField {
            field: detail.field.clone(),
            value: detail.value.clone(),
            expected: detail.expected.clone(),
        },
        ErrorCode::KeyReused => ClientError::KeyReused {
            payment: resource(),
        },
        ErrorCode::NotFound => ClientError::NotFound {
            resource: resource(),
        },
        ErrorCode::WrongStage => ClientError::WrongStage {
            resource: resource(),
            message: message(),
        },
        ErrorCode::TreasuryUnknown => ClientError::TreasuryUnknown {
            treasury: if detail.value.is_empty() {
                resource()
            } else {
                detail.value.clone()
            },
        },
        ErrorCode::VersionConflict => ClientError::VersionConflict {
            resource: resource(),
        },
        ErrorCode::TooLarge => ClientError::TooLarge { message: message() },
        ErrorCode::Internal => ClientError::Internal { message: message() },
        ErrorCode::Unspecified => ClientError::Unexpected {
            code: "UNSPECIFIED".into(),
            message: message(),
        },
    })
}

/// An error that arose on this side of the wire.
fn of_transport(status: &Status) -> Failure {
    let message = innermost(status);
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            // The request never left.
            return Failure {
                fate: Fate::NotAccepted,
                ..Failure::new(Cause::Connection, message)
            };
        }
        if error.is::<TimeoutExpired>() {
            return Failure::new(Cause::TimedOut, message);
        }
        source = error.source();
    }
    Failure::new(Cause::Connection, message)
}

/// The deepest cause says the most: "connection refused" rather than "transport error".
fn innermost(status: &Status) -> String {
    let mut error: &dyn Error = status;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;

//! Errors on the wire: one `ErrorDetail` in a gRPC status, packed as `google.rpc.Status` packs details.

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

use crate::v1::{ErrorCode, ErrorDetail};

const DETAIL_TYPE_URL: &str = "type.googleapis.com/stellara.v1.ErrorDetail";

/// `google.rpc.Status`, by its published field numbers.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

/// `google.protobuf.Any`, by its published field numbers.
#[derive(Clone, PartialEq, Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// The gRPC code that an error travels under.
#[must_use]
pub const fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidField => Code::InvalidArgument,
        ErrorCode::KeyReused => Code::AlreadyExists,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::WrongStage | ErrorCode::TreasuryUnknown => Code::FailedPrecondition,
        ErrorCode::Overloaded | ErrorCode::TooLarge => Code::ResourceExhausted,
        ErrorCode::NoLeader | ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::UnknownOutcome => Code::DeadlineExceeded,
        ErrorCode::VersionConflict => Code::Aborted,
        ErrorCode::Unspecified | ErrorCode::Internal => Code::Internal,
    }
}

/// The HTTP status of an error, where it travels as problem+json (RFC 9457).
#[must_use]
pub const fn http_status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidField => 400,
        ErrorCode::NotFound => 404,
        ErrorCode::KeyReused
        | ErrorCode::WrongStage
        | ErrorCode::TreasuryUnknown
        | ErrorCode::VersionConflict => 409,
        ErrorCode::TooLarge => 413,
        ErrorCode::Overloaded => 429,
        ErrorCode::NoLeader | ErrorCode::Unavailable => 503,
        ErrorCode::UnknownOutcome => 504,
        ErrorCode::Unspecified | ErrorCode::Internal => 500,
    }
}

/// A gRPC status with its detail packed in.
#[must_use]
pub fn to_status(message: &str, detail: &ErrorDetail) -> Status {
    let code = grpc_code(detail.code());
    let packed = RpcStatus {
        code: i32::from(code),
        message: message.to_owned(),
        details: vec![RpcAny {
            type_url: DETAIL_TYPE_URL.to_owned(),
            value: detail.encode_to_vec().into(),
        }],
    };
    Status::with_details(code, message, packed.encode_to_vec().into())
}

/// The detail in a gRPC status; `None` when another server or a proxy made it.
#[must_use]
pub fn detail_of(status: &Status) -> Option<ErrorDetail> {
    let packed = RpcStatus::decode(status.details()).ok()?;
    let any = packed
        .details
        .into_iter()
        .find(|any| any.type_url == DETAIL_TYPE_URL)?;
    ErrorDetail::decode(any.value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_survives_the_wire() {
        let detail = ErrorDetail {
            code: ErrorCode::InvalidField.into(),
            field: "amount".into(),
            value: "1.23456789".into(),
            expected: "at most seven decimals".into(),
            ..ErrorDetail::default()
        };
        let status = to_status("amount has eight decimals", &detail);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(detail_of(&status), Some(detail));
        assert_eq!(detail_of(&Status::internal("from a proxy")), None);
    }
}

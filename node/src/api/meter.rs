//! Counts and times calls: one counter and one histogram, by method and code.
//!
//! Both labels come from fixed sets, so the number of series is bounded whatever callers send.

use std::future::Future;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use openraft_rt::{AsyncRuntime, Instant as _};
use tonic::{Code, Response, Status};

use super::errors::ApiError;

const CALLS: &str = "stellara_api_calls_total";
const CALL_SECONDS: &str = "stellara_api_call_seconds";
const TOO_LARGE: &str = "stellara_api_too_large_total";
const PAYMENTS: &str = "stellara_api_payments_total";

/// Says what each metric is, to whatever recorder is installed.
pub(crate) fn describe() {
    describe_counter!(CALLS, "calls answered, by method and gRPC code");
    describe_histogram!(
        CALL_SECONDS,
        Unit::Seconds,
        "time of a call, by method and gRPC code; of a stream, until it begins"
    );
    describe_counter!(
        TOO_LARGE,
        "messages over the limit, refused before they were read"
    );
    describe_counter!(PAYMENTS, "payments of calls with many, by their result");
}

/// Runs a handler and counts its call; for a stream, until the stream begins.
pub(crate) async fn call<R: AsyncRuntime, T>(
    method: &'static str,
    handler: impl Future<Output = Result<T, ApiError>>,
) -> Result<Response<T>, Status> {
    let started = R::Instant::now();
    let result = handler.await.map_err(Status::from);
    let code = name(result.as_ref().map_or_else(Status::code, |_| Code::Ok));
    counter!(CALLS, "method" => method, "code" => code).increment(1);
    histogram!(CALL_SECONDS, "method" => method, "code" => code)
        .record(started.elapsed().as_secs_f64());
    result.map(Response::new)
}

/// Counts a message refused before a handler saw it.
pub(crate) fn too_large() {
    counter!(TOO_LARGE).increment(1);
}

/// Counts payments by what became of them.
pub(crate) fn payments(accepted: u64, refused: u64) {
    counter!(PAYMENTS, "result" => "accepted").increment(accepted);
    counter!(PAYMENTS, "result" => "refused").increment(refused);
}

/// gRPC's own name of a code.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

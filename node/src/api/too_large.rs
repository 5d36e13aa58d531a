//! Messages over the limit: the gRPC library's own refusal, put into the codes of the API.
//!
//! The library refuses such a message by its length prefix, before a handler sees it, with OUT_OF_RANGE,
//! a code that nothing else here answers with.

use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use tonic::{Code, Status};

use super::errors::ApiError;
use super::meter;

/// Bytes of one message, at most.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

fn refusal() -> Status {
    meter::too_large();
    ApiError::TooLarge {
        bytes_max: MESSAGE_BYTES_MAX,
    }
    .into()
}

/// The messages of a caller's stream, an oversized one refused by its name.
pub(super) fn named<T: 'static>(
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    messages.map(|message| {
        message.map_err(|status| match status.code() == Code::OutOfRange {
            true => refusal(),
            false => status,
        })
    })
}

/// The answer to a call of one message, an oversized one refused by its name.
pub(super) async fn name(answer: Response) -> Response {
    let code = answer.headers().get("grpc-status");
    match code.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::OutOfRange) {
        true => refusal().into_http::<axum::body::Body>().into_response(),
        false => answer,
    }
}

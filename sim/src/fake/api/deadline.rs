//! The deadline that a caller sends along, kept on the node's clock: as tonic's server keeps it on tokio's.

use std::time::Duration;

use http::{HeaderMap, Request, Response};
use openraft_rt::AsyncRuntime as _;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic::{Status, TimeoutExpired};

use crate::runtime::SimRuntime;

/// The gRPC protocol's header: up to eight digits and a unit.
const HEADER: &str = "grpc-timeout";

fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _other => None,
    }
}

/// What the services answer within the time that the caller gave them.
pub(super) async fn within(mut routes: Routes, request: Request<Body>) -> Response<Body> {
    let limit = asked(request.headers());
    let answering = async move {
        // Routes are always ready, and answer every request.
        match routes.call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    };
    match limit {
        None => answering.await,
        Some(limit) => match SimRuntime::timeout(limit, answering).await {
            Ok(answer) => answer,
            Err(_) => Status::cancelled(TimeoutExpired(()).to_string()).into_http(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().unwrap());
        assert_eq!(asked(&headers), expected, "{text:?}");
    }

    #[test]
    fn a_deadline_is_read_as_the_protocol_writes_it() {
        check("2000000u", Some(Duration::from_secs(2)));
        check("3S", Some(Duration::from_secs(3)));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in ["", "S", "3", "3s", "-1S", "123456789n", "3é"] {
            let mut headers = HeaderMap::new();
            let value = http::HeaderValue::from_bytes(wrong.as_bytes()).unwrap();
            headers.insert(HEADER, value);
            assert_eq!(asked(&headers), None, "{wrong:?}");
        }
    }
}

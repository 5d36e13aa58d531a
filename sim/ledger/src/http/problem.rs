//! Errors as `application/problem+json`, in Horizon's form: type, title, status, detail, extras.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// One error answer.
#[derive(Debug)]
pub(super) struct Problem {
    kind: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: String,
    extras: Option<Value>,
}

impl Problem {
    pub(super) fn not_found(detail: String) -> Self {
        Self::new(
            "not_found",
            "Resource Missing",
            StatusCode::NOT_FOUND,
            detail,
        )
    }

    pub(super) fn wrong_method(detail: String) -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::new("method_not_allowed", "Method Not Allowed", status, detail)
    }

    /// A field or parameter that cannot be used, and why.
    pub(super) fn bad_field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (field, reason) = (field.into(), reason.into());
        let detail = format!("the request you sent was invalid: {field}: {reason}");
        let extras = json!({ "invalid_field": field, "reason": reason });
        Self {
            extras: Some(extras),
            ..Self::new(
                "bad_request",
                "Bad Request",
                StatusCode::BAD_REQUEST,
                detail,
            )
        }
    }

    /// A body that cannot be read: too long, of the wrong type, or not what was expected.
    pub(super) fn bad_body(status: StatusCode, reason: String) -> Self {
        let extras = json!({ "invalid_field": "body", "reason": reason });
        Self {
            extras: Some(extras),
            ..Self::new("bad_request", "Bad Request", status, reason)
        }
    }

    /// Bytes that are no envelope.
    pub(super) fn malformed(envelope_base64: &str, reason: String) -> Self {
        let detail = format!("tx is not the base64 of a transaction envelope: {reason}");
        let extras = json!({
            "invalid_field": "tx",
            "envelope_xdr": envelope_base64,
            "reason": reason,
        });
        let (title, status) = ("Transaction Malformed", StatusCode::BAD_REQUEST);
        Self {
            extras: Some(extras),
            ..Self::new("transaction_malformed", title, status, detail)
        }
    }

    /// What the faucet answers for an account that exists.
    pub(super) fn already_exists(detail: String) -> Self {
        let extras = json!({ "result_codes": {
            "transaction": "tx_failed",
            "operations": ["op_already_exists"],
        }});
        let (title, status) = ("Transaction Failed", StatusCode::BAD_REQUEST);
        Self {
            extras: Some(extras),
            ..Self::new("transaction_failed", title, status, detail)
        }
    }

    /// What a gateway says when nothing came back in time.
    pub(super) fn timeout() -> Self {
        let detail = "no answer came in time; the transaction may have been accepted";
        let status = StatusCode::GATEWAY_TIMEOUT;
        Self::new("timeout", "Timeout", status, detail.to_owned())
    }

    /// An error status that a fault rule asks for.
    pub(super) fn injected(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let title = status.canonical_reason().unwrap_or("Error");
        let kind = if status == StatusCode::TOO_MANY_REQUESTS {
            "rate_limit_exceeded"
        } else {
            "server_error"
        };
        Self::new(
            kind,
            title,
            status,
            "the server failed on purpose".to_owned(),
        )
    }

    fn new(kind: &'static str, title: &'static str, status: StatusCode, detail: String) -> Self {
        Self {
            kind,
            title,
            status,
            detail,
            extras: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("https://stellar.org/horizon-errors/{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(extras) = self.extras {
            body["extras"] = extras;
        }
        let content_type = [(
            header::CONTENT_TYPE,
            "application/problem+json; charset=utf-8",
        )];
        (self.status, content_type, body.to_string()).into_response()
    }
}

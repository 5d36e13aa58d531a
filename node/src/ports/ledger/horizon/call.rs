//! One HTTP call: sent, bounded, and told apart by what it may have done.
//!
//! A refused connection and a rate limit had no effect; whatever ends after the request left is unknown.

use reqwest::{RequestBuilder, StatusCode};
use stellara_machine::ids::Hash;
use stellara_machine::units::LedgerSeq;

use super::super::decode::decode_result;
use super::super::horizon_json::{SubmitBody, TxStatus, bad};
use super::super::{Ingested, SubmitAnswer};
use crate::ports::web::{self, shortened};

/// Bytes of an answer; a transaction of 100 operations with its metadata stays below.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How one call to one endpoint ended when it brought no answer of Horizon.
pub(super) enum CallFailure {
    /// The request surely had no effect.
    NotSent {
        why: String,
        retry_after_ms: Option<u64>,
    },
    /// It may have had one.
    Unknown { why: String },
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) ingested: Option<LedgerSeq>,
    pub(super) body: Vec<u8>,
}

pub(super) type Called = Result<Answer, CallFailure>;

impl CallFailure {
    pub(super) fn told(self) -> (String, Option<u64>) {
        match self {
            Self::NotSent {
                why,
                retry_after_ms,
            } => (why, retry_after_ms),
            Self::Unknown { why } => (why, None),
        }
    }
}

impl Answer {
    pub(super) fn ok(&self) -> Result<&[u8], CallFailure> {
        if self.status == StatusCode::OK {
            Ok(&self.body)
        } else {
            Err(CallFailure::Unknown {
                why: format!("http status {}", self.status),
            })
        }
    }

    /// A load balancer may ask two servers for one look-up: when the answer itself states less, less is proven.
    pub(super) fn lagging(&self, ingested: Ingested) -> Ingested {
        match self.ingested {
            Some(ledger) if ledger < ingested.ledger => Ingested {
                ledger,
                // The close time of that ledger is not known: nothing is proven by time.
                closed_at_s: 0,
            },
            Some(_) | None => ingested,
        }
    }
}

/// Sends one request and reads the whole answer within bounds; rate limits and refused connections are not sent.
pub(super) async fn call(request: RequestBuilder) -> Called {
    let response = request.send().await.map_err(|error| {
        let why = web::told(&error);
        if error.is_connect() || error.is_builder() {
            CallFailure::NotSent {
                why,
                retry_after_ms: None,
            }
        } else {
            CallFailure::Unknown { why }
        }
    })?;
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(CallFailure::NotSent {
            why: "rate limit reached".to_owned(),
            retry_after_ms: web::retry_after_ms(&response),
        });
    }
    let ingested = web::header(&response, "latest-ledger").and_then(|text| text.parse().ok());
    let body = web::body(response, BODY_BYTES_MAX)
        .await
        .map_err(|why| CallFailure::Unknown { why })?;
    Ok(Answer {
        status,
        ingested: ingested.map(LedgerSeq),
        body,
    })
}

/// Tells Horizon's own answers from those of proxies before it.
pub(super) fn read_submission(answer: Answer) -> Result<SubmitAnswer, CallFailure> {
    if let Ok(body) = serde_json::from_slice::<SubmitBody>(&answer.body) {
        return own_answer(&body);
    }
    let why = format!(
        "http status {}: {}",
        answer.status,
        shortened(&String::from_utf8_lossy(&answer.body))
    );
    // A client error without a transaction status was turned away at the door; a request timeout was not.
    if (answer.status.is_client_error() && answer.status != StatusCode::REQUEST_TIMEOUT)
        || answer.status.is_redirection()
    {
        return Err(CallFailure::NotSent {
            why,
            retry_after_ms: None,
        });
    }
    Err(CallFailure::Unknown { why })
}

fn own_answer(body: &SubmitBody) -> Result<SubmitAnswer, CallFailure> {
    let unreadable = |why: String| CallFailure::Unknown { why };
    let hash = || {
        let mut hash = Hash::default();
        hex::decode_to_slice(&body.hash, &mut hash.0)
            .map(|()| hash)
            .map_err(|error| unreadable(bad("a submission's hash", error.to_string()).to_string()))
    };
    Ok(match body.tx_status {
        TxStatus::Pending => SubmitAnswer::Pending { hash: hash()? },
        TxStatus::Duplicate => SubmitAnswer::Duplicate { hash: hash()? },
        TxStatus::TryAgainLater => SubmitAnswer::TryAgainLater,
        TxStatus::Error => {
            let xdr = body.error_result_xdr.as_deref().unwrap_or_default();
            SubmitAnswer::Refused(
                decode_result(xdr).map_err(|error| unreadable(error.to_string()))?,
            )
        }
    })
}

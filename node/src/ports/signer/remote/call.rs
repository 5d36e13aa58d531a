//! One request to the signing service: sent, bounded, and told apart by whether it is worth repeating.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;

use super::token::Token;
use super::{SignAnswer, SignError};
use crate::ports::signer::keyring;
use crate::ports::web;

/// Bytes of an answer; a list of `ACCOUNTS_MAX` accounts stays below.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The first wait before a request is repeated; doubles up to the longest.
pub(super) const AGAIN_MS: u64 = 100;
pub(super) const AGAIN_MAX_MS: u64 = 5_000;

/// How a request ended without the answer asked for.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service does not answer now: worth another try.
    Again {
        why: String,
        /// How long the service asks to wait.
        wait_ms: Option<u64>,
    },
    /// It answered no, and would again.
    Refused { status: u16, why: String },
    /// It answered something else than described.
    Unreadable { why: String },
}

impl Failure {
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Again { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// Takes out of its words what nobody may read.
    pub(super) fn scrub(&mut self, scrubbed: impl Fn(&str) -> String) {
        let (Self::Again { why, .. } | Self::Refused { why, .. } | Self::Unreadable { why }) = self;
        *why = scrubbed(why);
    }
}

/// What an answer that is no success may say.
#[derive(Deserialize)]
struct Words {
    error: String,
}

/// Sends a request and reads its whole answer.
pub(super) async fn once(
    request: RequestBuilder,
    token: Option<&Token>,
) -> Result<Vec<u8>, Failure> {
    let again = |why: String| Failure::Again { why, wait_ms: None };
    let request = match token {
        Some(token) => request.header(reqwest::header::AUTHORIZATION, token.header()),
        None => request,
    };
    let response = request.send().await.map_err(|error| {
        let why = web::told(&error);
        if error.is_builder() {
            Failure::Unreadable { why }
        } else {
            again(why)
        }
    })?;
    let status = response.status();
    let wait_ms = web::retry_after_ms(&response);
    let body = web::body(response, BODY_BYTES_MAX).await.map_err(again)?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    let why = told(status, &body);
    let is_passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    if is_passing {
        return Err(Failure::Again { why, wait_ms });
    }
    if status.is_client_error() {
        let status = status.as_u16();
        return Err(Failure::Refused { status, why });
    }
    Err(Failure::Unreadable { why })
}

/// The status, and the service's own words where it has some.
fn told(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Words>(body) {
        Ok(Words { error }) => format!("http status {status}: {error}"),
        Err(_) => format!("http status {status}"),
    }
}

/// The signature of an answer to `POST /sign`.
pub(super) fn signature(body: &[u8]) -> Result<[u8; 64], String> {
    // Its own words are not repeated: what a broken service says may be anything.
    let answer: SignAnswer = serde_json::from_slice(body).map_err(|error| {
        format!(
            "it is not {{\"signature\": …}} (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    let bytes = BASE64
        .decode(&answer.signature)
        .map_err(|_| "signature is not base64".to_owned())?;
    let len = bytes.len();
    bytes
        .try_into()
        .map_err(|_| format!("signature has {len} bytes, expected 64"))
}

pub(super) fn failed(failure: Failure, request: &'static str) -> SignError {
    match failure {
        Failure::Again { why, .. } => SignError::Unavailable {
            why: format!("{request}: {why}"),
        },
        Failure::Refused { why, .. } => SignError::Refused {
            why: format!("{request}: {why}"),
        },
        Failure::Unreadable { why } => SignError::Unreadable {
            why: format!("{request}: {why}"),
        },
    }
}

/// Waits about this long: a half more or less, so that nodes and batches do not ask in step.
pub(super) async fn wait(wait_ms: u64) {
    let mut draw = [0; 8];
    // Without randomness they do ask in step.
    drop(keyring::fill_random(&mut draw));
    let jitter = u64::from_le_bytes(draw) % (wait_ms + 1);
    tokio::time::sleep(Duration::from_millis(wait_ms / 2 + jitter)).await;
}

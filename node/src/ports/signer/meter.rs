//! Counts and times the calls of a signer elsewhere, by how they end. Labels come from one fixed set.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::{AccountSignature, SignError};

const CALLS: &str = "stellara_signer_calls_total";
const CALL_SECONDS: &str = "stellara_signer_call_seconds";

/// Says what each metric is, to whatever recorder is installed.
pub(crate) fn describe() {
    describe_counter!(
        CALLS,
        "signatures asked of a remote signer, by how that ended"
    );
    describe_histogram!(
        CALL_SECONDS,
        Unit::Seconds,
        "time until a remote signer's signature is verified, repeated requests included, by how that ended"
    );
}

/// Counts a signature that was asked for.
pub(crate) fn call(signed: &Result<AccountSignature, SignError>, elapsed: Duration) {
    let result = match signed {
        Ok(_) => "ok",
        Err(SignError::UnknownAccount { .. }) => "unknown_account",
        Err(SignError::Unavailable { .. }) => "unavailable",
        Err(SignError::Refused { .. }) => "refused",
        Err(SignError::Unreadable { .. }) => "unreadable",
        Err(SignError::WrongSignature { .. }) => "wrong_signature",
    };
    counter!(CALLS, "result" => result).increment(1);
    histogram!(CALL_SECONDS, "result" => result).record(elapsed.as_secs_f64());
}

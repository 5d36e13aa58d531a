//! The audit trail: one record per command, rejected ones too, each hashed onto the last.
//!
//! chain = SHA-256(previous chain || index || time || record), in canonical bytes, so no
//! record can be changed, dropped or moved without breaking every later hash.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::canon::Canonical;
use crate::command::Command;
use crate::decision::{AuditRecord, EntryRecord, Rejection, Reply};
use crate::ids::{DeveloperId, Hash, Index};
use crate::units::UnixMs;

/// The result of a command that was accepted.
pub const RESULT_OK: &str = "ok";

/// Every kind a record can have, for those who read records back from storage.
pub const KINDS: [&str; 9] = [
    "submit_payment",
    "cancel_payment",
    "retry_payment",
    "form_batch",
    "record_attempt",
    "record_outcome",
    "register_account",
    "set_policy",
    "record_fees",
];

/// Every result a record can have, for those who read records back from storage.
pub const RESULTS: [&str; 21] = [
    RESULT_OK,
    "key_reused",
    "field",
    "treasury_unknown",
    "queue_full",
    "payment_unknown",
    "payment_not_queued",
    "payment_not_failed",
    "not_due",
    "no_free_channel",
    "batches_full",
    "batch_unknown",
    "attempt_out_of_order",
    "sequence_mismatch",
    "earlier_attempt_live",
    "attempts_full",
    "role_conflict",
    "channel_lent",
    "accounts_full",
    "policy_version",
    "policy_strands",
];

/// The stored kind as one of `KINDS`, or `None` for a word no release of ours wrote.
#[must_use]
pub fn kind_named(name: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| *kind == name)
}

/// The stored result as one of `RESULTS`, or `None` for a word no release of ours wrote.
#[must_use]
pub fn result_named(name: &str) -> Option<&'static str> {
    RESULTS.into_iter().find(|result| *result == name)
}

/// The kind of a command, in words of the API.
#[must_use]
pub fn kind(command: &Command) -> &'static str {
    match command {
        Command::SubmitPayment(_) => "submit_payment",
        Command::CancelPayment(_) => "cancel_payment",
        Command::RetryPayment(_) => "retry_payment",
        Command::FormBatch(_) => "form_batch",
        Command::RecordAttempt(_) => "record_attempt",
        Command::RecordOutcome(_) => "record_outcome",
        Command::RegisterAccount(_) => "register_account",
        Command::SetPolicy(_) => "set_policy",
        Command::RecordFees(_) => "record_fees",
    }
}

impl Rejection {
    /// The stable code of the rejection, in audit records and for callers to branch on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyReused { .. } => "key_reused",
            Self::Field { .. } => "field",
            Self::TreasuryUnknown { .. } => "treasury_unknown",
            Self::QueueFull { .. } => "queue_full",
            Self::PaymentUnknown { .. } => "payment_unknown",
            Self::PaymentNotQueued { .. } => "payment_not_queued",
            Self::PaymentNotFailed { .. } => "payment_not_failed",
            Self::NotDue => "not_due",
            Self::NoFreeChannel => "no_free_channel",
            Self::BatchesFull { .. } => "batches_full",
            Self::BatchUnknown { .. } => "batch_unknown",
            Self::AttemptOutOfOrder { .. } => "attempt_out_of_order",
            Self::SequenceMismatch { .. } => "sequence_mismatch",
            Self::EarlierAttemptLive { .. } => "earlier_attempt_live",
            Self::AttemptsFull { .. } => "attempts_full",
            Self::RoleConflict { .. } => "role_conflict",
            Self::ChannelLent { .. } => "channel_lent",
            Self::AccountsFull { .. } => "accounts_full",
            Self::PolicyVersion { .. } => "policy_version",
            Self::PolicyStrands { .. } => "policy_strands",
        }
    }
}

/// The record of one command.
pub(crate) fn record(
    command: &Command,
    result: Result<&Reply, &Rejection>,
    changes: u128,
) -> AuditRecord {
    AuditRecord {
        kind: kind(command),
        developer: developer(command),
        subject: subject(command, result),
        result: result.map_or_else(Rejection::code, |_| RESULT_OK),
        changes,
    }
}

fn developer(command: &Command) -> DeveloperId {
    match command {
        Command::SubmitPayment(submit) => submit.developer,
        Command::CancelPayment(cancel) => cancel.developer,
        Command::RetryPayment(retry) => retry.developer,
        Command::FormBatch(_)
        | Command::RecordAttempt(_)
        | Command::RecordOutcome(_)
        | Command::RegisterAccount(_)
        | Command::SetPolicy(_)
        | Command::RecordFees(_) => DeveloperId(0),
    }
}

fn subject(command: &Command, result: Result<&Reply, &Rejection>) -> u64 {
    match command {
        Command::SubmitPayment(_) | Command::FormBatch(_) => made(result),
        Command::CancelPayment(cancel) => cancel.payment.0,
        Command::RetryPayment(retry) => retry.payment.0,
        Command::RecordAttempt(attempt) => attempt.batch.0,
        Command::RecordOutcome(outcome) => outcome.batch.0,
        Command::RegisterAccount(_) | Command::SetPolicy(_) | Command::RecordFees(_) => 0,
    }
}

/// The identity that the answer names.
fn made(result: Result<&Reply, &Rejection>) -> u64 {
    if let Ok(Reply::Submitted { payment, .. }) | Err(Rejection::KeyReused { payment }) = result {
        payment.0
    } else if let Ok(Reply::BatchFormed { batch }) = result {
        batch.0
    } else {
        0
    }
}

/// The chain's hash after one more record; `scratch` saves an allocation for each.
pub(crate) fn link(
    previous: Hash,
    (index, at): (Index, UnixMs),
    record: &AuditRecord,
    scratch: &mut Vec<u8>,
) -> Hash {
    let AuditRecord {
        kind,
        developer,
        subject,
        result,
        changes,
    } = record;
    scratch.clear();
    previous.canonical(scratch);
    index.canonical(scratch);
    at.canonical(scratch);
    kind.canonical(scratch);
    developer.canonical(scratch);
    subject.canonical(scratch);
    result.canonical(scratch);
    changes.canonical(scratch);
    Hash(Sha256::digest(&*scratch).into())
}

/// Whether an entry's records lead from the chain's hash before it to the one it states.
#[must_use]
pub fn verify_chain(previous: Hash, entry: &EntryRecord) -> bool {
    let mut scratch = Vec::with_capacity(128);
    let place = (entry.index, entry.at);
    let after = entry.audits.iter().fold(previous, |chain, record| {
        link(chain, place, record, &mut scratch)
    });
    after == entry.chain
}

//! Commands and entries.

use prost::Message;
use stellara_machine::command::{
    AttemptOutcome, CancelPayment, Command, Entry, FormBatch, OperationResult, PaymentBody,
    RecordAttempt, RecordOutcome, Refusal, RegisterAccount, RetryPayment, SetPolicy, SubmitPayment,
};
use stellara_machine::ids::{
    AttemptNo, BatchId, Destination, DeveloperId, IdempotencyKey, Index, PaymentId,
};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops, UnixMs};
use stellara_proto::v1::log;
use stellara_proto::v1::log::command::Command as ProtoCommand;
use stellara_proto::v1::log::record_outcome::Outcome as ProtoOutcome;

use super::fees::{record_fees_from_proto, record_fees_to_proto};
use super::{
    DecodeError, account, asset_from_proto, asset_to_proto, field, group_from_proto,
    group_to_proto, hash, lane, memo_from_proto, memo_to_proto, missing, policy_from_proto,
    policy_to_proto, role_from_proto, role_to_proto, small,
};

/// The entry in an encoded `log.EntryPayload`.
///
/// # Errors
/// `DecodeError` when a command is not one this release knows, or a field does not fit.
pub fn entry_from_bytes(index: u64, bytes: &[u8]) -> Result<Entry, DecodeError> {
    let payload = log::EntryPayload::decode(bytes)?;
    Ok(Entry {
        index: Index(index),
        proposed_at: UnixMs(payload.proposed_at_ms),
        commands: payload
            .commands
            .into_iter()
            .map(command_from_proto)
            .collect::<Result<_, _>>()?,
    })
}

/// A command as the log keeps it.
#[must_use]
pub fn command_to_proto(command: Command) -> log::Command {
    let command = match command {
        Command::SubmitPayment(submit) => ProtoCommand::SubmitPayment(log::SubmitPayment {
            developer: submit.developer.0,
            key: submit.key.0,
            body: Some(body_to_proto(submit.body)),
        }),
        Command::CancelPayment(cancel) => ProtoCommand::CancelPayment(log::CancelPayment {
            developer: cancel.developer.0,
            payment: cancel.payment.0,
        }),
        Command::RetryPayment(retry) => ProtoCommand::RetryPayment(log::RetryPayment {
            developer: retry.developer.0,
            payment: retry.payment.0,
        }),
        Command::FormBatch(form) => ProtoCommand::FormBatch(log::FormBatch {
            group: Some(group_to_proto(&form.group)),
        }),
        Command::RecordAttempt(attempt) => {
            ProtoCommand::RecordAttempt(record_attempt_to_proto(attempt))
        }
        Command::RecordOutcome(outcome) => ProtoCommand::RecordOutcome(log::RecordOutcome {
            batch: outcome.batch.0,
            attempt: u32::from(outcome.attempt.0),
            outcome: Some(outcome_to_proto(outcome.outcome)),
        }),
        Command::RegisterAccount(register) => ProtoCommand::RegisterAccount(log::RegisterAccount {
            account: register.account.0.to_vec(),
            role: role_to_proto(register.role).into(),
            sequence: register.sequence.0,
        }),
        Command::RecordFees(record) => ProtoCommand::RecordFees(record_fees_to_proto(&record)),
        Command::SetPolicy(set) => ProtoCommand::SetPolicy(log::SetPolicy {
            version_seen: set.version_seen,
            policy: Some(policy_to_proto(&set.policy)),
        }),
    };
    log::Command {
        command: Some(command),
    }
}

/// The command in a log message.
///
/// # Errors
/// `DecodeError` when it is not one this release knows, or a field does not fit.
pub fn command_from_proto(command: log::Command) -> Result<Command, DecodeError> {
    Ok(match command.command.ok_or_else(|| missing("command"))? {
        ProtoCommand::SubmitPayment(submit) => Command::SubmitPayment(SubmitPayment {
            developer: DeveloperId(submit.developer),
            key: IdempotencyKey(submit.key),
            body: body_from_proto(submit.body)?,
        }),
        ProtoCommand::CancelPayment(cancel) => Command::CancelPayment(CancelPayment {
            developer: DeveloperId(cancel.developer),
            payment: PaymentId(cancel.payment),
        }),
        ProtoCommand::RetryPayment(retry) => Command::RetryPayment(RetryPayment {
            developer: DeveloperId(retry.developer),
            payment: PaymentId(retry.payment),
        }),
        ProtoCommand::FormBatch(form) => Command::FormBatch(FormBatch {
            group: group_from_proto(form.group)?,
        }),
        ProtoCommand::RecordAttempt(attempt) => {
            Command::RecordAttempt(record_attempt_from_proto(attempt)?)
        }
        ProtoCommand::RecordOutcome(outcome) => Command::RecordOutcome(RecordOutcome {
            batch: BatchId(outcome.batch),
            attempt: AttemptNo(small("attempt", outcome.attempt)?),
            outcome: outcome_from_proto(outcome.outcome.ok_or_else(|| missing("outcome"))?)?,
        }),
        ProtoCommand::RegisterAccount(register) => Command::RegisterAccount(RegisterAccount {
            account: account("account", &register.account)?,
            role: role_from_proto(register.role())?,
            sequence: AccountSequence(register.sequence),
        }),
        ProtoCommand::RecordFees(record) => Command::RecordFees(record_fees_from_proto(record)?),
        ProtoCommand::SetPolicy(set) => Command::SetPolicy(SetPolicy {
            version_seen: set.version_seen,
            policy: policy_from_proto(set.policy.ok_or_else(|| missing("policy"))?)?,
        }),
    })
}

pub(super) fn body_to_proto(body: PaymentBody) -> log::PaymentBody {
    log::PaymentBody {
        treasury: body.treasury.map_or_else(Vec::new, |id| id.0.to_vec()),
        destination: body.destination.account.0.to_vec(),
        muxed_id: body.destination.muxed_id,
        asset: asset_to_proto(&body.asset),
        amount_stroops: body.amount.0,
        memo: memo_to_proto(&body.memo),
        lane: u32::from(body.lane.number()),
        reference: body.reference,
        fee_cap_stroops: body.fee_cap.map(|cap| cap.0),
    }
}

pub(super) fn body_from_proto(body: Option<log::PaymentBody>) -> Result<PaymentBody, DecodeError> {
    let body = body.ok_or_else(|| missing("body"))?;
    Ok(PaymentBody {
        treasury: if body.treasury.is_empty() {
            None
        } else {
            Some(account("treasury", &body.treasury)?)
        },
        destination: Destination {
            account: account("destination", &body.destination)?,
            muxed_id: body.muxed_id,
        },
        asset: asset_from_proto(body.asset)?,
        amount: Stroops(body.amount_stroops),
        memo: memo_from_proto(body.memo)?,
        lane: lane(body.lane)?,
        fee_cap: body.fee_cap_stroops.map(Stroops),
        reference: body.reference,
    })
}

pub(super) fn record_attempt_to_proto(attempt: RecordAttempt) -> log::RecordAttempt {
    log::RecordAttempt {
        batch: attempt.batch.0,
        attempt: u32::from(attempt.attempt.0),
        channel: attempt.channel.0.to_vec(),
        sequence: attempt.sequence.0,
        inner_hash: attempt.inner_hash.0.to_vec(),
        outer_hash: attempt.outer_hash.0.to_vec(),
        time_bound_s: attempt.time_bound_s,
        ledger_bound: attempt.ledger_bound.0,
        fee_max_stroops: attempt.fee_max.0,
        envelope: attempt.envelope,
    }
}

pub(super) fn record_attempt_from_proto(
    attempt: log::RecordAttempt,
) -> Result<RecordAttempt, DecodeError> {
    Ok(RecordAttempt {
        batch: BatchId(attempt.batch),
        attempt: AttemptNo(small("attempt", attempt.attempt)?),
        channel: account("channel", &attempt.channel)?,
        sequence: AccountSequence(attempt.sequence),
        inner_hash: hash("inner_hash", &attempt.inner_hash)?,
        outer_hash: hash("outer_hash", &attempt.outer_hash)?,
        time_bound_s: attempt.time_bound_s,
        ledger_bound: LedgerSeq(attempt.ledger_bound),
        fee_max: Stroops(attempt.fee_max_stroops),
        envelope: attempt.envelope,
    })
}

fn outcome_to_proto(outcome: AttemptOutcome) -> ProtoOutcome {
    match outcome {
        AttemptOutcome::Applied {
            ledger,
            fee_charged,
        } => ProtoOutcome::Applied(log::Applied {
            ledger: ledger.0,
            fee_charged_stroops: fee_charged.0,
        }),
        AttemptOutcome::AppliedFailed {
            ledger,
            fee_charged,
            operations,
        } => ProtoOutcome::AppliedFailed(log::AppliedFailed {
            ledger: ledger.0,
            fee_charged_stroops: fee_charged.0,
            operations: operations.into_iter().map(operation_to_proto).collect(),
        }),
        AttemptOutcome::Refused(refusal) => ProtoOutcome::Refused(refusal_to_proto(refusal)),
        AttemptOutcome::Expired => ProtoOutcome::Expired(log::Expired {}),
        AttemptOutcome::SequenceLost { account_sequence } => {
            ProtoOutcome::SequenceLost(log::SequenceLost {
                account_sequence: account_sequence.0,
            })
        }
    }
}

fn outcome_from_proto(outcome: ProtoOutcome) -> Result<AttemptOutcome, DecodeError> {
    Ok(match outcome {
        ProtoOutcome::Applied(applied) => AttemptOutcome::Applied {
            ledger: LedgerSeq(applied.ledger),
            fee_charged: Stroops(applied.fee_charged_stroops),
        },
        ProtoOutcome::AppliedFailed(failed) => AttemptOutcome::AppliedFailed {
            ledger: LedgerSeq(failed.ledger),
            fee_charged: Stroops(failed.fee_charged_stroops),
            operations: failed
                .operations
                .into_iter()
                .map(operation_from_proto)
                .collect::<Result<_, _>>()?,
        },
        ProtoOutcome::Refused(refused) => AttemptOutcome::Refused(refusal_from_proto(refused)?),
        ProtoOutcome::Expired(log::Expired {}) => AttemptOutcome::Expired,
        ProtoOutcome::SequenceLost(lost) => AttemptOutcome::SequenceLost {
            account_sequence: AccountSequence(lost.account_sequence),
        },
    })
}

fn refusal_to_proto(refusal: Refusal) -> log::Refused {
    use log::refused::Kind;
    let (kind, fee_needed_stroops, code) = match refusal {
        Refusal::InsufficientFee { fee_needed } => {
            (Kind::InsufficientFee, fee_needed.0, String::new())
        }
        Refusal::TryAgainLater => (Kind::TryAgainLater, 0, String::new()),
        Refusal::InsufficientBalance => (Kind::InsufficientBalance, 0, String::new()),
        Refusal::Terminal { code } => (Kind::Terminal, 0, code),
    };
    log::Refused {
        kind: kind.into(),
        fee_needed_stroops,
        code,
    }
}

fn refusal_from_proto(refused: log::Refused) -> Result<Refusal, DecodeError> {
    use log::refused::Kind;
    match refused.kind() {
        Kind::InsufficientFee => Ok(Refusal::InsufficientFee {
            fee_needed: Stroops(refused.fee_needed_stroops),
        }),
        Kind::TryAgainLater => Ok(Refusal::TryAgainLater),
        Kind::InsufficientBalance => Ok(Refusal::InsufficientBalance),
        Kind::Terminal => Ok(Refusal::Terminal { code: refused.code }),
        Kind::Unspecified => Err(field("refused.kind", refused.kind, "1 to 4")),
    }
}

fn operation_to_proto(operation: OperationResult) -> log::OperationResult {
    use log::operation_result::Kind;
    let (kind, code) = match operation {
        OperationResult::RolledBack => (Kind::RolledBack, String::new()),
        OperationResult::Terminal { code } => (Kind::Terminal, code),
        OperationResult::Retryable { code } => (Kind::Retryable, code),
    };
    log::OperationResult {
        kind: kind.into(),
        code,
    }
}

fn operation_from_proto(operation: log::OperationResult) -> Result<OperationResult, DecodeError> {
    use log::operation_result::Kind;
    match operation.kind() {
        Kind::RolledBack => Ok(OperationResult::RolledBack),
        Kind::Terminal => Ok(OperationResult::Terminal {
            code: operation.code,
        }),
        Kind::Retryable => Ok(OperationResult::Retryable {
            code: operation.code,
        }),
        Kind::Unspecified => Err(field("operation.kind", operation.kind, "1 to 3")),
    }
}
